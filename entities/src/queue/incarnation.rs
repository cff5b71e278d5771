//! `broker_incarnation`: which life of the broker knows the messages of this database. One row.
//!
//! The broker holds the same id. A broker that does not know it has lost its messages, or was never told any.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use uuid::Uuid;

use crate::database::Sql;
use crate::ids::Incarnation;

/// The incarnation that the messages were told to; `None` if none was.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait) -> Result<Option<Incarnation>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT incarnation FROM broker_incarnation WHERE id = 1")
        .build();
    let found = connection.query_one_raw(statement).await?.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(found.and_then(known))
}

/// The same, and nobody else reads it with this function or replaces it until the transaction ends. The first one ever to ask
/// leaves an empty row, so that there is something to lock.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, now: DateTime<Utc>) -> Result<Option<Incarnation>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO broker_incarnation (id, incarnation, since) VALUES (1, ")
        .bind(Uuid::nil())
        .text(", ")
        .bind(now)
        // An update that changes nothing locks the row, which `DO NOTHING` would not.
        .text(") ON CONFLICT (id) DO UPDATE SET id = 1 RETURNING incarnation")
        .build();
    let found = tx.query_one_raw(statement).await?.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(found.and_then(known))
}

/// Writes that the messages are told to `incarnation` from now on.
///
/// # Errors
/// Whatever the database answers.
pub async fn replace(
    tx: &DatabaseTransaction,
    incarnation: Incarnation,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO broker_incarnation (id, incarnation, since) VALUES (1, ")
        .bind(incarnation)
        .text(", ")
        .bind(now)
        .text(") ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, since = excluded.since")
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

fn known(stored: Uuid) -> Option<Incarnation> {
    (!stored.is_nil()).then_some(Incarnation(stored))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rstest::rstest;
    use sea_orm::DbBackend;

    use super::*;
    use crate::testing::TestDatabase;

    #[rstest]
    #[tokio::test]
    async fn the_incarnation_is_unknown_until_it_is_replaced_and_then_stays(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let now = database.clock().now(database.read()).await.unwrap();
        assert_eq!(find(database.read()).await.unwrap(), None);

        let tx = database.begin().await.unwrap();
        assert_eq!(lock(&tx, now).await.unwrap(), None);
        tx.commit().await.unwrap();
        assert_eq!(find(database.read()).await.unwrap(), None, "a look makes nothing known");

        let (first, second) = (Incarnation::new(), Incarnation::new());
        for incarnation in [first, second] {
            let tx = database.begin().await.unwrap();
            replace(&tx, incarnation, now).await.unwrap();
            assert_eq!(lock(&tx, now).await.unwrap(), Some(incarnation));
            tx.commit().await.unwrap();
        }
        let other_process = test.reopen().await;
        assert_eq!(find(other_process.read()).await.unwrap(), Some(second));
    }

    /// Two programs that find the broker empty at the same moment: the second one has to see what the first one did.
    #[rstest]
    #[tokio::test]
    async fn who_locks_second_sees_what_the_first_one_wrote(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let now = database.clock().now(database.read()).await.unwrap();
        let first = database.begin().await.unwrap();
        assert_eq!(lock(&first, now).await.unwrap(), None);
        let second = tokio::spawn({
            let database = database.clone();
            async move {
                let tx = database.begin().await.unwrap();
                let found = lock(&tx, now).await.unwrap();
                tx.commit().await.unwrap();
                found
            }
        });
        let incarnation = Incarnation::new();
        replace(&first, incarnation, now).await.unwrap();
        first.commit().await.unwrap();
        assert_eq!(second.await.unwrap(), Some(incarnation));
    }
}
