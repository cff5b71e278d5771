//! For tests of syntheses: a stage with documents, on which syntheses are asked for, written again and looked at.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use ackord_entities::database::Database;
use ackord_entities::graph::synthesis::Model;
use ackord_entities::graph::synthesis_link::{self, Part};
use ackord_entities::graph::{synthesis, synthesis_part_read, synthesis_version};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{SubConfig, SuperSynthesis, Synthesis, Visibility};
use ackord_entities::queue::job;
use ackord_entities::testing::TestDatabase;
use ackord_graph::import::{Import, ImportOptions};
use ackord_graph::synthesis::{
    Assignment, Draft, ExtractiveProducer, GraphPlanner, NoText, Run, TextProducer, WriteError, Written, ask,
    ask_super, start,
};
use ackord_producer::syntheses::{RegenerateError, Regenerated, regenerate};
use ackord_producer::{Publish, enqueue};
use async_trait::async_trait;
use sea_orm::{DbBackend, EntityTrait as _};
use tokio::sync::Notify;

use super::super_synthesis::divide;
use super::{RecombinationHandler, RegenerationHandler, SuperSynthesisHandler, SynthesisHandler};
use crate::handler::Tx;
use crate::registry::Registry;
use crate::testing::{Stage, eventually};

pub(super) const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its \
                      jobs every ten seconds. An expired lease is taken over by the next job that asks for its key.\n";
pub(super) const OUTBOX: &str = "# The outbox\n\nThe outbox is a table of messages that wait for the broker. The relay publishes the messages \
                      of the outbox and deletes what the broker has confirmed. A refused message stays in the outbox with its reason.\n";
pub(super) const GLACIERS: &str = "# Glaciers\n\nA glacier is a body of ice that moves under its own weight. Arctic glaciers lose more ice in \
                      summer than they gain in winter. The meltwater of arctic glaciers raises the level of the sea.\n";

/// Writes as the default does, but for the topics that it was told to fail at or to hold.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    failing: Mutex<BTreeSet<String>>,
    held: Mutex<BTreeMap<String, Arc<Notify>>>,
    pub(super) asked: Notify,
    /// Each topic that was written about.
    pub(super) written: Mutex<Vec<String>>,
}

impl Scripted {
    pub(super) fn fail(&self, topic: &str) {
        self.failing.lock().unwrap().insert(topic.to_owned());
    }

    pub(super) fn heal(&self, topic: &str) {
        self.failing.lock().unwrap().remove(topic);
    }

    /// Whoever writes about `topic` waits until the answer is notified.
    pub(super) fn hold(&self, topic: &str) -> Arc<Notify> {
        let go = Arc::new(Notify::new());
        self.held.lock().unwrap().insert(topic.to_owned(), Arc::clone(&go));
        go
    }

    pub(super) fn times(&self, topic: &str) -> usize {
        self.written.lock().unwrap().iter().filter(|known| *known == topic).count()
    }
}

#[async_trait]
impl TextProducer for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn write(&self, assignment: &Assignment<'_>) -> Result<Draft, WriteError> {
        let topic = &assignment.request.topic;
        self.written.lock().unwrap().push(topic.clone());
        self.asked.notify_one();
        let held = self.held.lock().unwrap().remove(topic);
        if let Some(go) = held {
            go.notified().await;
        }
        let draft = ExtractiveProducer.write(assignment).await?;
        if self.failing.lock().unwrap().contains(topic) {
            return Ok(Draft { written: Written::NoText(NoText::empty(topic)), ..draft });
        }
        Ok(draft)
    }
}

pub(super) struct World {
    pub(super) stage: Stage,
    pub(super) writer: Arc<Scripted>,
}

/// The kinds that are tested, with a writer that can be told what to do.
pub(super) fn registry(writer: &Arc<Scripted>) -> Registry {
    let producer = Arc::clone(writer) as Arc<dyn TextProducer>;
    Registry::new()
        .with(SynthesisHandler::new(Arc::clone(&producer)))
        .with(RegenerationHandler::new(producer, Arc::new(GraphPlanner)))
        .with(SuperSynthesisHandler::default())
        .with(RecombinationHandler::default())
}

pub(super) async fn import(database: &Database, graph: &str, name: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), text).unwrap();
    let options = ImportOptions { graph: graph.to_owned(), ..ImportOptions::default() };
    let report = Import::new(database.clone(), options).run(&[folder.path().to_owned()]).await.unwrap();
    assert_eq!(report.taken, 1);
}

/// Asks for `asked` with the job `job` and plans it, as its worker would: its parts are pending.
pub(super) async fn planned(database: &Database, asked: &SuperSynthesis, job: JobId) -> SynthesisId {
    let fan_out = divide(database.read(), &GraphPlanner, asked, &Run::unwatched()).await.unwrap();
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let id = ask_super(&tx, asked, job, now).await.unwrap();
    start(&tx, id, job, now).await.unwrap().unwrap();
    fan_out.publish(id, job, asked, &Publish::at(now), &Tx::new(&tx, now)).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// A private super-synthesis of Anna's with these parts.
pub(super) fn about(parts: &[&str]) -> SuperSynthesis {
    SuperSynthesis {
        sub_configs: parts.iter().map(|topic| SubConfig::about(*topic)).collect(),
        visibility: Visibility::Private,
        creator_id: Some("anna".to_owned()),
        ..SuperSynthesis::about("How jobs survive")
    }
}

impl World {
    /// Nothing runs yet; the graph knows of leases and the outbox.
    pub(super) async fn new(backend: DbBackend) -> Option<Self> {
        Self::with(backend, registry).await
    }

    pub(super) async fn with(
        backend: DbBackend,
        registry: impl FnOnce(&Arc<Scripted>) -> Registry,
    ) -> Option<Self> {
        let test = TestDatabase::open(backend).await?;
        let writer = Arc::new(Scripted::default());
        let stage = Stage::new(test, registry(&writer)).await;
        import(&stage.database, "default", "leases.md", LEASES).await;
        import(&stage.database, "default", "outbox.md", OUTBOX).await;
        Some(Self { stage, writer })
    }

    pub(super) async fn is_stale(&self, id: SynthesisId) -> bool {
        let row = self.row(id).await;
        let connection = self.stage.database.read();
        let read = synthesis_part_read::of(connection, id, row.current_version.unwrap()).await.unwrap();
        synthesis_part_read::is_stale(&read, &self.parts(id).await)
    }

    /// Asks for `job` as the command line does: row and job in one transaction.
    pub(super) async fn ask_super(&self, job: &SuperSynthesis) -> (SynthesisId, JobId) {
        let id = JobId::new();
        let tx = self.stage.database.begin().await.unwrap();
        let now = self.stage.database.clock().now(&tx).await.unwrap();
        let synthesis = ask_super(&tx, job, id, now).await.unwrap();
        enqueue(&tx, job, &Publish::at(now).with_id(id)).await.unwrap();
        tx.commit().await.unwrap();
        self.stage.doorbell.ring();
        (synthesis, id)
    }

    pub(super) async fn ask(&self, job: &Synthesis) -> (SynthesisId, JobId) {
        let id = JobId::new();
        let tx = self.stage.database.begin().await.unwrap();
        let now = self.stage.database.clock().now(&tx).await.unwrap();
        let synthesis = ask(&tx, job, id, now).await.unwrap();
        enqueue(&tx, job, &Publish::at(now).with_id(id)).await.unwrap();
        tx.commit().await.unwrap();
        self.stage.doorbell.ring();
        (synthesis, id)
    }

    /// Nothing is changed by a refusal.
    pub(super) async fn regenerate(&self, id: SynthesisId) -> Result<Regenerated, RegenerateError> {
        let tx = self.stage.database.begin().await.unwrap();
        let now = self.stage.database.clock().now(&tx).await.unwrap();
        let answer = regenerate(&tx, id, &Publish::at(now)).await;
        // Also after a refusal: it has written nothing.
        tx.commit().await.unwrap();
        self.stage.doorbell.ring();
        answer
    }

    /// Every job has ended, and each ended well or as a domain failure.
    pub(super) async fn quiet(&self) {
        eventually("every job has ended", async || {
            let jobs = job::Entity::find().all(self.stage.database.read()).await.ok()?;
            jobs.iter().all(|job| job.state.is_end()).then_some(())
        })
        .await;
    }

    pub(super) async fn jobs_of(&self, kind: &str) -> Vec<job::Model> {
        let other = self.stage.reopen().await;
        let mut jobs = job::Entity::find().all(other.read()).await.unwrap();
        other.close().await;
        jobs.retain(|job| job.kind == kind);
        jobs.sort_by_key(|job| job.id);
        jobs
    }

    pub(super) async fn row(&self, id: SynthesisId) -> Model {
        let other = self.stage.reopen().await;
        let row = synthesis::by_id(other.read(), id).await.unwrap().unwrap();
        other.close().await;
        row
    }

    pub(super) async fn parts(&self, id: SynthesisId) -> Vec<Part> {
        let other = self.stage.reopen().await;
        let parts = synthesis_link::parts_of(other.read(), id).await.unwrap();
        other.close().await;
        parts
    }

    /// The part about `topic`.
    pub(super) async fn part(&self, id: SynthesisId, topic: &str) -> Part {
        self.parts(id).await.into_iter().find(|part| part.topic == topic).unwrap()
    }

    pub(super) async fn text(&self, id: SynthesisId) -> String {
        let row = self.row(id).await;
        let version =
            synthesis_version::of(self.stage.database.read(), id, row.current_version.unwrap()).await;
        version.unwrap().unwrap().markdown
    }

    /// Which versions of its parts the newest version was made from, by topic.
    pub(super) async fn read(&self, id: SynthesisId) -> Vec<(String, Option<i32>)> {
        let row = self.row(id).await;
        let read =
            synthesis_part_read::of(self.stage.database.read(), id, row.current_version.unwrap()).await;
        read.unwrap().into_iter().map(|part| (part.topic, part.sub_version)).collect()
    }

    pub(super) async fn cancel(&self, id: JobId) {
        let tx = self.stage.database.begin().await.unwrap();
        let now = self.stage.database.clock().now(&tx).await.unwrap();
        let operator = ackord_producer::operate::Operator { name: "test".to_owned(), reason: None };
        ackord_producer::operate::cancel(&tx, id, &operator, now).await.unwrap();
        tx.commit().await.unwrap();
        self.stage.doorbell.ring();
    }
}
