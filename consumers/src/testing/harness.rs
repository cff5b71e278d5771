//! The harness: one handler, and everything that can happen to a delivery of it.

use std::sync::Arc;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{attempt, dead_letter, job, outbox};
use ackord_entities::testing::TestDatabase;
use ackord_producer::Publish;
use ackord_producer::broker::Held;
use ackord_producer::broker::topology::queue_of;
use ackord_producer::operate::{self, Operator};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, Faulty, Observed};
use super::{Stage, StageOptions, eventually};
use crate::handler::{Context, EndKind, Handler, Turn, Tx};
use crate::registry::Registry;

/// A handler that is to be tried, with what a harness has to know about it.
#[async_trait]
pub trait Candidate: Send + Sync + 'static {
    /// The handler.
    type Handler: Handler;

    /// A new one, for one trial.
    fn handler(&self) -> Self::Handler;

    /// A payload that succeeds on what [`prepare`](Candidate::prepare) has made. Published several times, on databases of
    /// their own.
    fn sample(&self) -> <Self::Handler as Handler>::Job;

    /// Makes the tables and rows that the sample needs. The database is migrated.
    async fn prepare(&self, database: &Database) {
        let _ = database;
    }

    /// How often the effect of a success of `job` is there: none before, one after. What `abandon` writes does not count.
    async fn effects(&self, database: &Database, job: JobId) -> u64;

    /// Everything that commit halves have written, as text in a fixed order, without what differs each time (ids and times
    /// that the handler makes up). Job ids are the same in both texts that are compared.
    async fn snapshot(&self, database: &Database) -> String;
}

/// Puts a handler through everything that can happen to a delivery, on SQLite and, where a server is given, on Postgres.
///
/// ```ignore
/// #[tokio::test(flavor = "multi_thread")]
/// async fn the_handler_of_orders_stands_every_trial() {
///     Harness::new(Orders).run().await;
/// }
/// ```
#[derive(Debug)]
pub struct Harness<C> {
    candidate: C,
}

impl<C: Candidate> Harness<C> {
    /// A harness for `candidate`.
    pub fn new(candidate: C) -> Self {
        Self { candidate }
    }

    /// Runs every trial.
    ///
    /// # Panics
    /// A trial fails; the message says which and how.
    pub async fn run(&self) {
        self.once().await;
        self.delivered_twice().await;
        self.crash_before_commit().await;
        self.crash_between_commit_and_ack().await;
        self.transient_then_fine().await;
        self.permanent().await;
        self.abandoned().await;
        self.group_and_single_commits_do_the_same().await;
    }

    /// The sample is published, and has its effect.
    ///
    /// # Panics
    /// It has not.
    pub async fn once(&self) {
        for database in TestDatabase::each().await {
            let mut scene = self.scene(database, Fault::None).await;
            let id = scene.publish(&self.candidate.sample()).await;
            self.has_one_effect(&scene, id, 1, "once").await;
            scene.stage.stop().await;
        }
    }

    /// Its message comes again, before and after its end.
    ///
    /// # Panics
    /// It has another effect, or a dead letter.
    pub async fn delivered_twice(&self) {
        for database in TestDatabase::each().await {
            let mut scene = self.scene(database, Fault::None).await;
            let sample = self.candidate.sample();
            let id = scene.publish(&sample).await;
            scene.stage.deliver(message(id, 1, &sample)).await;
            let seq = self.has_one_effect(&scene, id, 1, "delivered twice").await.seq;
            for seq in 1..=seq {
                scene.stage.deliver(message(id, seq, &sample)).await;
            }
            scene.all_settled(C::kind()).await;
            self.has_one_effect(&scene, id, 1, "delivered twice").await;
            let letters = dead_letter::of_job(scene.stage.database.read(), id).await;
            assert_eq!(letters.map(|letters| letters.len()), Ok(0), "delivered twice: no dead letter");
            scene.stage.stop().await;
        }
    }

    /// The process dies with the effect written and not committed.
    ///
    /// # Panics
    /// Something of it is there afterwards, or the next life does not do the work.
    pub async fn crash_before_commit(&self) {
        for database in TestDatabase::each().await {
            let mut scene = self.scene(database, Fault::Hang).await;
            let id = scene.publish(&self.candidate.sample()).await;
            scene.observed.hangs.notified().await;
            scene.stage.kill().await;
            assert_eq!(self.effects(&scene, id).await, 0, "crash before commit: it leaves no trace");
            scene.stage.recover().await;
            scene.stage.start(StageOptions::default());
            // A handed-over job's lost attempt counts, since its claim was committed.
            let attempt = if C::hand_over() { 2 } else { 1 };
            self.has_one_effect(&scene, id, attempt, "crash before commit").await;
            scene.stage.stop().await;
        }
    }

    /// The broker never hears of the commit (of hand-over kinds: of the claim), and hands the message over again.
    ///
    /// # Panics
    /// It has another effect.
    pub async fn crash_between_commit_and_ack(&self) {
        for database in TestDatabase::each().await {
            let mut scene = self.scene(database, Fault::BreakChannels).await;
            let id = scene.publish(&self.candidate.sample()).await;
            self.has_one_effect(&scene, id, 1, "crash between commit and ack").await;
            scene.all_settled(C::kind()).await;
            self.has_one_effect(&scene, id, 1, "crash between commit and ack").await;
            scene.stage.stop().await;
        }
    }

    /// Its first attempt fails behind its own commit half.
    ///
    /// # Panics
    /// The second one does not succeed, or not with one effect.
    pub async fn transient_then_fine(&self) {
        for database in TestDatabase::each().await {
            let mut scene = self.scene(database, Fault::Transient).await;
            let id = scene.publish(&self.candidate.sample()).await;
            eventually("the first attempt failed", async || {
                let attempts = attempt::of_job(scene.stage.database.read(), id).await.ok()?;
                attempts.iter().any(|one| one.error_code.as_deref() == Some("harness")).then_some(())
            })
            .await;
            // Were its writes still there, the second attempt would double them.
            scene.skip_the_wait(id).await;
            self.has_one_effect(&scene, id, 2, "transient then fine").await;
            scene.stage.stop().await;
        }
    }

    /// It fails for good behind its own commit half.
    ///
    /// # Panics
    /// An effect is there, or it is not a dead letter, or `abandon` was not called, or failed.
    pub async fn permanent(&self) {
        for database in TestDatabase::each().await {
            let mut scene = self.scene(database, Fault::Permanent).await;
            let id = scene.publish(&self.candidate.sample()).await;
            assert_eq!(scene.stage.ended(id).await.state, JobState::Dead, "permanent");
            assert_eq!(self.effects(&scene, id).await, 0, "permanent: it leaves no trace");
            scene.was_abandoned(EndKind::Dead(Reason::Permanent), "permanent");
            scene.stage.stop().await;
        }
    }

    /// It is called off before it ran.
    ///
    /// # Panics
    /// An effect is there, or `abandon` was not called, or failed.
    pub async fn abandoned(&self) {
        for database in TestDatabase::each().await {
            let mut scene = self.scene(database, Fault::None).await;
            let id = scene.publish_and_cancel(&self.candidate.sample()).await;
            assert_eq!(scene.stage.ended(id).await.state, JobState::Cancelled, "abandoned");
            assert_eq!(self.effects(&scene, id).await, 0, "abandoned: it leaves no trace");
            scene.was_abandoned(EndKind::Cancelled, "abandoned");
            scene.stage.stop().await;
        }
    }

    /// Three turns are committed one by one, and on another database by [`Handler::commit_group`].
    ///
    /// # Panics
    /// The outcomes or the snapshots differ.
    pub async fn group_and_single_commits_do_the_same(&self) {
        let ids = [JobId::new(), JobId::new(), JobId::new()];
        for (single, group) in TestDatabase::each().await.into_iter().zip(TestDatabase::each().await) {
            let single = self.committed(single.database(), &ids, false).await;
            let group = self.committed(group.database(), &ids, true).await;
            assert_eq!(single, group, "commit and commit_group do the same");
        }
    }

    #[allow(clippy::expect_used, reason = "a trial that cannot be made has failed")]
    async fn committed(&self, database: &Database, ids: &[JobId], group: bool) -> (String, String) {
        self.candidate.prepare(database).await;
        let handler = self.candidate.handler();
        let mut work = Vec::new();
        for id in ids {
            let turn = Turn { id: *id, job: self.candidate.sample(), attempt: 1, seq: 1, traceparent: None };
            let context = Context::new(database.clone(), C::kind(), *id, CancellationToken::new());
            let tx = database.begin().await.expect("a transaction begins");
            let now = database.clock().now(&tx).await.expect("the database tells the time");
            if C::hand_over() {
                handler.accept(&turn, &Tx::new(&tx, now)).await.expect("the sample is accepted");
            }
            tx.commit().await.expect("the transaction commits");
            let output = handler.perform(&turn, &context).await.expect("the sample is performed");
            work.push((turn, output));
        }
        let tx = database.begin().await.expect("a transaction begins");
        let now = database.clock().now(&tx).await.expect("the database tells the time");
        let mut outcomes = Vec::new();
        if group {
            let work: Vec<_> = work.iter().map(|(turn, output)| (turn, output)).collect();
            let answers = handler.commit_group(&work, &Tx::new(&tx, now)).await;
            outcomes = answers.expect("the sample is committed as a group");
        } else {
            for (turn, output) in &work {
                let answer = handler.commit(turn, output, &Tx::new(&tx, now)).await;
                outcomes.push(answer.expect("the sample is committed"));
            }
        }
        tx.commit().await.expect("the transaction commits");
        (format!("{outcomes:?}"), self.candidate.snapshot(database).await)
    }

    async fn scene(&self, database: TestDatabase, fault: Fault) -> Scene {
        let observed = Arc::new(Observed::default());
        let handler = Faulty { inner: self.candidate.handler(), fault, observed: Arc::clone(&observed) };
        let mut stage = Stage::new(database, Registry::new().with(handler)).await;
        let _ = observed.broker.set(Arc::clone(&stage.broker));
        self.candidate.prepare(&stage.database).await;
        stage.start(StageOptions::default());
        Scene { stage, observed }
    }

    async fn effects(&self, scene: &Scene, id: JobId) -> u64 {
        let other = scene.stage.reopen().await;
        let count = self.candidate.effects(&other, id).await;
        other.close().await;
        count
    }

    async fn has_one_effect(&self, scene: &Scene, id: JobId, attempt: i32, trial: &str) -> job::Model {
        let job = scene.stage.ended(id).await;
        assert_eq!(job.state, JobState::Succeeded, "{trial}: {:?}", job.error);
        assert_eq!(job.attempt, attempt, "{trial}: attempts");
        assert_eq!(self.effects(scene, id).await, 1, "{trial}: effects");
        job
    }
}

/// What a harness reads off a candidate's contract.
trait Contract {
    fn kind() -> &'static str;
    fn hand_over() -> bool;
}

impl<C: Candidate> Contract for C {
    fn kind() -> &'static str {
        <C::Handler as Handler>::Job::KIND
    }

    fn hand_over() -> bool {
        <C::Handler as Handler>::Job::HAND_OVER
    }
}

struct Scene {
    stage: Stage,
    observed: Arc<Observed>,
}

#[allow(clippy::expect_used, reason = "a trial that cannot be made has failed")]
impl Scene {
    async fn publish<J: Job>(&self, job: &J) -> JobId {
        self.stage.publish(job).await
    }

    async fn publish_and_cancel<J: Job>(&self, job: &J) -> JobId {
        let operator = Operator { name: "harness".to_owned(), reason: None };
        let database = &self.stage.database;
        let tx = database.begin().await.expect("a transaction begins");
        let now = database.clock().now(&tx).await.expect("the database tells the time");
        let later = Publish::at(now).due_in(Duration::from_secs(3600));
        let id = ackord_producer::enqueue(&tx, job, &later).await.expect("the job is published").id;
        operate::cancel(&tx, id, &operator, now).await.expect("the job is called off");
        tx.commit().await.expect("the transaction commits");
        self.stage.doorbell.ring();
        id
    }

    /// Makes a retry due at once.
    async fn skip_the_wait(&self, id: JobId) {
        let database = &self.stage.database;
        let tx = database.begin().await.expect("a transaction begins");
        let now = database.clock().now(&tx).await.expect("the database tells the time");
        outbox::make_due(&tx, id, now).await.expect("the retry is due");
        tx.commit().await.expect("the transaction commits");
        self.stage.doorbell.ring();
    }

    async fn all_settled(&self, kind: &str) {
        eventually("everything is settled", async || {
            (self.stage.broker.held(&queue_of(kind))? == Held::default()).then_some(())
        })
        .await;
    }

    fn was_abandoned(&self, end: EndKind, trial: &str) {
        assert_eq!(
            self.observed.abandoned(),
            [(end, Ok(()))],
            "{trial}: abandon is called once, and succeeds"
        );
    }
}

fn message<J: Job>(id: JobId, seq: i32, job: &J) -> Message {
    Message {
        message_id: Some(id.to_string()),
        kind: Some(J::KIND.to_owned()),
        schema_version: Some(J::VERSION),
        seq: Some(seq),
        body: serde_json::to_vec(job).unwrap_or_default().into(),
        ..Message::default()
    }
}
