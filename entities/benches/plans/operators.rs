//! What people ask for.

use ackord_entities::queue::dead_letter::{self, LetterState, Reason};
use ackord_entities::queue::job;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, replay_run};
use chrono::TimeDelta;

use super::runner::Runner;

const PAGE: u64 = 50;

pub(super) async fn run(runner: &mut Runner) {
    jobs(runner).await;
    letters(runner).await;
    acts(runner).await;
}

async fn jobs(runner: &mut Runner) {
    let all = job::Filter::default;
    let kind = |name: &str| Some(name.to_owned());
    let newest = job::list(runner.database().read(), &all(), 1).await.unwrap()[0].id;
    let lists: [(&str, job::Filter); 12] = [
        ("jobs list", all()),
        ("jobs list, the next page", job::Filter { before: Some(newest), ..all() }),
        ("jobs list, a kind", job::Filter { kind: kind("kind-1"), ..all() }),
        ("jobs list, a kind that has none", job::Filter { kind: kind("kind-9"), ..all() }),
        ("jobs list, dead", job::Filter { states: vec![JobState::Dead], ..all() }),
        ("jobs list, pending", job::Filter { states: vec![JobState::Pending], ..all() }),
        ("jobs list, cancelled (there are none)", job::Filter { states: vec![JobState::Cancelled], ..all() }),
        (
            "jobs list, dead or failed of a kind",
            job::Filter { kind: kind("kind-0"), states: vec![JobState::Dead, JobState::Failed], ..all() },
        ),
        (
            "jobs list, dead of a kind that has none",
            job::Filter { kind: kind("kind-9"), states: vec![JobState::Dead], ..all() },
        ),
        (
            "jobs list, running of a kind that has none",
            job::Filter { kind: kind("kind-9"), states: vec![JobState::Running], ..all() },
        ),
        ("jobs list, a subject", job::Filter { subject: Some("subject-10".to_owned()), ..all() }),
        ("jobs list, a parent's", job::Filter { parent: Some(newest), ..all() }),
    ];
    for (label, filter) in lists {
        runner.run(label, async |tx| job::list(tx, &filter, PAGE).await).await;
    }
}

async fn letters(runner: &mut Runner) {
    let open = || dead_letter::Filter { state: Some(LetterState::Open), ..dead_letter::Filter::default() };
    let some = dead_letter::list(runner.database().read(), &open(), 1).await.unwrap().remove(0);
    let hour = runner.now() - TimeDelta::hours(1);
    let lists: [(&str, dead_letter::Filter); 8] = [
        ("dead letters", open()),
        ("dead letters, the next page", dead_letter::Filter { before: Some(some.id), ..open() }),
        ("dead letters, a kind", dead_letter::Filter { kind: some.kind.clone(), ..open() }),
        ("dead letters, a reason", dead_letter::Filter { reason: Some(Reason::Permanent), ..open() }),
        (
            "dead letters, a reason that none has",
            dead_letter::Filter { reason: Some(Reason::Expired), ..open() },
        ),
        (
            "dead letters, a fingerprint",
            dead_letter::Filter { fingerprint: Some(some.fingerprint.clone()), ..open() },
        ),
        ("dead letters, of the last hour", dead_letter::Filter { since: Some(hour), ..open() }),
        ("dead letters, in any state", dead_letter::Filter::default()),
    ];
    for (label, filter) in lists {
        runner.run(label, async |tx| dead_letter::list(tx, &filter, PAGE).await).await;
    }
    runner.run("dead letters, groups", async |tx| dead_letter::groups(tx, &open(), PAGE).await).await;
    let kind = dead_letter::Filter { kind: some.kind.clone(), ..open() };
    runner.run("dead letters, groups of a kind", async |tx| dead_letter::groups(tx, &kind, PAGE).await).await;
    runner.run("dead letters, the ids of a kind", async |tx| dead_letter::ids(tx, &kind).await).await;
    let job = some.job_id.unwrap();
    runner.run("dead letters of a job", async |tx| dead_letter::of_job(tx, job).await).await;
}

async fn acts(runner: &mut Runner) {
    let now = runner.now();
    let open = dead_letter::Filter { state: Some(LetterState::Open), ..dead_letter::Filter::default() };
    let mut ids = dead_letter::ids(runner.database().read(), &open).await.unwrap();
    ids.truncate(200);
    runner.run("replay: lock 200 letters", async |tx| dead_letter::lock(tx, &ids).await).await;
    runner.run("replay: read 200 letters", async |tx| dead_letter::read(tx, &ids).await).await;
    let discard = async |tx: &_| dead_letter::discard(tx, &ids, "somebody", now).await;
    runner.run("discard 200 letters", discard).await;
    let subject = ids[0].to_string();
    runner.run("audit of a letter", async |tx| audit::of_subject(tx, &subject).await).await;
    runner.run("replay runs", async |tx| replay_run::list(tx, None, None, PAGE).await).await;
}
