//! `ackord config`.

use ackord_entities::jobs::catalogue;
use serde_json::Value;

use crate::config::{Setting, settings};
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{Column, table};

/// Show the effective configuration, secrets masked, and where each value came from
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ackord config\n  ACKORD_LOG=debug ackord config --json")]
pub(crate) struct ConfigArgs {}

pub(crate) fn run(session: &Session) -> anyhow::Result<Exit> {
    let settings = settings(&session.loaded, &catalogue());
    session.terminal.answer(&settings, || text(&settings))?;
    Ok(Exit::Success)
}

fn text(settings: &[Setting]) -> String {
    let columns = [Column::text("KEY"), Column::text("VALUE"), Column::text("FROM")];
    let row = |setting: &Setting| {
        let value = match &setting.value {
            Value::Null => "none".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        vec![setting.key.clone(), value, setting.from.clone()]
    };
    table(&columns, settings.iter().map(row).collect())
}
