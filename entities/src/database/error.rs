//! Why a database could not be opened, and what to do about it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr, sqlx};

use super::Location;
use super::fault::sqlite_code;
use super::tls::{TlsFault, TlsOptionsError};

/// The file of the write-ahead log's index cannot grow: how a full disk shows while a database is opened.
const SQLITE_IOERR_SHMSIZE: i32 = 4874;

/// A database that cannot be opened. The message names the file or server and the remedy, never a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The URL's scheme is not one of ours.
    #[error("`{scheme}` is no database ackord knows: give sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")]
    UnknownScheme {
        /// What stood before the colon.
        scheme: String,
    },
    /// `sqlite:` without a file, or a database in memory, which no second process could read.
    #[error(
        "sqlite: needs the path of a file, for example sqlite:ackord.db (a database in memory would lose jobs)"
    )]
    NoPath,
    /// The folder of the file cannot be made.
    #[error("the folder {} cannot be made: check its owner and rights", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The file is not there and may not be made.
    #[error("there is no database at {}: run `ackord up` or `ackord schema up` first, or name another with --database", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} is not a SQLite database: name another file with --database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: DbErr,
    },
    /// The file or its folder cannot be written.
    #[error("{} cannot be written: check the rights of the file and of its folder (SQLite writes two files beside it)", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: DbErr,
    },
    /// Another process holds the file for longer than we wait.
    #[error("{} is locked by another process: end it, or try again", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: DbErr,
    },
    /// The disk is full.
    #[error("there is no space left for {}: free some and start again, nothing was lost", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: DbErr,
    },
    /// Any other failure on a file.
    #[error("{} cannot be opened as a database", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: DbErr,
    },
    /// The URL cannot be read.
    #[error("the database's URL cannot be used: give postgres://USER:PASSWORD@HOST:PORT/NAME")]
    Url {
        /// What the driver said.
        source: DbErr,
    },
    /// The server does not answer.
    #[error(
        "{location} cannot be reached: check that it runs, its name and port, and the network in between"
    )]
    Unreachable {
        /// The URL without credentials.
        location: String,
        /// What the driver said.
        source: DbErr,
    },
    /// The server refuses us.
    #[error("{location} refuses the login: check user and password, and the server's pg_hba.conf")]
    Login {
        /// The URL without credentials.
        location: String,
        /// What the driver said.
        source: DbErr,
    },
    /// The server does not know the database.
    #[error("{location} has no such database: make it with CREATE DATABASE, or name another")]
    NoDatabase {
        /// The URL without credentials.
        location: String,
        /// What the driver said.
        source: DbErr,
    },
    /// The server has no connection left.
    #[error(
        "{location} takes no more connections: end other clients, raise its max_connections, or put a pooler before it"
    )]
    Busy {
        /// The URL without credentials.
        location: String,
        /// What the driver said.
        source: DbErr,
    },
    /// What the URL says about TLS cannot be done.
    #[error("the URL of {location} cannot be used")]
    TlsOptions {
        /// The URL without credentials.
        location: String,
        /// What is wrong with which parameter.
        source: TlsOptionsError,
    },
    /// The connection cannot be encrypted, or the server not be trusted, as the URL asks for.
    #[error("{location} {fault}")]
    Tls {
        /// The URL without credentials.
        location: String,
        /// What is wrong, with the remedy.
        fault: TlsFault,
        /// What the driver said.
        source: DbErr,
    },
}

impl DatabaseError {
    /// The error for a SQLite file, by SQLite's own code.
    #[must_use]
    pub fn sqlite(path: &Path, source: DbErr) -> Self {
        let path = path.to_owned();
        // The low byte is the primary code: https://www.sqlite.org/rescode.html
        let code = sqlite_code(&source);
        if code == Some(SQLITE_IOERR_SHMSIZE) {
            return Self::Full { path, source };
        }
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Locked { path, source },
            Some(8) => Self::ReadOnly { path, source },
            Some(13) => Self::Full { path, source },
            Some(14) if path.exists() || path.parent().is_some_and(Path::exists) => {
                Self::ReadOnly { path, source }
            }
            Some(26 | 11) => Self::NotADatabase { path, source },
            _ => Self::Open { path, source },
        }
    }

    /// The error for a Postgres server that was connected to for the first time.
    #[must_use]
    pub fn postgres(location: &Location, source: sqlx::Error) -> Self {
        let location = location.to_string();
        let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Cow::into_owned);
        let tls = TlsFault::of(&source);
        let is_configuration = matches!(source, sqlx::Error::Configuration(_));
        let source = DbErr::Conn(RuntimeErr::SqlxError(Arc::new(source)));
        match code.as_deref() {
            Some("28000" | "28P01") => Self::Login { location, source },
            Some("3D000") => Self::NoDatabase { location, source },
            Some("53300") => Self::Busy { location, source },
            _ if is_configuration => Self::Url { source },
            _ => match tls {
                Some(fault) => Self::Tls { location, fault, source },
                None => Self::Unreachable { location, source },
            },
        }
    }
}
