//! Finding what is due, a kind at a time.
//!
//! Each kind has its own stretch of the index `outbox_due_by_kind`, and every statement in here jumps from one kind to the next.
//! So a million messages of a kind that is paused or set aside cost as much as one, and so does a backlog of one kind to the
//! messages of another.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult};

use crate::clock::{Clock, Moment};
use crate::database::{RowSet, Sql};
use crate::ids::JobId;

/// A due message with everything that is sent.
#[derive(Clone, Debug)]
pub struct Due {
    /// The job.
    pub job_id: JobId,
    /// Its kind.
    pub kind: String,
    /// The seq that the message carries.
    pub seq: i32,
    /// How often the broker refused it.
    pub sends: i32,
    /// Version of the payload.
    pub version: i32,
    /// The payload.
    pub payload: String,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl Due {
    /// Reads the columns in the order of the fields.
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            job_id: row.try_get_by_index(0)?,
            kind: row.try_get_by_index(1)?,
            seq: row.try_get_by_index(2)?,
            sends: row.try_get_by_index(3)?,
            version: row.try_get_by_index(4)?,
            payload: row.try_get_by_index(5)?,
            traceparent: row.try_get_by_index(6)?,
        })
    }
}

/// How much is claimed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Messages.
    pub messages: u32,
    /// Messages of one kind.
    pub of_a_kind: u32,
    /// Bytes of their payloads together. One message is claimed even if it alone is larger.
    pub bytes: u32,
}

/// What was claimed.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// To be sent, in this order: one of each kind after the other.
    pub due: Vec<Due>,
    /// Of how many kinds something was there to be claimed.
    pub kinds: u32,
}

/// Begins a statement with the table `kinds`: those of which messages wait, whenever they are due, and which are neither paused,
/// since their backlog must not fill the broker, nor `aside`.
fn with_kinds(backend: DbBackend, aside: &[String]) -> Sql {
    let kinds = Sql::new(backend).text(
        "WITH RECURSIVE stretch (kind) AS (SELECT min(kind) FROM outbox UNION ALL \
         SELECT (SELECT min(outbox.kind) FROM outbox WHERE outbox.kind > stretch.kind) FROM stretch WHERE stretch.kind IS NOT NULL), \
         kinds AS (SELECT kind FROM stretch WHERE kind IS NOT NULL AND kind NOT IN (SELECT kind FROM paused_kinds)",
    );
    if aside.is_empty() {
        return kinds.text(")");
    }
    let rows = RowSet::new("set_aside").string("kind", aside.iter().cloned());
    kinds.text(" AND kind NOT IN (SELECT set_aside.kind FROM ").rows(rows).text("))")
}

/// The messages of one kind that are due, for Postgres: to be continued by the time and `)`.
///
/// Compared as rows, since without statistics a planner takes `kind = ..` for a handful of messages, so few that it would read and
/// sort them rather than follow the index; and they may be a million.
const STRETCH: &str =
    "(one.kind, one.due_at) >= (kinds.kind, '-infinity') AND (one.kind, one.due_at) <= (kinds.kind, ";

/// What the time is, and when the next message of a kind is due that is neither paused nor `aside`, if any waits. One statement: a
/// relay asks often.
///
/// # Errors
/// Whatever the database answers.
pub async fn next_due(
    connection: &impl ConnectionTrait,
    clock: &Clock,
    aside: &[String],
) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), DbErr> {
    let statement = with_kinds(connection.get_database_backend(), aside)
        .text(
            " SELECT (SELECT min((SELECT outbox.due_at FROM outbox WHERE outbox.kind = kinds.kind ORDER BY outbox.due_at LIMIT 1)) \
             FROM kinds)",
        )
        .on_postgres(", clock_timestamp()")
        .build();
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a row of one look at the outbox".to_owned()))?;
    let now = match connection.get_database_backend() {
        DbBackend::Postgres => clock.shifted(row.try_get_by_index(1)?),
        _ => clock.now(connection).await?,
    };
    Ok((now, row.try_get_by_index(0)?))
}

/// Claims a window of messages that are due at `moment` for the length of the transaction, of each kind the longest due first. The
/// kinds take turns, so that none waits for the backlog of another. Messages that another relay has claimed are passed over, and
/// so are paused kinds and those `aside`. What is beyond the window is locked too, and free for the next round of any relay when
/// the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn claim_due(
    tx: &DatabaseTransaction,
    moment: Moment,
    window: Window,
    aside: &[String],
) -> Result<Claimed, DbErr> {
    // A planner that knows nothing of the backlog must not read all of it, nor all jobs: `OFFSET 0` keeps it from joining tables, so
    // that each job is found by its id.
    let statement = with_kinds(tx.get_database_backend(), aside)
        .either(
            ", due AS (SELECT one.* FROM kinds CROSS JOIN LATERAL (SELECT one.job_id, one.kind, one.seq, one.sends, one.due_at",
            // SQLite has no LATERAL. A relay there has no neighbours either.
            ", due AS (SELECT outbox.job_id, outbox.kind, outbox.seq, outbox.sends, outbox.due_at FROM kinds CROSS JOIN outbox \
             WHERE outbox.job_id IN (SELECT one.job_id",
        )
        .text(" FROM outbox AS one WHERE ")
        .either(STRETCH, "one.kind = kinds.kind AND one.due_at <= ")
        .moment(moment)
        .either(") ORDER BY one.kind, one.due_at, one.job_id LIMIT ", " ORDER BY one.due_at, one.job_id LIMIT ")
        .bind(i64::from(window.of_a_kind))
        .either(" FOR UPDATE SKIP LOCKED) AS one)", "))")
        .text(
            ", turns AS (SELECT due.*, row_number() OVER (PARTITION BY kind ORDER BY due_at, job_id) AS turn FROM due), \
             chosen AS (SELECT * FROM turns ORDER BY turn, due_at, job_id LIMIT ",
        )
        .bind(i64::from(window.messages))
        .text("), sized AS (SELECT chosen.*, job.version, job.payload, job.traceparent, SUM(")
        // Postgres knows the length of a stored text without reading it.
        .either("octet_length(job.payload)", "length(CAST(job.payload AS BLOB))")
        .text(
            ") OVER (ORDER BY turn, due_at, job_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM chosen ",
        )
        .either(
            "CROSS JOIN LATERAL (SELECT version, payload, traceparent FROM jobs WHERE jobs.id = chosen.job_id OFFSET 0) AS job",
            "JOIN jobs AS job ON job.id = chosen.job_id",
        )
        .text(
            ") SELECT job_id, sized.kind, sized.seq, sends, version, payload, traceparent, \
             (SELECT count(*) FROM turns WHERE turn = 1) FROM sized WHERE COALESCE(before, 0) < ",
        )
        .bind(i64::from(window.bytes))
        .text(" ORDER BY turn, due_at, job_id")
        .build();
    let rows = tx.query_all_raw(statement).await?;
    let kinds: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(7))?;
    Ok(Claimed {
        due: rows.iter().map(Due::read).collect::<Result<_, _>>()?,
        kinds: u32::try_from(kinds).unwrap_or(u32::MAX),
    })
}

/// The message of a kind that has been due for the longest time, without a claim to it: whoever sends it must not remove it, since
/// nothing keeps a [reconciliation](super::reconcile) from passing over it meanwhile. `None` also for a paused kind.
///
/// # Errors
/// Whatever the database answers.
pub async fn longest_due(
    connection: &impl ConnectionTrait,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<Option<Due>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT outbox.job_id, outbox.kind, outbox.seq, outbox.sends, jobs.version, jobs.payload, jobs.traceparent \
             FROM outbox JOIN jobs ON jobs.id = outbox.job_id WHERE outbox.due_at <= ",
        )
        .bind(now)
        .text(" AND outbox.kind = ")
        .bind(kind)
        .text(
            " AND outbox.kind NOT IN (SELECT kind FROM paused_kinds) ORDER BY outbox.due_at, outbox.job_id LIMIT 1",
        )
        .build();
    connection.query_one_raw(statement).await?.as_ref().map(Due::read).transpose()
}

/// The messages that are due and not sent, of kinds that are not paused.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    /// How many, up to the number that was to be counted of each kind.
    pub messages: i64,
    /// Since when the oldest of them is due.
    pub oldest: Option<DateTime<Utc>>,
    /// What the broker said of one of the oldest of some kind.
    pub last_error: Option<String>,
}

/// So many of the oldest messages of a kind are asked what the broker said of them.
const OLDEST: u32 = 10;

/// What waits although it is due. Of each kind at most `most` are counted.
///
/// # Errors
/// Whatever the database answers.
pub async fn backlog(
    connection: &impl ConnectionTrait,
    now: DateTime<Utc>,
    most: u32,
) -> Result<Backlog, DbErr> {
    let of_a_kind = |sql: Sql, what: &str, column: &str, most: u32| {
        sql.text(&format!(
            "(SELECT {what}(value) FROM (SELECT one.{column} AS value FROM outbox AS one WHERE "
        ))
        .either(STRETCH, "one.kind = kinds.kind AND one.due_at <= ")
        .bind(now)
        .either("::timestamptz) ORDER BY one.kind, one.due_at LIMIT ", " ORDER BY one.due_at LIMIT ")
        .bind(i64::from(most))
        .text(") AS due)")
    };
    let sql = with_kinds(connection.get_database_backend(), &[]).text(" SELECT CAST(COALESCE(sum(");
    let sql = of_a_kind(sql, "count", "due_at", most).text("), 0) AS BIGINT), min(");
    let sql = of_a_kind(sql, "min", "due_at", 1).text("), max(");
    // The error alone is not in the index.
    let statement = of_a_kind(sql, "max", "last_error", OLDEST).text(") FROM kinds").build();
    let Some(row) = connection.query_one_raw(statement).await? else { return Ok(Backlog::default()) };
    Ok(Backlog {
        messages: row.try_get_by_index(0)?,
        oldest: row.try_get_by_index(1)?,
        last_error: row.try_get_by_index(2)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::TimeDelta;
    use rstest::rstest;
    use sea_orm::Statement;

    use super::*;
    use crate::queue::job::{self, NewJob, Origin};
    use crate::queue::outbox::{Cause, NewMessage, noticing, of_jobs, put, remove_sent};
    use crate::queue::pause;
    use crate::testing::TestDatabase;

    const EVERYTHING: Window = Window { messages: 100, of_a_kind: 100, bytes: u32::MAX };

    /// Writes as many jobs with messages that are due since `due_at`, a millisecond apart.
    async fn waiting(
        tx: &DatabaseTransaction,
        kind: &'static str,
        payloads: &[usize],
        due_at: DateTime<Utc>,
    ) -> Vec<JobId> {
        let new = |bytes: &usize| NewJob {
            id: JobId::new(),
            kind,
            version: 1,
            origin: Origin::Enqueue,
            max_attempts: 1,
            payload: "\u{e4}".repeat(bytes / 2),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
        };
        let jobs: Vec<NewJob> = payloads.iter().map(new).collect();
        job::insert(tx, &jobs, due_at).await.unwrap();
        let due = |nth: usize| due_at + TimeDelta::milliseconds(i64::try_from(nth).unwrap());
        let message = |(nth, job): (usize, &NewJob)| NewMessage {
            job_id: job.id,
            kind: kind.to_owned(),
            seq: 1,
            cause: Cause::Publish,
            reason: None,
            waits_for: None,
            due_at: due(nth),
        };
        let messages: Vec<NewMessage> = jobs.iter().enumerate().map(message).collect();
        put(tx, &messages, due_at).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    }

    async fn claimed(tx: &DatabaseTransaction, window: Window, aside: &[String]) -> Vec<JobId> {
        let later = Clock::default().now(tx).await.unwrap() + TimeDelta::minutes(1);
        let claimed = claim_due(tx, Moment::At(later), window, aside).await.unwrap();
        claimed.due.into_iter().map(|one| one.job_id).collect()
    }

    #[rstest]
    #[tokio::test]
    async fn a_window_ends_with_its_bytes_and_a_message_that_is_larger_goes_alone(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let ids = waiting(&tx, "letter", &[5_000, 400, 400, 400], now).await;
        let claim =
            async |messages, bytes| claimed(&tx, Window { messages, of_a_kind: messages, bytes }, &[]).await;
        assert_eq!(claim(10, 1_000).await, ids[..1], "too large for the window, and sent all the same");
        remove_sent(&tx, &[(ids[0], 1)]).await.unwrap();
        assert_eq!(claim(10, 800).await, ids[1..3]);
        assert_eq!(claim(1, 800).await, ids[1..2]);
        assert_eq!(claim(10, 1_000_000).await, ids[1..]);
    }

    #[rstest]
    #[tokio::test]
    async fn kinds_take_turns_and_the_backlog_of_one_holds_up_no_other(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let old = waiting(&tx, "letter", &[400; 50], now - TimeDelta::hours(1)).await;
        let new = waiting(&tx, "parcel", &[400; 2], now).await;
        let turns = [old[0], new[0], old[1], new[1], old[2]];
        let narrow = Window { messages: 5, of_a_kind: 5, bytes: u32::MAX };
        assert_eq!(claimed(&tx, narrow, &[]).await, turns);
        let small = Window { bytes: 1_000, ..EVERYTHING };
        assert_eq!(claimed(&tx, small, &[]).await, turns[..3], "nor do its bytes");
        let few = Window { of_a_kind: 1, ..EVERYTHING };
        assert_eq!(claimed(&tx, few, &[]).await, turns[..2]);
        let all = claim_due(&tx, Moment::At(now), EVERYTHING, &[]).await.unwrap();
        assert_eq!((all.due.len(), all.kinds), (51, 2), "one is not due yet");
    }

    #[rstest]
    #[tokio::test]
    async fn what_is_paused_or_set_aside_is_neither_seen_nor_claimed_nor_counted(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let nothing = next_due(&tx, database.clock(), &[]).await.unwrap();
        assert_eq!(nothing.1, None);
        assert_eq!(claim_due(&tx, Moment::At(now), EVERYTHING, &[]).await.unwrap().kinds, 0);
        assert_eq!(backlog(&tx, now, 10).await.unwrap(), Backlog::default());
        let hour = now - TimeDelta::hours(1);
        waiting(&tx, "bill", &[2; 3], hour).await;
        let letters = waiting(&tx, "letter", &[2; 3], now).await;
        waiting(&tx, "parcel", &[2; 3], hour).await;
        pause::pause(&tx, "bill", "test", "", now).await.unwrap();
        let aside = ["parcel".to_owned()];
        assert_eq!(next_due(&tx, database.clock(), &aside).await.unwrap().1, Some(now));
        assert_eq!(claimed(&tx, EVERYTHING, &aside).await, letters);
        assert_eq!(next_due(&tx, database.clock(), &[]).await.unwrap().1, Some(hour));
        let later = now + TimeDelta::minutes(1);
        let counted = backlog(&tx, later, 10).await.unwrap();
        assert_eq!((counted.messages, counted.oldest), (6, Some(hour)), "what is set aside waits too");
        assert_eq!(backlog(&tx, later, 2).await.unwrap().messages, 4, "two of each kind");
    }

    #[tokio::test]
    async fn a_backlog_that_is_passed_over_is_not_read() {
        let Some(test) = TestDatabase::postgres().await else { return };
        let database = test.database();
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        for kind in ["bill", "parcel"] {
            waiting(&tx, kind, &vec![2; 3_000], now - TimeDelta::hours(1)).await;
        }
        let letters = waiting(&tx, "letter", &[2; 3], now).await;
        pause::pause(&tx, "bill", "test", "", now).await.unwrap();
        tx.commit().await.unwrap();
        let tx = database.begin().await.unwrap();
        let aside = ["parcel".to_owned()];
        assert_eq!(next_due(&tx, database.clock(), &aside).await.unwrap().1, Some(now));
        assert_eq!(claimed(&tx, EVERYTHING, &aside).await, letters);
        backlog(&tx, now, 10).await.unwrap();
        let sql = "SELECT sum(idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_xact_user_tables WHERE relname IN ('outbox', 'jobs')";
        let read = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
        let rows: i64 = read.try_get_by_index(0).unwrap();
        assert!(rows < 100, "{rows} rows of 12,006");
    }

    #[rstest]
    #[tokio::test]
    async fn who_wrote_a_message_is_noticed_and_who_only_looked_is_not(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let (now, made_due) = noticing(next_due(database.read(), database.clock(), &[])).await;
        assert!(!made_due);
        let now = now.unwrap().0;
        let tx = database.begin().await.unwrap();
        let (ids, made_due) = noticing(waiting(&tx, "letter", &[10], now)).await;
        assert!(made_due);
        tx.commit().await.unwrap();
        let (_, due) = next_due(database.read(), database.clock(), &[]).await.unwrap();
        assert_eq!(due, Some(now));
        assert_eq!(of_jobs(database.read(), &ids).await.unwrap().len(), 1);
    }
}
