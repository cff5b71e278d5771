//! A graph and the folder that it is mirrored into, cycle by cycle as the job does it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ackord_entities::clock::machine_now;
use ackord_entities::database::Database;
use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::{changes, graphs};
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use ackord_entities::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::Mirror;
use crate::sync::{Claim, Cycle, CycleEnd, Progress, SyncContext, SyncError, SyncProvider};
use crate::synthesis::corpus::{DOCUMENTS, import};
use crate::synthesis::{ExtractiveProducer, Request, Run, Wish, begin, complete, compose};

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
async fn eventually(what: &str, mut answer: impl AsyncFnMut() -> Option<()>) {
    let deadline = Instant::now() + PATIENCE;
    while answer().await.is_none() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) struct World {
    pub(super) test: TestDatabase,
    folder: TempDir,
    pub(super) mirror: Mirror,
    pub(super) graph: GraphId,
    pub(super) state: Option<String>,
    pub(super) budget: Duration,
    pub(super) stop: CancellationToken,
}

impl World {
    /// A graph with documents.
    pub(super) async fn new(backend: DbBackend) -> Option<Self> {
        let test = TestDatabase::open(backend).await?;
        let folder = tempfile::tempdir().unwrap();
        let graph = import(test.database(), graphs::DEFAULT, &DOCUMENTS).await;
        Some(Self {
            mirror: Mirror::new(folder.path()),
            test,
            folder,
            graph,
            state: None,
            budget: Duration::from_secs(60),
            stop: CancellationToken::new(),
        })
    }

    pub(super) fn database(&self) -> &Database {
        self.test.database()
    }

    pub(super) fn context(&self, afresh: bool) -> SyncContext {
        SyncContext {
            graph: self.graph,
            slug: graphs::DEFAULT.to_owned(),
            name: graphs::DEFAULT.to_owned(),
            write: self.database().clone(),
            read: self.database().clone(),
            jobs: self.database().clone(),
            claim: Claim { key: "sync:default".to_owned(), term: 1 },
            stop: self.stop.clone(),
            budget: self.budget,
            afresh,
        }
    }

    /// The slow half of a cycle: nothing of it counts yet.
    pub(super) async fn perform(&self) -> Result<Cycle, SyncError> {
        let progress = Progress { state: self.state.clone() };
        self.mirror.cycle(&self.context(false), &progress).await
    }

    /// A whole cycle.
    pub(super) async fn cycle(&mut self) -> Cycle {
        let cycle = self.perform().await.unwrap();
        self.state = cycle.state.clone().or(self.state.take());
        cycle
    }

    /// Waits until a cycle can read everything that is committed. On Postgres transactions of every test on the server hold that back.
    pub(super) async fn readable(&self) {
        let committed = self.newest_transaction().await;
        eventually("the horizon is there", async || {
            let look = changes::look(self.database().read(), self.graph, &[]).await.unwrap();
            (look.horizon.number >= committed).then_some(())
        })
        .await;
    }

    async fn newest_transaction(&self) -> i64 {
        if self.database().backend() != DbBackend::Postgres {
            return 0;
        }
        let sql = "SELECT pg_current_xact_id()::text::bigint AS n";
        let write = self.database().write();
        let row = write.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        row.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// Cycles until nothing is left. Answers how many rows were written, and how many cycles it took.
    pub(super) async fn settle(&mut self) -> (u64, usize) {
        self.readable().await;
        let deadline = Instant::now() + PATIENCE;
        let (mut moved, mut cycles) = (0, 0);
        loop {
            let cycle = self.cycle().await;
            moved += cycle.tables.values().map(|table| table.moved).sum::<u64>();
            cycles += 1;
            match cycle.end {
                CycleEnd::Idle | CycleEnd::Complete => return (moved, cycles),
                CycleEnd::Waits => self.readable().await,
                CycleEnd::Continues => {}
            }
            assert!(Instant::now() < deadline, "the graph was not mirrored within a minute");
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(graphs::DEFAULT).join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The lines of a file.
    pub(super) fn lines(&self, name: &str) -> Vec<Value> {
        self.text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of the texts.
    pub(super) fn texts(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("syntheses")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    pub(super) async fn run(&self, sql: &str) -> u64 {
        self.database().write().execute_unprepared(sql).await.unwrap().rows_affected()
    }

    pub(super) async fn count(&self, what: &str) -> usize {
        let sql = format!("SELECT count(*) AS n FROM {what}");
        let statement = Statement::from_string(self.database().backend(), sql);
        let row = self.database().read().query_one_raw(statement).await.unwrap().unwrap();
        usize::try_from(row.try_get::<i64>("", "n").unwrap()).unwrap()
    }

    /// A synthesis with a text.
    pub(super) async fn write(&self, topic: &str, visibility: Visibility) -> SynthesisId {
        let graph = self.graph;
        let request =
            Request { graph, topic: topic.to_owned(), starting_nodes: vec![], budget: 5, max_words: 200 };
        let composed =
            compose(self.database().read(), &ExtractiveProducer, &request, &Run::unwatched()).await.unwrap();
        let (job, now) = (JobId::new(), machine_now());
        let creator = (visibility == Visibility::Private).then_some("anna");
        let wish = Wish { graph, topic, visibility, creator, input: "{}" };
        let tx = self.database().begin().await.unwrap();
        let row = begin(&tx, &wish, job, now).await.unwrap().unwrap();
        let text = composed.text.unwrap();
        complete(&tx, row.id, job, &text, &composed.producer, &composed.record, now).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        row.id
    }
}
