//! The steps that the tests are made of. What they read, they read through a fresh connection.

use std::sync::Arc;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::Failure;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use ackord_entities::queue::attempt::{self, Outcome};
use ackord_entities::queue::dead_letter::{self, Reason};
use ackord_entities::queue::job::{self, NewJob, Origin, Transition};
use ackord_entities::queue::outbox;
use ackord_entities::queue::state::{JobState, ShownState};
use ackord_entities::testing::TestDatabase;
use ackord_producer::Publish;
use ackord_producer::broker::topology::queue_of;
use ackord_producer::broker::{Broker, Held};
use ackord_producer::operate::Operator;
use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::effects;
use crate::kinds::{Noted, Scripted, Work};

/// A stage with the table of effects, on a database that holds what earlier runs have left, and nothing running yet.
pub(crate) async fn quiet(database: TestDatabase, registry: Registry) -> Stage {
    let stage = Stage::new(database, registry.clone()).await;
    effects::make_effects(&stage.database).await;
    leave_history(&stage, &registry).await;
    stage
}

/// A stage on which worker and relay run.
pub(crate) async fn staged(database: TestDatabase, registry: Registry) -> Stage {
    let mut stage = quiet(database, registry).await;
    stage.start(StageOptions::default());
    stage
}

/// A finished job of each kind.
async fn leave_history(stage: &Stage, registry: &Registry) {
    let tx = stage.database.begin().await.unwrap();
    let now = stage.database.clock().now(&tx).await.unwrap();
    for spec in registry.catalogue().iter() {
        let id = JobId::new();
        let new = NewJob {
            id,
            kind: spec.kind,
            version: spec.version,
            origin: Origin::Enqueue,
            max_attempts: spec.max_attempts,
            payload: r#"{"note":"of an earlier run"}"#.to_owned(),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
        };
        job::insert(&tx, &[new], now).await.unwrap();
        let done = Transition {
            id,
            seq: 1,
            next_seq: 1,
            state: JobState::Succeeded,
            attempt: 1,
            deferrals: 0,
            started_at: None,
            error: None,
            result: None,
        };
        job::transition(&tx, &[done], now).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// What the job's effects say.
pub(crate) async fn effects_of(stage: &Stage, id: JobId) -> Vec<String> {
    let other = stage.reopen().await;
    let found = effects::effects(&other, id).await;
    other.close().await;
    found
}

/// The job's attempts: number, how it ended, the error's code.
pub(crate) async fn attempts_of(stage: &Stage, id: JobId) -> Vec<(i32, Outcome, Option<String>)> {
    let other = stage.reopen().await;
    let found = attempt::of_job(other.read(), id).await.unwrap();
    other.close().await;
    found.into_iter().map(|one| (one.attempt, one.outcome, one.error_code)).collect()
}

/// The job's dead letters.
pub(crate) async fn letters_of(stage: &Stage, id: JobId) -> Vec<dead_letter::Model> {
    let other = stage.reopen().await;
    let found = dead_letter::of_job(other.read(), id).await.unwrap();
    other.close().await;
    found
}

/// All dead letters.
pub(crate) async fn letters(stage: &Stage) -> Vec<dead_letter::Model> {
    let other = stage.reopen().await;
    let found = dead_letter::list(other.read(), &dead_letter::Filter::default(), 1000).await.unwrap();
    other.close().await;
    found
}

pub(crate) fn reasons(letters: &[dead_letter::Model]) -> Vec<Reason> {
    letters.iter().map(|letter| letter.reason).collect()
}

/// Waits until there is a dead letter with this reason.
pub(crate) async fn letter_with(stage: &Stage, reason: Reason) -> dead_letter::Model {
    let filter = dead_letter::Filter { reason: Some(reason), ..dead_letter::Filter::default() };
    eventually("there is a dead letter with that reason", async || {
        dead_letter::list(stage.database.read(), &filter, 1).await.ok()?.pop()
    })
    .await
}

/// The job's waiting message.
pub(crate) async fn waiting(stage: &Stage, id: JobId) -> Option<outbox::Model> {
    outbox::of_jobs(stage.database.read(), &[id]).await.unwrap().pop()
}

/// The state that people are shown.
pub(crate) async fn shown(stage: &Stage, id: JobId) -> ShownState {
    let now = now(stage).await;
    let message = waiting(stage, id).await;
    ShownState::derive(stage.job(id).await.state, message.map(|one| (one.cause, one.due_at <= now)))
}

/// Waits until the job has that state.
pub(crate) async fn in_state(stage: &Stage, id: JobId, state: JobState) -> job::Model {
    eventually("the job is in the wanted state", async || {
        job::find(stage.database.read(), id).await.ok()?.filter(|job| job.state == state)
    })
    .await
}

/// Waits until nothing of the kind is with the broker any more, settled or not.
pub(crate) async fn all_settled<J: Job>(stage: &Stage) {
    eventually("everything is settled", async || {
        (stage.broker.held(&queue_of(J::KIND))? == Held::default()).then_some(())
    })
    .await;
}

/// Waits until a number of messages is out with workers.
pub(crate) async fn unsettled<J: Job>(stage: &Stage, count: usize) {
    eventually("so many messages are out", async || {
        (stage.broker.held(&queue_of(J::KIND))?.unsettled == count).then_some(())
    })
    .await;
}

pub(crate) async fn now(stage: &Stage) -> DateTime<Utc> {
    stage.database.clock().now(stage.database.read()).await.unwrap()
}

/// Moves the clock, and wakes those who wait for a time.
pub(crate) fn advance(stage: &Stage, seconds: u64) {
    stage.database.clock().advance(std::time::Duration::from_secs(seconds));
    stage.doorbell.ring();
}

/// A message of a job as the relay (with a seq) or a stranger (without) sends it.
#[allow(clippy::needless_pass_by_value, reason = "an id or its text, as the test has it")]
pub(crate) fn message<J: Job>(id: impl ToString, seq: Option<i32>, job: &J) -> Message {
    raw::<J>(id, seq, &serde_json::to_string(job).unwrap())
}

/// A message with any body.
#[allow(clippy::needless_pass_by_value, reason = "an id or its text, as the test has it")]
pub(crate) fn raw<J: Job>(id: impl ToString, seq: Option<i32>, body: &str) -> Message {
    Message {
        message_id: Some(id.to_string()),
        kind: Some(J::KIND.to_owned()),
        schema_version: Some(J::VERSION),
        seq,
        body: body.to_owned().into(),
        ..Message::default()
    }
}

/// Publishes with the caller's choice of time, parent and id.
pub(crate) async fn publish_with<J: Job>(
    stage: &Stage,
    job: &J,
    with: impl FnOnce(Publish) -> Publish,
) -> ackord_producer::Enqueued {
    let tx = stage.database.begin().await.unwrap();
    let now = stage.database.clock().now(&tx).await.unwrap();
    let enqueued = ackord_producer::enqueue(&tx, job, &with(Publish::at(now))).await.unwrap();
    tx.commit().await.unwrap();
    stage.doorbell.ring();
    enqueued
}

/// Does something in a transaction and commits it.
pub(crate) async fn in_transaction<T>(
    stage: &Stage,
    deed: impl AsyncFnOnce(&DatabaseTransaction, DateTime<Utc>) -> T,
) -> T {
    let tx = stage.database.begin().await.unwrap();
    let now = stage.database.clock().now(&tx).await.unwrap();
    let answer = deed(&tx, now).await;
    tx.commit().await.unwrap();
    stage.doorbell.ring();
    answer
}

pub(crate) fn operator() -> Operator {
    Operator { name: "ada".to_owned(), reason: Some("a test".to_owned()) }
}

pub(crate) fn transient(code: &str) -> JobError {
    JobError::Transient(Failure::new(code, format!("{code}, this time")))
}

pub(crate) fn permanent(code: &str) -> JobError {
    JobError::Permanent(Failure::new(code, format!("{code}, for ever")))
}

/// A place where handlers wait for their test.
#[derive(Clone)]
pub(crate) struct Gate {
    entered: Arc<Semaphore>,
    opened: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { entered: Arc::new(Semaphore::new(0)), opened: Arc::new(Semaphore::new(0)) }
    }

    /// The handler's side: says that it is here, and waits until the test opens.
    pub(crate) async fn pass(&self) {
        self.entered.add_permits(1);
        self.opened.acquire().await.unwrap().forget();
    }

    /// The test's side: waits until one more handler is here.
    pub(crate) async fn entered(&self) {
        let wait = tokio::time::timeout(std::time::Duration::from_secs(60), self.entered.acquire());
        wait.await.expect("a handler comes to the gate").unwrap().forget();
    }

    /// Handlers that came and were not noticed by `entered` yet.
    pub(crate) fn here(&self) -> usize {
        self.entered.available_permits()
    }

    /// Lets so many handlers through.
    pub(crate) fn open(&self, count: usize) {
        self.opened.add_permits(count);
    }
}

/// Lets a consumer with `concurrency` slots get through so many jobs that it holds more than it has slots for, past a gate at which
/// each of them waits.
pub(crate) async fn warmed_up(stage: &Stage, gate: &Gate, concurrency: usize) {
    let jobs = 2 * concurrency;
    gate.open(jobs);
    for number in 0..jobs {
        stage.publish(&Work::new(&format!("warm-up {number}"))).await;
    }
    for _ in 0..jobs {
        gate.entered().await;
    }
    all_settled::<Work>(stage).await;
}

/// Waits at the gate in its slow half, then writes its note.
pub(crate) fn gated<J: Noted>(gate: &Gate) -> Scripted<J> {
    let gate = gate.clone();
    Scripted::<J>::new().perform(move |turn, _| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass().await;
            Ok(turn.job.note().to_owned())
        })
    })
}

/// A second worker on the same stage, with connections of its own, as another process has them.
pub(crate) struct Colleague {
    pub(crate) stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Colleague {
    pub(crate) fn start(stage: &Stage, registry: Registry, options: WorkerOptions) -> Self {
        let broker: Arc<dyn Broker> = Arc::clone(&stage.broker) as Arc<dyn Broker>;
        let worker =
            Worker::new(stage.database.clone(), broker, registry, stage.doorbell.clone(), options).unwrap();
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
