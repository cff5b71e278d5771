//! The databases beside the jobs' own, in which graphs are written or read: each has the whole schema.

use ackord_entities::database::{Database, DatabaseOptions};
use anyhow::Context as _;
use tracing::{info, warn};

use crate::config::{Config, OtherDatabase};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::schema;

impl OtherDatabase {
    /// Its keys in the configuration, for messages.
    pub(crate) fn named(&self) -> String {
        self.keys.join(", ")
    }

    /// Opens it. With `create`, a missing SQLite file is made.
    ///
    /// # Errors
    /// It cannot be opened; the message names its keys.
    pub(crate) async fn open(&self, create: bool) -> anyhow::Result<Database> {
        let options = DatabaseOptions { create, ..DatabaseOptions::new(self.url.whole()) };
        options.open().await.with_context(|| self.named())
    }

    /// Opens it and brings its schema up. Answers the migrations that were missing.
    ///
    /// # Errors
    /// It cannot be opened; a newer program made its schema; whatever it answers.
    pub(crate) async fn bring_up(&self) -> anyhow::Result<(Database, Vec<String>)> {
        let database = self.open(true).await?;
        let changed = schema::bring_up(&database).await.with_context(|| self.named())?;
        Ok((database, changed))
    }
}

/// Makes and migrates every database that the configuration names beside the jobs' own. One that is away now keeps nobody from working:
/// the graphs that need it wait.
///
/// # Errors
/// A schema that this program cannot work with.
pub(crate) async fn bring_up_all(config: &Config) -> anyhow::Result<()> {
    for other in config.other_databases() {
        match other.bring_up().await {
            Ok((database, changed)) => {
                if !changed.is_empty() {
                    info!(database = %other.url, migrations = changed.join(", "), "the schema was brought up");
                }
                database.close().await;
            }
            Err(error) if is_newer(&error) => return Err(error),
            Err(error) => {
                let cause = ackord_entities::error_chain(error.as_ref());
                warn!(database = %other.url, error = cause, "a database of graphs is away: those graphs are not copied until it is there");
            }
        }
    }
    Ok(())
}

/// What waiting does not mend.
fn is_newer(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<Problem>().is_some_and(|problem| problem.exit == Exit::Database))
}
