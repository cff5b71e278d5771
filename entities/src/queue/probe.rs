//! A write that changes nothing: proof that the database takes what is written, and reads it back.

use sea_orm::{ConnectionTrait, DbErr};

use crate::database::{Database, Sql};
use crate::ids::JobId;

/// Writes a lease that nobody holds, takes it away again, and commits; then reads on the connections that read. A disk that is
/// full, a server that is read-only and one that is gone all fail here. A crash leaves nothing behind.
///
/// # Errors
/// Whatever the database answers: it does not take what is written at the moment.
pub async fn write(database: &Database) -> Result<(), DbErr> {
    let key = format!("probe:{}", JobId::new());
    let tx = database.begin().await?;
    let insert = Sql::new(database.backend())
        .text("INSERT INTO leases (lease_key, term) VALUES (")
        .bind(key.clone())
        .text(", 0)")
        .build();
    tx.execute_raw(insert).await?;
    let delete = Sql::new(database.backend()).text("DELETE FROM leases WHERE lease_key = ").bind(key).build();
    tx.execute_raw(delete).await?;
    tx.commit().await?;
    let read = Sql::new(database.backend()).text("SELECT 1 FROM leases LIMIT 1").build();
    database.read().query_one_raw(read).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use sea_orm::ConnectionTrait;

    use super::*;
    use crate::testing::TestDatabase;

    #[tokio::test]
    async fn a_probe_leaves_nothing_behind_and_fails_where_nothing_can_be_written() {
        for test in TestDatabase::each().await {
            let database = test.database();
            write(database).await.unwrap();
            let count = Sql::new(database.backend()).text("SELECT count(*) FROM leases").build();
            let row = test.reopen().await.read().query_one_raw(count).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0);
            database.write().execute_unprepared("DROP TABLE leases").await.unwrap();
            write(database).await.unwrap_err();
        }
    }
}
