//! Notices: what listeners are told after a commit, and that nobody waits for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use ackord_entities::queue::job;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::Publish;
use ackord_producer::broker::{Around, Broker, BrokerError, EmbeddedBroker, Notice};
use ackord_producer::contract::{JobNotice, NoticeState};
use ackord_producer::relay::{Relay, RelayOptions};
use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::kinds::{Long, Scripted, Short, Work};
use crate::steps::{permanent, publish_with, quiet, transient};

/// The embedded broker with somebody who listens.
struct Listened {
    inner: Arc<EmbeddedBroker>,
    database: Database,
    heard: Mutex<Vec<JobNotice>>,
    refuses: AtomicBool,
    hangs: AtomicBool,
}

#[async_trait]
impl Around for Listened {
    fn inner(&self) -> &dyn Broker {
        &*self.inner
    }

    async fn announce(&self, notices: &[Notice]) -> Result<(), BrokerError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.refuses.load(Ordering::SeqCst) {
            return Err(BrokerError::Closed);
        }
        for notice in notices {
            let told: JobNotice = serde_json::from_slice(&notice.body).unwrap();
            assert_eq!(notice.routing_key, format!("job.{}.{}", told.kind, told.state));
            let row =
                job::find(self.database.read(), told.job_id).await.unwrap().expect("its job is committed");
            assert!(row.seq >= told.seq, "told before it was committed: {told:?}, {row:?}");
            self.heard.lock().unwrap().push(told);
        }
        Ok(())
    }
}

/// A worker and a relay on a stage, with a listener.
struct Told {
    stage: Stage,
    broker: Arc<Listened>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Told {
    async fn start(database: TestDatabase, registry: Registry, notices: &[&str]) -> Self {
        let stage = quiet(database, registry.clone()).await;
        let broker = Arc::new(Listened {
            inner: Arc::clone(&stage.broker),
            database: stage.database.clone(),
            heard: Mutex::default(),
            refuses: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
        });
        let options = WorkerOptions {
            notices: notices.iter().map(|kind| (*kind).to_owned()).collect(),
            ..WorkerOptions::default()
        };
        let shared: Arc<dyn Broker> = Arc::clone(&broker) as Arc<dyn Broker>;
        let (database, doorbell) = (stage.database.clone(), stage.doorbell.clone());
        let worker =
            Worker::new(database.clone(), Arc::clone(&shared), registry, doorbell.clone(), options).unwrap();
        let relay = Relay::new(database, shared, doorbell, RelayOptions::default());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(worker.run(stop.clone()));
        tasks.spawn(relay.run(stop.clone()));
        Self { stage, broker, tasks, stop }
    }

    async fn publish<J: Job>(&self, job: &J) -> JobId {
        publish_with(&self.stage, job, |publish: Publish| publish.traced(Some(TRACE.to_owned()))).await.id
    }

    /// What is heard about the job until it comes into `last`.
    async fn heard(&self, id: JobId, last: NoticeState) -> Vec<JobNotice> {
        eventually("the notice is heard", async || {
            let all = self.broker.heard.lock().unwrap().clone();
            let about: Vec<JobNotice> = all.into_iter().filter(|notice| notice.job_id == id).collect();
            about.iter().any(|notice| notice.state == last).then_some(about)
        })
        .await
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn states(notices: &[JobNotice]) -> Vec<NoticeState> {
    notices.iter().map(|notice| notice.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_that_a_job_comes_into_is_told_after_its_commit() {
    for database in TestDatabase::each().await {
        let busy_once = Scripted::<Work>::new().perform(|turn, _| {
            let attempt = turn.attempt;
            Box::pin(async move { if attempt == 1 { Err(transient("busy")) } else { Ok("fine".to_owned()) } })
        });
        let lost = Scripted::<Short>::new().commit(|_, _| Box::pin(async { Err(permanent("lost")) }));
        let registry = Registry::new().with(busy_once).with(lost).with(Scripted::<Long>::new());
        let told = Told::start(database, registry, &["work", "short", "long"]).await;
        let (work, short, long) = (
            told.publish(&Work::new("tea")).await,
            told.publish(&Short::new("tea")).await,
            told.publish(&Long::new("tea")).await,
        );
        let about_work = told.heard(work, NoticeState::Succeeded).await;
        assert_eq!(states(&about_work), [NoticeState::Retrying, NoticeState::Succeeded]);
        let numbers: Vec<(i32, i32)> = about_work.iter().map(|notice| (notice.attempt, notice.seq)).collect();
        assert_eq!(numbers, [(1, 2), (2, 2)]);
        assert_eq!(about_work[0].error.as_ref().unwrap().code, "busy");
        assert_eq!(about_work[1].error, None);
        assert!(about_work[0].traceparent.as_ref().unwrap().contains("0af7651916cd43dd8448eb211c80319c"));
        let about_short = told.heard(short, NoticeState::Dead).await;
        assert_eq!(states(&about_short), [NoticeState::Dead]);
        assert_eq!(about_short[0].error.as_ref().unwrap().text, "lost, for ever");
        let about_long = told.heard(long, NoticeState::Succeeded).await;
        assert_eq!(states(&about_long), [NoticeState::Running, NoticeState::Succeeded]);
        told.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_says_nothing_until_it_is_asked_to() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(Scripted::<Work>::new()).with(Scripted::<Short>::new());
        let told = Told::start(database, registry, &["work"]).await;
        let silent = told.publish(&Short::new("tea")).await;
        assert_eq!(told.stage.ended(silent).await.state, JobState::Succeeded);
        let spoken = told.publish(&Work::new("tea")).await;
        told.heard(spoken, NoticeState::Succeeded).await;
        let broker = Arc::clone(&told.broker);
        told.stop().await;
        assert!(broker.heard.lock().unwrap().iter().all(|notice| notice.job_id == spoken));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_no_notices_holds_up_neither_jobs_nor_the_end() {
    for database in TestDatabase::each().await {
        let told = Told::start(database, Registry::new().with(Scripted::<Short>::new()), &["short"]).await;
        told.broker.refuses.store(true, Ordering::SeqCst);
        let unheard = told.publish(&Short::new("tea")).await;
        assert_eq!(told.stage.ended(unheard).await.state, JobState::Succeeded);
        told.broker.refuses.store(false, Ordering::SeqCst);
        let heard = told.publish(&Short::new("tea")).await;
        told.heard(heard, NoticeState::Succeeded).await;
        told.broker.hangs.store(true, Ordering::SeqCst);
        let late = told.publish(&Short::new("tea")).await;
        let later = told.publish(&Short::new("tea")).await;
        for id in [late, later] {
            assert_eq!(told.stage.ended(id).await.state, JobState::Succeeded);
        }
        told.stop().await;
    }
}
