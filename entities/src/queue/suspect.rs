//! `suspects`: jobs that may have killed a process, with how often they were started since.
//!
//! A row counts what ended a process as far as it is known, and the newest start, of which nothing is known yet. The first start may
//! have been in company, and counts nothing. Who records
//! the next start finds out first what became of the one before: a process that outlived it was not killed by it, and the new
//! start takes its place.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QuerySelect};

use crate::database::Sql;
use crate::ids::JobId;

/// After this many starts that counted a job that still has no end is given up.
pub const MAX_STARTS: i32 = 3;

/// For this long what is recorded of a job without a row is kept: a message that was published directly has none before its
/// first commit.
const KEPT_WITHOUT_JOB: TimeDelta = TimeDelta::days(1);

/// A suspect.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suspects")]
pub struct Model {
    /// The job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    /// Starts that count, the newest among them while nobody has found out that its process outlived it.
    pub starts: i32,
    /// The newest.
    pub last_started_at: DateTime<Utc>,
    /// Who made it: a name of `processes`. `None` says that it was none after all, or that an older program made it; then all of
    /// `starts` are known to have ended their processes.
    pub started_by: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What is recorded of `job`.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait, job: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(job).one(connection).await
}

/// The same, locked until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, job: JobId) -> Result<Option<Model>, DbErr> {
    let mut select = Entity::find_by_id(job);
    if tx.get_database_backend() == DbBackend::Postgres {
        select = select.lock_exclusive();
    }
    select.one(tx).await
}

/// Starts recorded for `job`; zero if it is no suspect.
///
/// # Errors
/// Whatever the database answers.
pub async fn starts(connection: &impl ConnectionTrait, job: JobId) -> Result<i32, DbErr> {
    Ok(find(connection, job).await?.map_or(0, |suspect| suspect.starts))
}

/// Records a start of `job`. Committed before the start, so that a start that kills the process is counted. With `instead` it
/// takes the place of the newest one, whose process is known to have outlived it.
///
/// # Errors
/// Whatever the database answers.
pub async fn record_start(
    tx: &DatabaseTransaction,
    job: JobId,
    worker: &str,
    now: DateTime<Utc>,
    instead: bool,
) -> Result<(), DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO suspects (job_id, starts, last_started_at, started_by) VALUES (")
        .bind(job)
        .text(", 1, ")
        .bind(now)
        .text(", ")
        .bind(worker)
        .text(") ON CONFLICT (job_id) DO UPDATE SET last_started_at = excluded.last_started_at, started_by = excluded.started_by")
        // The start in company that it may take the place of did not count.
        .text(if instead {
            ", starts = CASE WHEN suspects.starts < 1 THEN 1 ELSE suspects.starts END"
        } else {
            ", starts = suspects.starts + 1"
        })
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// Records the start of `job`, of which nothing is recorded yet, in the company of others. It does not count, and says at the next
/// death who was there.
///
/// # Errors
/// Whatever the database answers.
pub async fn record_company(
    tx: &DatabaseTransaction,
    job: JobId,
    worker: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO suspects (job_id, starts, last_started_at, started_by) VALUES (")
        .bind(job)
        .text(", 0, ")
        .bind(now)
        .text(", ")
        .bind(worker)
        .text(")")
        .build();
    tx.execute_raw(statement).await.map(drop)
}

/// Takes back the start of `job` that `worker` has recorded: it did not begin after all.
///
/// # Errors
/// Whatever the database answers.
pub async fn take_back_start(tx: &DatabaseTransaction, job: JobId, worker: &str) -> Result<(), DbErr> {
    let backend = tx.get_database_backend();
    let fewer = Sql::new(backend)
        .text("UPDATE suspects SET starts = starts - 1, started_by = NULL WHERE job_id = ")
        .bind(job)
        .text(" AND started_by = ")
        .bind(worker)
        .build();
    tx.execute_raw(fewer).await?;
    let none =
        Sql::new(backend).text("DELETE FROM suspects WHERE starts <= 0 AND job_id = ").bind(job).build();
    tx.execute_raw(none).await?;
    Ok(())
}

/// Clears the suspicion: the jobs got to an end, or to an orderly failure.
///
/// # Errors
/// Whatever the database answers.
pub async fn clear(tx: &DatabaseTransaction, jobs: &[JobId]) -> Result<(), DbErr> {
    if jobs.is_empty() {
        return Ok(());
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("DELETE FROM suspects WHERE ")
        .any_of("job_id", jobs.iter().map(|id| id.0))
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// Clears what is recorded of jobs that have ended, whoever ended them, and of jobs that have had no row for a day. Answers how
/// many went. Looks first: there is hardly ever anything to clear.
///
/// # Errors
/// Whatever the database answers.
pub async fn sweep(
    reading: &impl ConnectionTrait,
    writing: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let over = |sql: Sql| {
        sql.text(
            "(EXISTS (SELECT 1 FROM jobs WHERE jobs.id = suspects.job_id AND jobs.finished_at IS NOT NULL) \
             OR (last_started_at < ",
        )
        .bind(now - KEPT_WITHOUT_JOB)
        .text(" AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = suspects.job_id)))")
    };
    let look = Sql::new(reading.get_database_backend()).text("SELECT 1 FROM suspects WHERE ");
    if reading.query_one_raw(over(look).text(" LIMIT 1").build()).await?.is_none() {
        return Ok(0);
    }
    let clear = Sql::new(writing.get_database_backend()).text("DELETE FROM suspects WHERE ");
    Ok(writing.execute_raw(over(clear).build()).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rstest::rstest;

    use super::*;
    use crate::queue::job::{self, NewJob, Origin, Transition};
    use crate::queue::state::JobState;
    use crate::testing::TestDatabase;

    #[rstest]
    #[tokio::test]
    async fn a_start_that_was_survived_or_taken_back_counts_nothing(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let now = database.clock().now(database.read()).await.unwrap();
        let job = JobId::new();
        let tx = database.begin().await.unwrap();
        record_start(&tx, job, "one", now, false).await.unwrap();
        record_start(&tx, job, "two", now, true).await.unwrap();
        assert_eq!(starts(&tx, job).await.unwrap(), 1, "the first one was survived");
        record_start(&tx, job, "three", now, false).await.unwrap();
        let found = lock(&tx, job).await.unwrap().unwrap();
        assert_eq!((found.starts, found.started_by.as_deref()), (2, Some("three")));
        take_back_start(&tx, job, "two").await.unwrap();
        assert_eq!(starts(&tx, job).await.unwrap(), 2, "it is not the newest any more");
        take_back_start(&tx, job, "three").await.unwrap();
        let found = find(&tx, job).await.unwrap().unwrap();
        assert_eq!((found.starts, found.started_by), (1, None));
        record_start(&tx, job, "four", now, false).await.unwrap();
        take_back_start(&tx, job, "four").await.unwrap();
        assert_eq!(starts(&tx, job).await.unwrap(), 1);

        for (survived, count) in [(false, 1), (true, 1)] {
            let job = JobId::new();
            record_company(&tx, job, "one", now).await.unwrap();
            assert_eq!(starts(&tx, job).await.unwrap(), 0);
            record_start(&tx, job, "two", now, survived).await.unwrap();
            assert_eq!(starts(&tx, job).await.unwrap(), count, "the start in company did not count");
        }
        tx.commit().await.unwrap();
    }

    #[rstest]
    #[tokio::test]
    async fn what_is_recorded_goes_with_the_end_of_its_job(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let now = database.clock().now(database.read()).await.unwrap();
        let [waiting, ended, unknown, forgotten] = std::array::from_fn(|_| JobId::new());
        let tx = database.begin().await.unwrap();
        job::insert(&tx, &[waiting, ended].map(new_job), now).await.unwrap();
        job::transition(&tx, &[success(ended)], now).await.unwrap();
        for one in [waiting, ended, unknown] {
            record_start(&tx, one, "one", now, false).await.unwrap();
        }
        record_start(&tx, forgotten, "one", now - KEPT_WITHOUT_JOB - TimeDelta::seconds(1), false)
            .await
            .unwrap();
        tx.commit().await.unwrap();

        assert_eq!(sweep(database.read(), database.write(), now).await.unwrap(), 2);
        assert_eq!(sweep(database.read(), database.write(), now).await.unwrap(), 0);
        for (one, left) in [(waiting, 1), (ended, 0), (unknown, 1), (forgotten, 0)] {
            assert_eq!(starts(database.read(), one).await.unwrap(), left);
        }
    }

    fn new_job(id: JobId) -> NewJob {
        NewJob {
            id,
            kind: "short",
            version: 1,
            origin: Origin::Enqueue,
            max_attempts: 3,
            payload: "{}".to_owned(),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
        }
    }

    fn success(id: JobId) -> Transition {
        Transition {
            id,
            seq: 1,
            next_seq: 1,
            state: JobState::Succeeded,
            attempt: 1,
            deferrals: 0,
            started_at: None,
            error: None,
            result: None,
        }
    }
}
