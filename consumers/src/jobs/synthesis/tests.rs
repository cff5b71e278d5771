#![allow(clippy::unwrap_used, reason = "tests")]

use ackord_entities::database::Database;
use ackord_entities::envelope::Message;
use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::{graphs, node, synthesis, synthesis_attempt, synthesis_version};
use ackord_entities::ids::{JobId, NodeId, SynthesisId};
use ackord_entities::jobs::{Job as _, Visibility};
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::job;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_graph::import::{Import, ImportOptions};
use ackord_graph::synthesis::{Assignment, Draft, WriteError};
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::handler::{EndKind, Failure};
use crate::registry::Registry;
use crate::testing::{Stage, StageOptions};

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its \
                      jobs every ten seconds. An expired lease is taken over by the next job that asks for its key.\n";

async fn import(database: &Database, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("document.md"), text).unwrap();
    let import = Import::new(database.clone(), ImportOptions::default());
    assert_eq!(import.run(&[folder.path().to_owned()]).await.unwrap().taken, 1);
}

async fn stage(backend: DbBackend, handler: SynthesisHandler) -> Option<Stage> {
    let test = TestDatabase::open(backend).await?;
    Some(Stage::new(test, Registry::new().with(handler)).await)
}

fn about(topic: &str) -> Synthesis {
    let creator_id = Some("anna".to_owned());
    Synthesis { visibility: Visibility::Private, creator_id, ..Synthesis::about(topic) }
}

fn id_of(topic: &str, job: JobId) -> SynthesisId {
    domain::id_of(graphs::id_of(graphs::DEFAULT), topic, job)
}

/// Row and node as another process reads them.
async fn seen(stage: &Stage, id: SynthesisId) -> (synthesis::Model, node::Model) {
    let other = stage.reopen().await;
    let row = synthesis::by_id(other.read(), id).await.unwrap().unwrap();
    let node = node::by_ids(other.read(), [NodeId(id.0)]).await.unwrap().remove(0);
    other.close().await;
    (row, node)
}

/// Writes nothing before it is let, and says when it was asked.
#[derive(Debug)]
struct Held {
    asked: Notify,
    go: Semaphore,
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self { asked: Notify::new(), go: Semaphore::new(0) })
    }
}

#[async_trait]
impl TextProducer for Held {
    fn name(&self) -> &'static str {
        "held"
    }

    async fn write(&self, assignment: &Assignment<'_>) -> Result<Draft, WriteError> {
        self.asked.notify_one();
        self.go.acquire().await.unwrap().forget();
        ExtractiveProducer.write(assignment).await
    }
}

#[rstest]
#[tokio::test]
async fn a_topic_with_facts_becomes_a_text_that_cites_them(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut stage) = stage(backend, SynthesisHandler::default()).await else { return };
    import(&stage.database, LEASES).await;
    stage.start(StageOptions::default());
    let job = stage.publish(&about("Leases")).await;
    let ended = stage.ended(job).await;
    assert_eq!(ended.state, JobState::Succeeded, "{:?}", ended.error);
    let id = id_of("Leases", job);
    let result: serde_json::Value = serde_json::from_str(ended.result.as_deref().unwrap()).unwrap();
    assert_eq!((&result["synthesis_node_id"], &result["sentences_count"]), (&json!(id), &json!(3)));
    let (row, node) = seen(&stage, id).await;
    assert_eq!((row.state, row.current_version, row.attempts), (State::Completed, Some(1), 1));
    let version = synthesis_version::of(stage.database.read(), id, 1).await.unwrap().unwrap();
    assert_eq!(node.definition.as_deref(), Some(version.markdown.as_str()));
    assert_eq!((version.sentences_count, version.facts_linked, version.job_id), (3, 3, job));
    assert!(version.markdown.starts_with("A lease is an exclusive claim"), "{}", version.markdown);
    stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_topic_without_facts_is_a_recorded_failure_and_never_a_placeholder(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut stage) = stage(backend, SynthesisHandler::default()).await else { return };
    stage.start(StageOptions::default());
    let job = stage.publish(&about("Arctic glaciers")).await;
    let ended = stage.ended(job).await;
    assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Failed, Some("no_facts")));
    let (row, node) = seen(&stage, id_of("Arctic glaciers", job)).await;
    assert_eq!((row.state, row.error_code.as_deref()), (State::Error, Some("no_facts")));
    assert_eq!((row.current_version, node.definition), (None, None));
    assert_eq!((row.visibility, row.creator_id.as_deref()), (node::Visibility::Private, Some("anna")));
    assert_eq!(serde_json::from_str::<Synthesis>(&row.input).unwrap(), about("Arctic glaciers"));
    assert!(row.error_public.unwrap().contains("Arctic glaciers"));
    let attempts = synthesis_attempt::all_of(stage.database.read(), row.id).await.unwrap();
    assert_eq!(attempts[0].error_code.as_deref(), Some("no_facts"));
    assert!(attempts[0].exploration.as_deref().is_some_and(|record| record.contains("glacier")));
    stage.stop().await;
}

#[tokio::test]
async fn the_synthesis_is_there_and_running_before_anything_is_written() {
    let held = Held::new();
    let handler = SynthesisHandler::new(Arc::clone(&held) as Arc<dyn TextProducer>);
    let mut stage = stage(DbBackend::Sqlite, handler).await.unwrap();
    import(&stage.database, LEASES).await;
    stage.start(StageOptions::default());
    let job = stage.publish(&about("Leases")).await;
    held.asked.notified().await;
    let (row, node) = seen(&stage, id_of("Leases", job)).await;
    assert_eq!((row.state, row.job_id, node.definition), (State::Running, Some(job), None));
    held.go.add_permits(1);
    assert_eq!(stage.ended(job).await.state, JobState::Succeeded);
    assert_eq!(seen(&stage, row.id).await.0.state, State::Completed);
    stage.stop().await;
}

#[tokio::test]
async fn a_job_that_is_called_off_shows_on_its_synthesis() {
    let held = Held::new();
    let handler = SynthesisHandler::new(Arc::clone(&held) as Arc<dyn TextProducer>);
    let mut stage = stage(DbBackend::Sqlite, handler).await.unwrap();
    import(&stage.database, LEASES).await;
    stage.start(StageOptions::default());
    let job = stage.publish(&about("Leases")).await;
    held.asked.notified().await;
    cancel(&stage, job).await;
    assert_eq!(stage.ended(job).await.state, JobState::Cancelled);
    let (row, node) = seen(&stage, id_of("Leases", job)).await;
    assert_eq!((row.state, node.definition), (State::Error, None));
    assert_eq!(row.visibility, node::Visibility::Private);
    stage.stop().await;
}

async fn cancel(stage: &Stage, id: JobId) {
    let tx = stage.database.begin().await.unwrap();
    let now = stage.database.clock().now(&tx).await.unwrap();
    job::request_cancel(&tx, id, now).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_job_that_died_before_it_began_leaves_its_synthesis_with_the_cause() {
    let stage = stage(DbBackend::Sqlite, SynthesisHandler::default()).await.unwrap();
    import(&stage.database, LEASES).await;
    let turn = Turn { id: JobId::new(), job: about("Leases"), attempt: 1, seq: 1, traceparent: None };
    let error =
        Failure { code: "killed".to_owned(), operator: "in full".to_owned(), public: "in short".to_owned() };
    let end = End { kind: EndKind::Dead(Reason::KilledWorker), error };
    // A second call is what a second delivery of the same end would bring.
    for _ in 0..2 {
        let tx = stage.database.begin().await.unwrap();
        let now = stage.database.clock().now(&tx).await.unwrap();
        SynthesisHandler::default().abandon(&turn, &end, &Tx::new(&tx, now)).await.unwrap();
        tx.commit().await.unwrap();
    }
    let (row, _) = seen(&stage, id_of("Leases", turn.id)).await;
    assert_eq!((row.state, row.error_message.as_deref()), (State::Error, Some("in full")));
    assert_eq!((row.visibility, row.creator_id.as_deref()), (node::Visibility::Private, Some("anna")));
}

#[tokio::test]
async fn an_end_after_a_success_takes_nothing_away() {
    let mut stage = stage(DbBackend::Sqlite, SynthesisHandler::default()).await.unwrap();
    import(&stage.database, LEASES).await;
    stage.start(StageOptions::default());
    let job = stage.publish(&about("Leases")).await;
    stage.ended(job).await;
    let turn = Turn { id: job, job: about("Leases"), attempt: 1, seq: 1, traceparent: None };
    let end = End { kind: EndKind::Cancelled, error: Failure::new("late", "too late") };
    let tx = stage.database.begin().await.unwrap();
    let now = stage.database.clock().now(&tx).await.unwrap();
    SynthesisHandler::default().abandon(&turn, &end, &Tx::new(&tx, now)).await.unwrap();
    tx.commit().await.unwrap();
    let (row, node) = seen(&stage, id_of("Leases", job)).await;
    assert_eq!((row.state, row.error_code), (State::Completed, None));
    assert!(node.definition.is_some());
    stage.stop().await;
}

#[tokio::test]
async fn a_finished_message_that_comes_again_makes_no_second_node() {
    let mut stage = stage(DbBackend::Sqlite, SynthesisHandler::default()).await.unwrap();
    import(&stage.database, LEASES).await;
    stage.start(StageOptions::default());
    let job = stage.publish(&about("Leases")).await;
    let ended = stage.ended(job).await;
    for seq in [1, ended.seq] {
        let body = serde_json::to_vec(&about("Leases")).unwrap().into();
        stage
            .deliver(Message {
                message_id: Some(job.to_string()),
                kind: Some(Synthesis::KIND.to_owned()),
                seq: Some(seq),
                body,
                ..Message::default()
            })
            .await;
    }
    // What is published behind the two is done after they were looked at.
    let next = stage.publish(&about("Leases renewed")).await;
    stage.ended(next).await;
    let id = id_of("Leases", job);
    assert_eq!(synthesis_version::all_of(stage.database.read(), id).await.unwrap().len(), 1);
    assert_eq!(synthesis_attempt::all_of(stage.database.read(), id).await.unwrap().len(), 1);
    assert_eq!(stage.job(job).await.seq, ended.seq);
    let all =
        synthesis::by_key_prefix(stage.database.read(), graphs::id_of(graphs::DEFAULT), "synthesis-", 10);
    assert_eq!(all.await.unwrap().len(), 2);
    stage.stop().await;
}

#[tokio::test]
async fn an_unknown_graph_is_a_dead_letter_at_once() {
    let mut stage = stage(DbBackend::Sqlite, SynthesisHandler::default()).await.unwrap();
    stage.start(StageOptions::default());
    let job = stage.publish(&Synthesis { graph: "nowhere".to_owned(), ..about("Leases") }).await;
    let ended = stage.ended(job).await;
    assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Dead, Some("unknown_graph")));
    assert!(ended.public_error.unwrap().contains("`nowhere`"));
    stage.stop().await;
}
