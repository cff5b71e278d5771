//! Errors as the user meets them: what is wrong, what to do about it, and the exit code.

use std::fmt;

use ackord_consumers::worker::WorkerError;
use ackord_entities::database::{DatabaseError, Fault, Location, classify};
use ackord_entities::jobs::{CatalogueError, PayloadError};
use ackord_producer::EnqueueError;
use ackord_producer::broker::{BrokerError, ConnectError};
use sea_orm::DbErr;

use crate::exit::Exit;

/// An error that the program itself found, with its exit code.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) remedy: Option<String>,
}

impl Problem {
    /// An error without a remedy beyond its message.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), remedy: None }
    }

    /// The command line, the configuration or a payload is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// The state of things does not allow it.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The problem behind any error: the exit code, the whole chain of causes, the remedy. `location` is the database that was
    /// worked on.
    pub(crate) fn of(error: &anyhow::Error, location: Option<&Location>) -> Self {
        for cause in error.chain() {
            if let Some(problem) = cause.downcast_ref::<Self>() {
                return Self { exit: problem.exit, message: chain(error), remedy: problem.remedy.clone() };
            }
            if let Some(database) = cause.downcast_ref::<DatabaseError>() {
                return Self::new(exit_of_opening(database), chain(error));
            }
            if let Some(database) = cause.downcast_ref::<DbErr>() {
                return of_statement(error, database, location);
            }
            if cause.is::<PayloadError>() || matches!(cause.downcast_ref(), Some(EnqueueError::Payload(_))) {
                return Self::usage(chain(error));
            }
            if let Some(broker) = cause.downcast_ref::<BrokerError>() {
                return Self { remedy: remedy_of_broker(broker), ..Self::new(Exit::Broker, chain(error)) };
            }
            if let Some(broker) = cause.downcast_ref::<ConnectError>() {
                return Self::new(exit_of_connecting(broker), chain(error));
            }
            if let Some(WorkerError::TooSlow(_)) = cause.downcast_ref() {
                return Self::refused(chain(error));
            }
            if cause.is::<CatalogueError>() {
                return Self::not_found(chain(error));
            }
        }
        Self::new(Exit::Failure, chain(error))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

fn chain(error: &anyhow::Error) -> String {
    ackord_entities::error_chain(error.as_ref())
}

/// A URL that cannot be right is the user's; everything else is the database's.
fn exit_of_opening(error: &DatabaseError) -> Exit {
    match error {
        DatabaseError::UnknownScheme { .. } | DatabaseError::NoPath | DatabaseError::TlsOptions { .. } => {
            Exit::Usage
        }
        _ => Exit::Database,
    }
}

/// What stands in the configuration is the user's; everything else is the broker's.
fn exit_of_connecting(error: &ConnectError) -> Exit {
    match error {
        ConnectError::Url { .. } | ConnectError::File { .. } | ConnectError::TlsOptions { .. } => Exit::Usage,
        _ => Exit::Broker,
    }
}

fn remedy_of_broker(error: &BrokerError) -> Option<String> {
    let remedy = match error {
        BrokerError::Mismatch { .. } => {
            "`ackord topology verify` lists every difference; nothing is ever deleted or replaced for you"
        }
        BrokerError::Closed => "check that the broker runs and that --broker leads to it",
        BrokerError::NoSuchQueue { .. } | BrokerError::NoSuchExchange { .. } => {
            "`ackord topology apply` declares what is missing"
        }
        BrokerError::Unanswered { .. } => {
            "docs/operations.md, \"A queue without a leader\": have one elected, or start its node again"
        }
        _ => return None,
    };
    Some(remedy.to_owned())
}

/// A statement failed on a database that could be opened: read-only, locked and full files show only then.
fn of_statement(error: &anyhow::Error, database: &DbErr, location: Option<&Location>) -> Problem {
    let fault = classify(database);
    if let Some(Location::Sqlite(path)) = location {
        let known = DatabaseError::sqlite(path, database.clone());
        if !matches!(known, DatabaseError::Open { .. }) {
            return Problem::new(Exit::Database, known.to_string());
        }
    }
    match fault {
        Fault::Unavailable | Fault::Conflict => Problem::new(Exit::Database, chain(error)),
        _ => Problem::new(Exit::Failure, chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_of(error: impl Into<anyhow::Error>) -> Exit {
        Problem::of(&error.into(), None).exit
    }

    #[test]
    fn errors_of_the_crates_have_their_exit_codes() {
        assert_eq!(exit_of(DatabaseError::NoPath), Exit::Usage);
        assert_eq!(exit_of(DatabaseError::Missing { path: "x.db".into() }), Exit::Database);
        assert_eq!(exit_of(PayloadError::TooLarge { bytes: 5 }), Exit::Usage);
        assert_eq!(exit_of(EnqueueError::Payload(PayloadError::TooLarge { bytes: 5 })), Exit::Usage);
        assert_eq!(exit_of(CatalogueError { kind: "x".to_owned(), known: String::new() }), Exit::NotFound);
        assert_eq!(exit_of(anyhow::anyhow!("anything")), Exit::Failure);
    }

    #[test]
    fn a_problem_keeps_its_code_and_remedy_below_a_context() {
        let error = anyhow::Error::from(Problem::refused("it runs").remedy("stop it")).context("starting");
        let problem = Problem::of(&error, None);
        assert_eq!(problem.exit, Exit::Refused);
        assert_eq!(problem.message, "starting: it runs");
        assert_eq!(problem.remedy.as_deref(), Some("stop it"));
    }
}
