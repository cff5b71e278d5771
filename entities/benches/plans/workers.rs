//! What publishers, relays, workers and upkeep do.

use ackord_entities::clock::Moment;
use ackord_entities::ids::{JobId, ReplayRunId};
use ackord_entities::jobs::OnDuplicate;
use ackord_entities::queue::attempt::{self, Outcome, Record};
use ackord_entities::queue::job::{self, ErrorText, NewJob, Origin, Transition};
use ackord_entities::queue::lease::Held;
use ackord_entities::queue::outbox::{self, Cause, NewMessage, Window};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{
    dedup, figures, idempotency, lease, message_id, replay_letter, replay_run, retention, survey, suspect,
};
use chrono::{DateTime, TimeDelta, Utc};

use super::runner::Runner;

const SET: u64 = 200;

pub(super) async fn run(runner: &mut Runner) {
    publish(runner).await;
    relay(runner).await;
    work(runner).await;
    long_jobs(runner).await;
    upkeep(runner).await;
    remove(runner).await;
    gauges(runner).await;
    replay(runner).await;
}

async fn publish(runner: &mut Runner) {
    let now = runner.now();
    let ids: Vec<JobId> = (0..SET).map(|_| JobId::new()).collect();
    let jobs: Vec<NewJob> = ids.iter().map(|id| new(*id)).collect();
    let messages: Vec<NewMessage> = ids.iter().map(|id| message(*id, now)).collect();
    runner.run("publish: insert 200 jobs", async |tx| job::insert(tx, &jobs, now).await).await;
    runner.run("publish: write 200 messages", async |tx| outbox::put(tx, &messages, now).await).await;
    let take = async |tx: &_| dedup::take(tx, "kind-0", "key-4", ids[0], OnDuplicate::RunAgain).await;
    runner.run("publish: take a dedup key", take).await;
    let remember = async |tx: &_| idempotency::remember(tx, "publish", "99999", "{}", "{}", now).await;
    runner.run("publish: remember a request", remember).await;
    let resolve = async |tx: &_| message_id::resolve(tx, "kind-1", "foreign", now).await;
    runner.run("publish: the job of a foreign message id", resolve).await;
}

fn new(id: JobId) -> NewJob {
    NewJob {
        id,
        kind: "kind-1",
        version: 1,
        origin: Origin::Enqueue,
        max_attempts: 5,
        payload: "{}".to_owned(),
        subject: None,
        dedup_key: None,
        parent_id: None,
        traceparent: None,
    }
}

fn message(job_id: JobId, due_at: DateTime<Utc>) -> NewMessage {
    NewMessage {
        job_id,
        kind: "kind-1".to_owned(),
        seq: 2,
        cause: Cause::Publish,
        reason: None,
        waits_for: None,
        due_at,
    }
}

async fn relay(runner: &mut Runner) {
    let now = runner.now();
    let clock = runner.database().clock().clone();
    runner.run("relay: next due message", async |tx| outbox::next_due(tx, &clock, &[]).await).await;
    let window = Window { messages: 1_000, of_a_kind: 1_000, bytes: u32::MAX };
    let due = runner
        .run("relay: claim a window of 1,000", async |tx| {
            outbox::claim_due(tx, Moment::At(now), window, &[]).await
        })
        .await
        .due;
    let sent: Vec<_> = due.iter().map(|one| (one.job_id, one.seq)).collect();
    runner.run("relay: remove 1,000 sent", async |tx| outbox::remove_sent(tx, &sent).await).await;
    let refused: Vec<_> = due.iter().take(200).map(|one| (one.job_id, "no".to_owned(), now)).collect();
    runner.run("relay: note 200 refused", async |tx| outbox::note_refused(tx, &refused).await).await;
}

async fn work(runner: &mut Runner) {
    let now = runner.now();
    let waiting = job::Filter { states: vec![JobState::Pending], ..job::Filter::default() };
    let jobs = job::list(runner.database().read(), &waiting, SET).await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    runner.run("worker: fences of 200 jobs", async |tx| job::fences(tx, &ids).await).await;
    runner.run("worker: lock 200 jobs", async |tx| job::lock(tx, &ids).await).await;
    let ends = ends(&ids);
    runner.run("worker: end 200 jobs", async |tx| job::transition(tx, &ends, now).await).await;
    runner.run("worker: release 200 dedup keys", async |tx| dedup::release(tx, &ids).await).await;
    runner.run("worker: clear 200 suspects", async |tx| suspect::clear(tx, &ids).await).await;
    let records: Vec<Record> = ids.iter().map(|id| record(*id, now)).collect();
    let written = async |tx: &_| attempt::record(tx, &records, now).await;
    runner.run("worker: record 200 attempts", written).await;
    runner.run("worker: which of 200 are called off", async |tx| job::called_off(tx, &ids).await).await;
    let lost = async |tx: &_| attempt::often_lost(tx, &ids, 2).await;
    runner.run("worker: which of 200 were often lost", lost).await;
    let keys = ["graph:7".to_owned(), "graph:8".to_owned()];
    let wake = async |tx: &_| outbox::wake_waiters(tx, &keys, now).await;
    runner.run("worker: wake who waits for two leases", wake).await;
}

fn ends(ids: &[JobId]) -> Vec<Transition> {
    ids.iter()
        .map(|id| Transition {
            id: *id,
            seq: 1,
            next_seq: 1,
            state: JobState::Succeeded,
            attempt: 1,
            deferrals: 0,
            started_at: None,
            error: None,
            result: None,
        })
        .collect()
}

fn record(job_id: JobId, started_at: DateTime<Utc>) -> Record {
    Record {
        job_id,
        attempt: 1,
        seq: 1,
        worker: "one".to_owned(),
        outcome: Outcome::Errored,
        error: None,
        started_at,
    }
}

async fn long_jobs(runner: &mut Runner) {
    let now = runner.now();
    let later = now + TimeDelta::minutes(1);
    let running = job::Filter { states: vec![JobState::Running], ..job::Filter::default() };
    let jobs = job::list(runner.database().read(), &running, 20).await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let held: Vec<Held> =
        ids.iter().map(|id| Held { key: lease::run_key(*id), owner: *id, term: 1 }).collect();
    let acquire = async |tx: &_| lease::acquire(tx, "graph:7", ids[0], now, later).await;
    drop(runner.run("long job: take a lease", acquire).await);
    runner.run("long job: renew 20 leases", async |tx| lease::renew(tx, &held, later).await).await;
    runner.run("long job: verify 20 leases", async |tx| lease::verify(tx, &held).await).await;
    runner.run("long job: free 20 leases", async |tx| lease::free(tx, &ids).await).await;
    let expired =
        runner.run("sweeper: expired leases", async |tx| lease::expired_runs(tx, now, 100).await).await;
    let lock = async |tx: &_| lease::lock_expired_runs(tx, &expired, now).await;
    runner.run("sweeper: lock 100 expired leases", lock).await;
    let error = ErrorText { code: "lost".to_owned(), operator: String::new(), public: String::new() };
    let end = async |tx: &_| attempt::end_running(tx, &expired, Outcome::Lost, &error, now).await;
    runner.run("sweeper: end 100 attempts", end).await;
}

async fn upkeep(runner: &mut Runner) {
    let now = runner.now();
    let one = async |tx: &_| outbox::reconcile(tx, Some("kind-1"), now).await;
    runner.run("reconciler: one kind", one).await;
    runner.run("reconciler: all kinds", async |tx| outbox::reconcile(tx, None, now).await).await;
}

async fn remove(runner: &mut Runner) {
    let now = runner.now();
    let old = now - TimeDelta::days(13);
    let first = async |tx: &_| retention::finished(tx, "kind-1", old, None, 5_000).await;
    let mut found = runner.run("retention: look at 5,000 jobs of any kind", first).await.old;
    found.truncate(200);
    runner.run("retention: remove 200 jobs", async |tx| retention::remove(tx, &found).await).await;
    let last = async |tx: &_| retention::finished(tx, "kind-9", old, None, 5_000).await;
    runner.run("retention: look for a kind that has nothing old", last).await;
    let none = now - TimeDelta::days(90);
    let nothing = async |tx: &_| retention::remove_loose(tx, now, none, 200).await;
    runner.run("retention: nothing of what belongs to no job", nothing).await;
    let some = now - TimeDelta::days(7);
    let much = async |tx: &_| retention::remove_loose(tx, now, some, 200).await;
    runner.run("retention: 200 each of what belongs to no job", much).await;
}

async fn gauges(runner: &mut Runner) {
    let now = runner.now();
    runner.run("metrics: what is due", async |tx| outbox::backlog(tx, now, figures::MOST_DUE).await).await;
    let oldest = async |tx: &_| figures::oldest_waiting(tx, "kind-1", now).await;
    runner.run("metrics: oldest waiting job of a kind", oldest).await;
    let none = async |tx: &_| figures::oldest_waiting(tx, "kind-9", now).await;
    runner.run("metrics: oldest waiting job of a kind without any", none).await;
    runner.run("metrics: what waits, by kind and state", async |tx| job::count_unfinished(tx).await).await;
    runner.run("metrics: open letters by kind and reason", async |tx| figures::open_letters(tx).await).await;
    runner.run("metrics: leases held", async |tx| figures::leases_held(tx).await).await;
    runner.run("health: the queue at a glance", async |tx| survey::survey(tx, now).await).await;
}

async fn replay(runner: &mut Runner) {
    let run =
        |last: u128| ReplayRunId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + last));
    let (over, running) = (run(1), run(2));
    let next = async |tx: &_| replay_letter::next(tx, running, 1_000).await;
    let letters: Vec<_> =
        runner.run("replay run: the next 1,000 letters", next).await.into_iter().map(|(id, _)| id).collect();
    let others = async |tx: &_| replay_letter::running_runs_of(tx, &letters).await;
    runner.run("replay run: who has these letters", others).await;
    runner.run("replay run: what waits", async |tx| replay_letter::waiting(tx, running, 10_000).await).await;
    runner.run("replay run: a step's jobs", async |tx| replay_letter::steps(tx, over, Some(3)).await).await;
    runner
        .run("replay run: an example of a failure", async |tx| replay_letter::a_failure(tx, over, 3).await)
        .await;
    runner.run("replay run: how many of which", async |tx| replay_letter::count(tx, over).await).await;
    let before = runner.now() - TimeDelta::days(90);
    runner.run("replay run: remove an old one", async |tx| replay_run::remove_old(tx, before, 5).await).await;
}
