//! What a database error means for the work that met it.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

/// What to do about a [`DbErr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The database is not there, is full, or lost the connection: nobody's fault. Hold the work and try again.
    Unavailable,
    /// Two transactions were in each other's way: run the whole transaction again, at once.
    Conflict,
    /// The statement may succeed another time: a unique or foreign key that another job may free or fill, a timeout.
    Transient,
    /// The same statement with the same data fails for ever.
    Permanent,
}

/// Decides what `error` means. The one place that does.
///
/// Postgres: classes of SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>);
/// SQLite: primary result codes (<https://www.sqlite.org/rescode.html>).
#[must_use]
pub fn classify(error: &DbErr) -> Fault {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Fault::Unavailable,
        DbErr::Exec(runtime) | DbErr::Query(runtime) => classify_runtime(runtime),
        DbErr::RecordNotFound(_) | DbErr::RecordNotInserted | DbErr::RecordNotUpdated => Fault::Transient,
        // Everything else is our own mistake in types or statements: it stays one. `DbErr` is non-exhaustive, so a
        // variant that we do not know counts as one of these.
        _ => Fault::Permanent,
    }
}

/// Whether a statement took longer than the server allows. Within a handler that is the job's own affair; the engine's own
/// statements meet it on a server that is overloaded.
#[must_use]
pub fn timed_out(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57014")
}

fn classify_runtime(error: &RuntimeErr) -> Fault {
    match error {
        RuntimeErr::SqlxError(error) => classify_sqlx(error),
        RuntimeErr::Internal(_) => Fault::Permanent,
    }
}

fn classify_sqlx(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(database) => match database
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        {
            Some(postgres) => classify_sqlstate(postgres.code()),
            None => {
                database.code().and_then(|code| code.parse().ok()).map_or(Fault::Permanent, classify_sqlite)
            }
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Fault::Unavailable,
        sqlx::Error::RowNotFound => Fault::Transient,
        _ => Fault::Permanent,
    }
}

fn classify_sqlstate(code: &str) -> Fault {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Fault::Conflict,
        // unique, foreign key, exclusion; query_canceled is a statement timeout
        "23505" | "23503" | "23P01" | "57014" => Fault::Transient,
        // connection exceptions, insufficient resources, operator intervention, system error, read-only transaction
        // (a standby after a failover), idle-in-transaction timeout
        _ if ["08", "53", "57", "58"].contains(&&code[..2.min(code.len())]) => Fault::Unavailable,
        "25006" | "25P03" => Fault::Unavailable,
        _ => Fault::Permanent,
    }
}

fn classify_sqlite(code: i32) -> Fault {
    match code & 0xff {
        // SQLITE_BUSY, SQLITE_LOCKED
        5 | 6 => Fault::Conflict,
        // SQLITE_CONSTRAINT: unique, primary key and foreign key may pass another time, NOT NULL and CHECK may not
        19 => match code {
            // SQLITE_CONSTRAINT_CHECK, _NOTNULL, _DATATYPE
            275 | 1299 | 3091 => Fault::Permanent,
            _ => Fault::Transient,
        },
        // SQLITE_PERM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
        3 | 8 | 9 | 10 | 11 | 13 | 14 | 26 => Fault::Unavailable,
        _ => Fault::Permanent,
    }
}

/// SQLite's own (extended) result code, if `error` carries one.
pub(super) fn sqlite_code(error: &DbErr) -> Option<i32> {
    let (DbErr::Conn(RuntimeErr::SqlxError(sqlx))
    | DbErr::Exec(RuntimeErr::SqlxError(sqlx))
    | DbErr::Query(RuntimeErr::SqlxError(sqlx))) = error
    else {
        return None;
    };
    sqlx.as_database_error()?.code()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_are_told_apart() {
        assert_eq!(classify_sqlstate("40P01"), Fault::Conflict);
        assert_eq!(classify_sqlstate("23505"), Fault::Transient);
        assert_eq!(classify_sqlstate("57P01"), Fault::Unavailable);
        assert_eq!(classify_sqlstate("57014"), Fault::Transient);
        assert_eq!(classify_sqlstate("42601"), Fault::Permanent);
        assert_eq!(classify_sqlstate("23514"), Fault::Permanent);
    }

    #[test]
    fn sqlite_codes_are_told_apart() {
        assert_eq!(classify_sqlite(517), Fault::Conflict);
        assert_eq!(classify_sqlite(2067), Fault::Transient);
        assert_eq!(classify_sqlite(275), Fault::Permanent);
        assert_eq!(classify_sqlite(13), Fault::Unavailable);
        assert_eq!(classify_sqlite(1), Fault::Permanent);
    }
}
