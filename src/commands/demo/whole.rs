//! The text of all parts: asked for, watched, and made again when the missing document has come.

use ackord_entities::database::Database;
use ackord_entities::graph::synthesis::{self, Model};
use ackord_entities::graph::synthesis_link::{self, Part};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{SubConfig, SuperSynthesis};
use ackord_graph::synthesis::{VersionRead, ask_super, versions};
use ackord_producer::syntheses::regenerate;
use ackord_producer::{Doorbell, Publish, enqueue};
use anyhow::Context as _;

use super::Asked;
use super::missing::Missing;
use super::topics::Topic;
use super::watch::LOOK;

/// The whole, as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) id: SynthesisId,
    pub(super) topic: String,
}

/// What the whole came to.
pub(super) struct Outcome {
    /// Its row in the end.
    pub(super) row: Model,
    /// Its parts in the end.
    pub(super) parts: Vec<Part>,
    /// Its versions, oldest first.
    pub(super) versions: Vec<VersionRead>,
}

impl Whole {
    /// Asks for one text about `topics`: the request and its job in one transaction.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub(super) async fn ask(
        database: &Database,
        doorbell: &Doorbell,
        graph: &str,
        topics: &[Topic],
    ) -> anyhow::Result<(Self, JobId)> {
        let parts = topics.iter().map(|topic| SubConfig {
            starting_node_ids: topic.nodes.clone(),
            ..SubConfig::about(&topic.text)
        });
        let topic = title(topics);
        let job = SuperSynthesis {
            sub_configs: parts.collect(),
            graph: graph.to_owned(),
            ..SuperSynthesis::about(&topic)
        };
        let job_id = JobId::new();
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let id = ask_super(&tx, &job, job_id, now).await?;
        enqueue(&tx, &job, &Publish::at(now).with_id(job_id)).await?;
        tx.commit().await?;
        doorbell.ring();
        Ok((Self { id, topic }, job_id))
    }

    /// The jobs of its parts, once it has ended planning.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub(super) async fn parts(&self, database: &Database) -> anyhow::Result<Vec<Asked>> {
        let parts = synthesis_link::parts_of(database.read(), self.id).await?;
        Ok(parts
            .into_iter()
            .filter_map(|part| Some(Asked { topic: part.topic, job: part.job_id? }))
            .collect())
    }

    /// Waits until no job works on it.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub(super) async fn settled(&self, database: &Database) -> anyhow::Result<()> {
        settled(database, self.id).await.map(drop)
    }

    /// Imports the document that was missing and has the part about it written again. Nothing more is asked for: the whole is
    /// combined again by itself.
    ///
    /// # Errors
    /// The document cannot be imported; whatever the database answers.
    pub(super) async fn complete(
        &self,
        database: &Database,
        doorbell: &Doorbell,
        missing: &Missing,
    ) -> anyhow::Result<Outcome> {
        missing.import(database).await?;
        let parts = synthesis_link::parts_of(database.read(), self.id).await?;
        let part = parts.iter().find(|part| part.topic == missing.topic).context("the missing part")?;
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        regenerate(&tx, part.sub_id, &Publish::at(now)).await?;
        tx.commit().await?;
        doorbell.ring();
        settled(database, part.sub_id).await?;
        let row = settled(database, self.id).await?;
        Ok(Outcome {
            row,
            parts: synthesis_link::parts_of(database.read(), self.id).await?,
            versions: versions(database.read(), self.id).await?,
        })
    }
}

async fn settled(database: &Database, id: SynthesisId) -> anyhow::Result<Model> {
    loop {
        let row = synthesis::by_id(database.read(), id).await?.context("the synthesis was removed")?;
        if !row.is_in_flight() {
            return Ok(row);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the whole is about: its first parts say it.
fn title(topics: &[Topic]) -> String {
    const NAMED: usize = 3;
    const LONGEST: usize = 60;
    let short = |topic: &Topic| topic.text.chars().take(LONGEST).collect::<String>();
    let named: Vec<String> = topics.iter().take(NAMED).map(short).collect();
    named.join(", ")
}
