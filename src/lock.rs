//! The lock beside a SQLite file: at most one worker per file. Other verbs work beside it.
//!
//! The system frees the lock when its holder ends, however it ends; the file itself stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::problem::Problem;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct WorkerLock {
    _file: File,
}

/// Takes the lock of the SQLite file `database` for `ackord VERB`.
///
/// # Errors
/// As [`take`]; a verb that is meant to run beside others is told that a file has room for one.
pub(crate) fn take_for(database: &Path, verb: &str) -> Result<WorkerLock, Problem> {
    take(database).map_err(|problem| match verb {
        "work" | "relay" => problem.remedy(
            "one process works on a SQLite file: run `ackord up`, which is everything in one, or keep the jobs in Postgres \
             (--database postgres://..) to run `work` and `relay` beside each other",
        ),
        _ => problem,
    })
}

/// Takes the lock of the SQLite file `database`.
///
/// # Errors
/// Another process holds it, and which; or the file cannot be made.
pub(crate) fn take(database: &Path) -> Result<WorkerLock, Problem> {
    let path = path_of(database);
    let mut file = open(&path).map_err(|error| {
        Problem::new(
            crate::exit::Exit::Database,
            format!("the lock file {} cannot be made: {error}", path.display()),
        )
        .remedy("check the rights of the folder")
    })?;
    match try_take(&mut file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(database, read_holder(&mut file))),
        Err(TryLockError::Error(error)) => {
            return Err(Problem::refused(format!("{} cannot be locked: {error}", path.display()))
                .remedy("put the database on a local disk: some network file systems have no locks"));
        }
    }
    // For people and for `jobs show`; the lock does not depend on it.
    let _ = write_holder(&mut file);
    Ok(WorkerLock { _file: file })
}

/// Another process that only looks (see [`holder`]) has the lock for a moment: it shares it, a worker does not.
fn try_take(file: &mut File) -> Result<(), TryLockError> {
    const LOOKS: usize = 1_000;
    for _ in 0..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            taken => return taken,
        }
        file.try_lock_shared()?;
        file.unlock().map_err(TryLockError::Error)?;
        std::thread::yield_now();
    }
    Err(TryLockError::WouldBlock)
}

/// Whether a worker runs on the SQLite file `database`, and its process id where it is known.
pub(crate) fn holder(database: &Path) -> Option<Holder> {
    let mut file = OpenOptions::new().read(true).open(path_of(database)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(Holder { process: read_holder(&mut file) }),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The process that holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its process id, if it could be read.
    pub(crate) process: Option<u32>,
}

/// Beside the database: `ackord.db.lock`.
fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn in_use(database: &Path, process: Option<u32>) -> Problem {
    let holder = process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
    Problem::refused(format!("{holder} runs a worker on {} already", database.display()))
        .remedy("stop it first, or name another database with --database; publish, jobs and the other verbs work beside it")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_second_worker_is_refused_with_the_first_ones_process() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ackord.db");
        let first = take(&database).unwrap();
        let refusal = take(&database).unwrap_err();
        assert!(refusal.message.contains(&std::process::id().to_string()), "{refusal}");
        assert_eq!(holder(&database), Some(Holder { process: Some(std::process::id()) }));
        drop(first);
        assert_eq!(holder(&database), None);
        take(&database).unwrap();
    }

    #[test]
    fn a_database_without_a_worker_has_no_holder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(&folder.path().join("ackord.db")), None);
    }
}
