//! `testbed super`, `testbed learn`, `testbed again`.

use ackord_entities::database::{Database, Location};
use ackord_entities::graph::super_synthesis;
use ackord_entities::graph::synthesis::{self, State};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{SubConfig, SuperSynthesis};
use ackord_graph::import::{Import, ImportOptions};
use ackord_graph::synthesis::ask_super;
use ackord_producer::syntheses::regenerate;
use ackord_producer::{Publish, enqueue, ring_from_outside};
use anyhow::ensure;
use sea_orm::EntityTrait as _;

use super::documents::{KNOWN, LOST};

/// What to ask for.
#[derive(Debug, clap::Args)]
pub struct SuperArgs {
    /// Parts that the graph knows something about.
    #[arg(long, default_value_t = 4)]
    known: usize,
    /// Parts that it knows nothing about yet.
    #[arg(long, default_value_t = 0)]
    lost: usize,
}

/// Imports what is known, asks for a super-synthesis, and prints its id.
///
/// # Errors
/// Whatever the database answers.
pub async fn ask(database: &Database, args: &SuperArgs) -> anyhow::Result<()> {
    import(database, &KNOWN).await?;
    let known = KNOWN.iter().take(args.known);
    let topics = known.chain(LOST.iter().take(args.lost)).map(|(topic, _)| *topic);
    let job = SuperSynthesis {
        sub_configs: topics.map(SubConfig::about).collect(),
        ..SuperSynthesis::about("What lasts")
    };
    let id = JobId::new();
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let synthesis = ask_super(&tx, &job, id, now).await?;
    enqueue(&tx, &job, &Publish::at(now).with_id(id)).await?;
    tx.commit().await?;
    ring(database);
    println!("{synthesis}");
    Ok(())
}

/// Imports what was not known.
///
/// # Errors
/// Whatever the database answers.
pub async fn learn(database: &Database) -> anyhow::Result<()> {
    import(database, &LOST).await
}

/// Has every failed part written again, all at once: a transaction each. Prints how many.
///
/// # Errors
/// Whatever the database answers.
pub async fn again(database: &Database) -> anyhow::Result<()> {
    let failed = failed(database).await?;
    for id in &failed {
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        regenerate(&tx, *id, &Publish::at(now)).await?;
        tx.commit().await?;
    }
    ring(database);
    println!("{}", failed.len());
    Ok(())
}

async fn failed(database: &Database) -> anyhow::Result<Vec<SynthesisId>> {
    let rows = synthesis::Entity::find().all(database.read()).await?;
    let wholes = super_synthesis::Entity::find().all(database.read()).await?;
    let is_whole = |id| wholes.iter().any(|whole| whole.id == id);
    Ok(rows
        .into_iter()
        .filter(|row| row.state == State::Error && !is_whole(row.id))
        .map(|row| row.id)
        .collect())
}

async fn import(database: &Database, documents: &[(&str, &str)]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (topic, text) in documents {
        std::fs::write(folder.path().join(format!("{topic}.md")), format!("# {topic}\n\n{text}\n"))?;
    }
    let report =
        Import::new(database.clone(), ImportOptions::default()).run(&[folder.path().to_owned()]).await?;
    ensure!(report.refused == 0, "{} documents were refused", report.refused);
    Ok(())
}

fn ring(database: &Database) {
    if let Location::Sqlite(path) = database.location() {
        ring_from_outside(path);
    }
}
