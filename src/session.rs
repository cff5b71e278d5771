//! What every verb stands on: the configuration, the terminal, the database.

use std::path::Path;

use ackord_entities::database::{Database, DatabaseOptions, Location};
use ackord_producer::operate::Operator;

use crate::config::{Config, Loaded};
use crate::schema;
use crate::terminal::Terminal;

/// One run of the program.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) loaded: Loaded,
    pub(crate) terminal: Terminal,
}

impl Session {
    pub(crate) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// The database of the verbs: it is there, and its schema fits.
    ///
    /// # Errors
    /// It cannot be opened, or its schema is missing, older or newer; each with its remedy.
    pub(crate) async fn database(&self) -> anyhow::Result<Database> {
        let database = self.open(false).await?;
        schema::require_current(&database).await?;
        Ok(database)
    }

    /// The database, whatever its schema. With `create`, a missing SQLite file is made.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) async fn open(&self, create: bool) -> anyhow::Result<Database> {
        let mut options = DatabaseOptions::new(&self.config().database);
        options.create = create;
        options.listen_url = self.config().database_listen.clone();
        Ok(options.open().await?)
    }
}

/// The SQLite file of a database; `None` on Postgres.
pub(crate) fn sqlite_file(database: &Database) -> Option<&Path> {
    match database.location() {
        Location::Sqlite(path) => Some(path),
        Location::Postgres { .. } => None,
    }
}

/// Wakes the relays of this database: a message was written. Call it after the commit.
pub(crate) async fn ring(database: &Database) {
    // Not heard: the relays look once a second anyway.
    let _ = ackord_producer::ring_outside(database).await;
}

/// Who does it and why: the same two flags on every verb that changes something.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OperatorArgs {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who, for the audit [default: $USER]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

impl OperatorArgs {
    pub(crate) fn operator(&self) -> Operator {
        let user = || std::env::var("USER").ok().filter(|name| !name.is_empty());
        let name = self.name.clone().or_else(user).unwrap_or_else(|| "unknown".to_owned());
        Operator { name, reason: self.reason.clone() }
    }
}
