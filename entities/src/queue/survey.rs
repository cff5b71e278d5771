//! The queue at a glance: what whoever looks after it wants to know. Reads only.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use super::outbox::{self, Backlog};
use crate::database::Sql;

/// Of each kind so many overdue messages are counted.
const MOST_OVERDUE: u32 = 10_000;

/// The queue as it is at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Survey {
    /// What should have been sent, of kinds that are not paused.
    pub overdue: Backlog,
    /// Dead letters that wait for a decision.
    pub open_letters: i64,
    /// Leases that expired and were not put back.
    pub expired_leases: i64,
    /// When the longest of them expired.
    pub oldest_expiry: Option<DateTime<Utc>>,
    /// The kinds of unfinished jobs, by name.
    pub unfinished_kinds: Vec<String>,
}

/// Looks.
///
/// # Errors
/// Whatever the database answers.
pub async fn survey(connection: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Survey, DbErr> {
    let overdue = outbox::backlog(connection, now, MOST_OVERDUE).await?;
    let mut found = Survey { overdue, ..Survey::default() };
    let letters = Sql::new(connection.get_database_backend())
        .text("SELECT count(*) FROM dead_letters WHERE state = 'open'")
        .build();
    if let Some(row) = connection.query_one_raw(letters).await? {
        found.open_letters = row.try_get_by_index(0)?;
    }
    let leases = Sql::new(connection.get_database_backend())
        .text("SELECT count(*), min(expires_at) FROM leases WHERE owner IS NOT NULL AND lease_key LIKE 'run:%' AND expires_at <= ")
        .bind(now)
        .build();
    if let Some(row) = connection.query_one_raw(leases).await? {
        found.expired_leases = row.try_get_by_index(0)?;
        found.oldest_expiry = row.try_get_by_index(1)?;
    }
    let kinds = Sql::new(connection.get_database_backend())
        .text("SELECT DISTINCT kind FROM jobs WHERE state IN ('pending', 'running') ORDER BY kind")
        .build();
    for row in connection.query_all_raw(kinds).await? {
        found.unfinished_kinds.push(row.try_get_by_index(0)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rstest::rstest;
    use sea_orm::DbBackend;

    use super::*;
    use crate::ids::JobId;
    use crate::queue::job::{self, NewJob, Origin};
    use crate::queue::outbox::{self, Cause, NewMessage};
    use crate::queue::pause;
    use crate::testing::TestDatabase;

    #[rstest]
    #[tokio::test]
    async fn what_waits_for_the_relay_is_seen_and_what_is_paused_is_not_counted(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let now = database.clock().now(database.read()).await.unwrap();
        assert_eq!(survey(database.read(), now).await.unwrap(), Survey::default());

        let tx = database.begin().await.unwrap();
        let id = JobId::new();
        let new = NewJob {
            id,
            kind: "apple",
            version: 1,
            origin: Origin::Enqueue,
            max_attempts: 1,
            payload: "{}".to_owned(),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
        };
        job::insert(&tx, &[new], now).await.unwrap();
        let message = NewMessage {
            job_id: id,
            kind: "apple".to_owned(),
            seq: 1,
            cause: Cause::Publish,
            reason: None,
            waits_for: None,
            due_at: now,
        };
        outbox::put(&tx, &[message], now).await.unwrap();
        outbox::note_refused(&tx, &[(id, "no queue".to_owned(), now)]).await.unwrap();
        tx.commit().await.unwrap();
        let found = survey(database.read(), now).await.unwrap();
        assert_eq!((found.overdue.messages, found.overdue.oldest), (1, Some(now)));
        assert_eq!(found.overdue.last_error.as_deref(), Some("no queue"));
        assert_eq!(found.unfinished_kinds, ["apple"]);

        let tx = database.begin().await.unwrap();
        pause::pause(&tx, "apple", "tester", "for a test", now).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(survey(database.read(), now).await.unwrap().overdue.messages, 0);
    }
}
