//! `ackord synthesis create` and `ackord synthesis super`.

use ackord_entities::ids::{JobId, NodeId, SynthesisId};
use ackord_entities::jobs::{Job, SubConfig, SuperSynthesis, Synthesis};
use ackord_graph::synthesis::{ask, ask_super};
use ackord_producer::{Publish, enqueue};

use super::ask::{For, Waiting, answer, refusal};
use crate::exit::Exit;
use crate::session::Session;

/// Ask for a text about a topic, from the facts of a graph
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord synthesis create 'The outbox'
  ackord synthesis create Leases --budget 40 --words 800 --wait --timeout 1m")]
pub(super) struct CreateArgs {
    /// What to write about
    topic: String,
    #[command(flatten)]
    wanted: For,
    /// A node to begin with; may be given several times [default: those that the topic names]
    #[arg(long, value_name = "NODE")]
    start: Vec<NodeId>,
    /// Nodes that may be visited
    #[arg(long, value_name = "N")]
    budget: Option<u32>,
    /// About how many words it may have
    #[arg(long, value_name = "N")]
    words: Option<u32>,
    #[command(flatten)]
    waiting: Waiting,
}

/// Ask for a text about a wide topic: in parts that are written at the same time, and then combined to one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord synthesis super 'How jobs survive crashes' --wait
  ackord synthesis super Engines --part Leases --part 'The outbox' --with 01890a5d-ac96-774b-bcce-b302099a8057")]
pub(super) struct SuperArgs {
    /// What the whole is about
    topic: String,
    #[command(flatten)]
    wanted: For,
    /// A part to write; may be given several times [default: parts that are found in the graph]
    #[arg(long, value_name = "TOPIC")]
    part: Vec<String>,
    /// A synthesis that becomes a part as it is; may be given several times
    #[arg(long, value_name = "ID")]
    with: Vec<SynthesisId>,
    /// How many parts to find in the graph [default: as many as it suggests]
    #[arg(long, value_name = "N", conflicts_with = "part")]
    parts: Option<u32>,
    #[command(flatten)]
    waiting: Waiting,
}

impl CreateArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        self.wanted.check(session)?;
        let plain = Synthesis::about(self.topic);
        let job = Synthesis {
            starting_node_ids: self.start,
            exploration_budget: self.budget.unwrap_or(plain.exploration_budget),
            max_words: self.words.unwrap_or(plain.max_words),
            visibility: self.wanted.visibility(),
            creator_id: self.wanted.creator,
            graph: self.wanted.graph,
            ..plain
        };
        // Before the database is opened: what does not fit needs none.
        job.validate().map_err(|invalid| refusal(invalid.into()))?;
        let database = session.database().await?;
        let id = JobId::new();
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let synthesis = ask(&tx, &job, id, now).await.map_err(refusal)?;
        enqueue(&tx, &job, &Publish::at(now).with_id(id)).await?;
        tx.commit().await?;
        answer(session, &database, &self.waiting, synthesis, (id, Synthesis::KIND)).await
    }
}

impl SuperArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        self.wanted.check(session)?;
        let job = SuperSynthesis {
            sub_configs: self.part.into_iter().map(SubConfig::about).collect(),
            existing_synthesis_ids: self.with,
            scope_count: self.parts.unwrap_or_default(),
            visibility: self.wanted.visibility(),
            creator_id: self.wanted.creator,
            graph: self.wanted.graph,
            ..SuperSynthesis::about(self.topic)
        };
        job.validate().map_err(|invalid| refusal(invalid.into()))?;
        let database = session.database().await?;
        let id = JobId::new();
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let synthesis = ask_super(&tx, &job, id, now).await.map_err(refusal)?;
        enqueue(&tx, &job, &Publish::at(now).with_id(id)).await?;
        tx.commit().await?;
        answer(session, &database, &self.waiting, synthesis, (id, SuperSynthesis::KIND)).await
    }
}
