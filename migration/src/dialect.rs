//! One text of SQL for both databases.
//!
//! A migration writes its statements once, with these placeholders for what the two databases spell differently:
//!
//! | placeholder | Postgres | SQLite |
//! |---|---|---|
//! | `$uuid` | `uuid` | `BLOB` |
//! | `$time` | `timestamptz` | `TEXT` |
//! | `$bytes` | `bytea` | `BLOB` |
//! | `$big` | `bigint` | `INTEGER` |
//! | `$int` | `integer` | `INTEGER` |
//! | `$bool` | `boolean` | `INTEGER` |
//! | `$real` | `double precision` | `REAL` |
//! | `$strict` | nothing | `STRICT` (types are checked) |
//! | `$compact` | nothing | `STRICT, WITHOUT ROWID` (one tree; for small rows with a key of their own) |

use sea_orm_migration::SchemaManager;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr};

const PLACEHOLDERS: [(&str, &str, &str); 9] = [
    ("$uuid", "uuid", "BLOB"),
    ("$time", "timestamptz", "TEXT"),
    ("$bytes", "bytea", "BLOB"),
    ("$big", "bigint", "INTEGER"),
    ("$int", "integer", "INTEGER"),
    ("$bool", "boolean", "INTEGER"),
    ("$real", "double precision", "REAL"),
    ("$strict", "", "STRICT"),
    ("$compact", "", "STRICT, WITHOUT ROWID"),
];

/// Runs each statement of `statements`, in order, in the dialect of the connected database.
pub(crate) async fn execute_all(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    for statement in statements {
        connection.execute_unprepared(&render(connection.get_database_backend(), statement)).await?;
    }
    Ok(())
}

fn render(backend: DbBackend, statement: &str) -> String {
    PLACEHOLDERS.iter().fold(statement.to_owned(), |sql, (placeholder, postgres, sqlite)| {
        sql.replace(placeholder, if backend == DbBackend::Postgres { postgres } else { sqlite })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_becomes_the_type_of_its_database() {
        let sql = "CREATE TABLE t (id $uuid, at $time, n $big) $strict";
        assert_eq!(render(DbBackend::Sqlite, sql), "CREATE TABLE t (id BLOB, at TEXT, n INTEGER) STRICT");
        assert_eq!(render(DbBackend::Postgres, sql), "CREATE TABLE t (id uuid, at timestamptz, n bigint) ");
    }
}
