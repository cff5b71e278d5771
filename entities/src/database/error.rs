//! Why a database could not be opened, and what to do about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sea_orm::DbErr;

use super::fault::sqlite_code;

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
    /// The server does not answer or refuses us.
    #[error(
        "{location} cannot be reached or refuses the login: check that it runs, the name of the database, user and password"
    )]
    Unreachable {
        /// The URL without credentials.
        location: String,
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
}
