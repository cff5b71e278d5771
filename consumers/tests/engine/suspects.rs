//! What was in flight when a process died runs alone afterwards, and what kills its process each time is given up.
//!
//! A test cannot die. It copies the file of what is in flight while a job runs: that is what the next process finds.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions};
use ackord_consumers::worker::WorkerOptions;
use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{process, suspect};
use ackord_entities::testing::TestDatabase;
use tempfile::TempDir;

use crate::kinds::{Calls, Long, Noted, Scripted, Short, Work};
use crate::steps::{Gate, effects_of, letters_of, quiet, reasons};

/// Each life of the process has a file of its own, since a worker that is killed here still tidies up behind itself.
struct Scene {
    folder: TempDir,
    life: Cell<u32>,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), life: Cell::new(1) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(format!("inflight-{}", self.life.get()))
    }

    fn options(&self) -> StageOptions {
        let worker = WorkerOptions { in_flight_file: Some(self.file()), ..StageOptions::default().worker };
        StageOptions { worker, ..StageOptions::default() }
    }

    /// Kills the worker and leaves the file as it is at this moment.
    async fn die(&self, stage: &mut Stage) {
        let bytes = std::fs::read(self.file()).unwrap();
        stage.kill().await;
        self.life.set(self.life.get() + 1);
        std::fs::write(self.file(), bytes).unwrap();
        stage.lose_broker().await;
        stage.recover().await;
    }
}

/// Waits at the gate if its note says `killer`.
fn killer<J: Noted>(gate: &Gate) -> Scripted<J> {
    let gate = gate.clone();
    Scripted::<J>::new().perform(move |turn, _| {
        let gate = gate.clone();
        Box::pin(async move {
            if turn.job.note() == "killer" {
                gate.pass().await;
            }
            Ok(turn.job.note().to_owned())
        })
    })
}

async fn dies_of_its_kills(stage: &Stage, id: JobId) {
    let job = stage.ended(id).await;
    assert_eq!((job.state, job.error_code.as_deref()), (JobState::Dead, Some("killed_worker")));
    assert_eq!(reasons(&letters_of(stage, id).await), [Reason::KilledWorker]);
    assert_eq!(effects_of(stage, id).await, ["abandoned: killed_worker"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_job_that_kills_its_process_is_given_up_and_its_neighbours_succeed() {
    for database in TestDatabase::each().await {
        let (scene, gate) = (Scene::new(), Gate::new());
        let mut stage = quiet(database, Registry::new().with(killer::<Work>(&gate))).await;
        let guilty = stage.publish(&Work::new("killer")).await;
        let mut neighbours = Vec::new();
        for number in 0..5 {
            neighbours.push(stage.publish(&Work::new(&number.to_string())).await);
        }
        // Once unsuspected, then three recorded starts.
        for _ in 0..4 {
            stage.start(scene.options());
            gate.entered().await;
            scene.die(&mut stage).await;
        }
        stage.start(scene.options());
        dies_of_its_kills(&stage, guilty).await;
        for id in neighbours {
            assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
            assert_eq!(suspect::starts(stage.database.read(), id).await.unwrap(), 0);
        }
        assert_eq!(
            suspect::starts(stage.database.read(), guilty).await.unwrap(),
            0,
            "nothing is left behind"
        );
        stage.stop().await;
        assert!(std::fs::read(scene.file()).unwrap().iter().all(|byte| *byte == 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_that_kills_its_process_is_given_up() {
    for database in TestDatabase::each().await {
        let (scene, gate) = (Scene::new(), Gate::new());
        let mut stage = quiet(database, Registry::new().with(killer::<Long>(&gate))).await;
        let guilty = stage.publish(&Long::keyed("killer", "graph:one")).await;
        for _ in 0..4 {
            stage.start(scene.options());
            gate.entered().await;
            scene.die(&mut stage).await;
        }
        stage.start(scene.options());
        dies_of_its_kills(&stage, guilty).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_runs_alone_and_is_cleared_when_it_gets_through() {
    for database in TestDatabase::each().await {
        let (scene, gate, calls) = (Scene::new(), Gate::new(), Calls::default());
        let handler = Scripted::<Work>::new().perform({
            let (gate, calls) = (gate.clone(), calls.clone());
            move |turn, _| {
                let gate = gate.clone();
                calls.count("all");
                Box::pin(async move {
                    if turn.job.note == "suspect" {
                        gate.pass().await;
                    }
                    Ok(turn.job.note.clone())
                })
            }
        });
        let mut stage = quiet(database, Registry::new().with(handler).with(Scripted::<Short>::new())).await;
        let suspect = stage.publish(&Work::new("suspect")).await;
        stage.start(scene.options());
        gate.entered().await;
        scene.die(&mut stage).await;
        stage.start(scene.options());
        gate.entered().await;
        assert_eq!(suspect::starts(stage.database.read(), suspect).await.unwrap(), 1);
        let others = [stage.publish(&Work::new("other")).await, stage.publish(&Work::new("another")).await];
        let short = stage.publish(&Short::new("short")).await;
        crate::steps::unsettled::<Work>(&stage, 3).await;
        crate::steps::unsettled::<Short>(&stage, 1).await;
        assert_eq!(calls.of("all"), 2, "nothing short runs beside it");
        gate.open(1);
        for id in [suspect, others[0], others[1], short] {
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
        }
        assert_eq!(suspect::starts(stage.database.read(), suspect).await.unwrap(), 0);
        stage.stop().await;
    }
}

/// A suspect that has to wait for a lease has not been started, however often it asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_that_waits_for_a_lease_is_not_blamed() {
    for database in TestDatabase::each().await {
        let (scene, gate) = (Scene::new(), Gate::new());
        let handler = Scripted::<Long>::new().perform({
            let gate = gate.clone();
            move |turn, _| {
                let gate = gate.clone();
                Box::pin(async move {
                    gate.pass().await;
                    Ok(turn.job.note.clone())
                })
            }
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let suspect = stage.publish(&Long::keyed("suspect", "graph:one")).await;
        stage.start(scene.options());
        gate.entered().await;
        scene.die(&mut stage).await;
        // Somebody else is faster, and holds the lease for a long time.
        let owner = JobId::new();
        crate::steps::in_transaction(&stage, async |tx, now| {
            let until = now + chrono::TimeDelta::hours(1);
            ackord_entities::queue::lease::acquire(tx, "graph:one", owner, now, until)
                .await
                .unwrap()
                .unwrap();
        })
        .await;
        stage.start(scene.options());
        for wait in 1..=5 {
            ackord_consumers::testing::eventually("it waits for the lease", async || {
                let job = stage.job(suspect).await;
                let waits =
                    crate::steps::waiting(&stage, suspect).await.is_some_and(|one| one.waits_for.is_some());
                (job.deferrals == wait && waits).then_some(())
            })
            .await;
            crate::steps::in_transaction(&stage, async |tx, now| {
                ackord_entities::queue::outbox::make_due(tx, suspect, now).await.unwrap()
            })
            .await;
        }
        crate::steps::in_transaction(&stage, async |tx, now| {
            let freed = ackord_entities::queue::lease::free(tx, &[owner]).await.unwrap();
            ackord_entities::queue::outbox::wake_waiters(tx, &freed, now).await.unwrap();
        })
        .await;
        gate.open(1);
        assert_eq!(stage.ended(suspect).await.state, JobState::Succeeded);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_for_the_third_time_is_a_suspect_without_a_file() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(killer::<Work>(&gate))).await;
        let guilty = stage.publish(&Work::new("killer")).await;
        // Twice unsuspected, once in company, then alone.
        for starts in [0, 0, 0, 1, 2, 3] {
            stage.start(StageOptions::default());
            gate.entered().await;
            assert_eq!(suspect::starts(stage.database.read(), guilty).await.unwrap(), starts);
            stage.kill().await;
        }
        stage.start(StageOptions::default());
        dies_of_its_kills(&stage, guilty).await;
        stage.stop().await;
    }
}

/// A broker counts a death for everything that it had handed over. Those are tried together, and one by one only when the process
/// dies again.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_for_the_third_time_runs_together_once_and_then_one_by_one() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), Calls::default());
        let handler = Scripted::<Work>::new().perform({
            let (gate, calls) = (gate.clone(), calls.clone());
            move |turn, _| {
                let gate = gate.clone();
                calls.count("all");
                Box::pin(async move {
                    gate.pass().await;
                    Ok(turn.job.note.clone())
                })
            }
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let mut all = Vec::new();
        for number in 0..3 {
            all.push(stage.publish(&Work::new(&number.to_string())).await);
        }
        for life in 1..=3 {
            stage.start(StageOptions::default());
            for _ in &all {
                gate.entered().await;
            }
            assert_eq!(calls.of("all"), 3 * life, "they run side by side");
            stage.kill().await;
        }
        stage.start(StageOptions::default());
        for done in 1..=3 {
            gate.entered().await;
            let mut starts = Vec::new();
            for id in &all {
                starts.push(suspect::starts(stage.database.read(), *id).await.unwrap());
            }
            assert_eq!(starts.iter().sum::<i32>(), 1, "one runs, and it alone: {starts:?}");
            assert_eq!(calls.of("all"), 9 + done);
            gate.open(1);
        }
        for id in all {
            assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
            assert!(suspect::find(stage.database.read(), id).await.unwrap().is_none(), "it is cleared");
        }
        stage.stop().await;
    }
}

/// A suspect whose three starts were all made by another process, and that process, just seen.
async fn started_elsewhere(stage: &Stage, scene: &Scene) -> JobId {
    let suspect = stage.publish(&Work::new("killer")).await;
    crate::steps::in_transaction(stage, async |tx, now| {
        for _ in 0..suspect::MAX_STARTS {
            suspect::record_start(tx, suspect, ELSEWHERE, now, false).await.unwrap();
        }
        let elsewhere = process::Model {
            name: ELSEWHERE.to_owned(),
            roles: process::joined(&BTreeSet::from(process::Role::ALL)),
            host: "another".to_owned(),
            process: 7,
            version: "0.1.0".to_owned(),
            broker: "embedded".to_owned(),
            started_at: now,
            seen_at: now,
        };
        process::register(tx, elsewhere).await.unwrap();
    })
    .await;
    std::fs::write(scene.file(), suspect.0.as_bytes()).unwrap();
    suspect
}

const ELSEWHERE: &str = "elsewhere";

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_its_process_outlived_counts_nothing() {
    for database in TestDatabase::each().await {
        let (scene, gate) = (Scene::new(), Gate::new());
        let mut stage = quiet(database, Registry::new().with(killer::<Work>(&gate))).await;
        let suspect = started_elsewhere(&stage, &scene).await;
        stage.start(scene.options());
        // It is not known yet whether it lives: one that only was alive says nothing.
        let entered = gate.entered();
        tokio::pin!(entered);
        assert!(tokio::time::timeout(Duration::from_millis(600), &mut entered).await.is_err());
        let alive = crate::steps::now(&stage).await;
        assert!(process::beat(stage.database.write(), ELSEWHERE, alive).await.unwrap());
        entered.await;
        let recorded = suspect::find(stage.database.read(), suspect).await.unwrap().unwrap();
        assert_eq!(recorded.starts, suspect::MAX_STARTS, "it took the place of the one that was survived");
        assert_ne!(recorded.started_by.as_deref(), Some(ELSEWHERE));
        gate.open(1);
        assert_eq!(stage.ended(suspect).await.state, JobState::Succeeded);
        assert_eq!(suspect::starts(stage.database.read(), suspect).await.unwrap(), 0);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_process_gives_no_sign_of_life_counts() {
    for database in TestDatabase::each().await {
        let (scene, gate) = (Scene::new(), Gate::new());
        let mut stage = quiet(database, Registry::new().with(killer::<Work>(&gate))).await;
        let suspect = started_elsewhere(&stage, &scene).await;
        stage.start(scene.options());
        crate::steps::advance(&stage, process::SILENCE.as_secs() + 1);
        dies_of_its_kills(&stage, suspect).await;
        stage.stop().await;
    }
}

/// A name that comes again, as in a container, is not the process that had it before.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_process_of_the_same_name_does_not_answer_for_an_earlier_one() {
    for database in TestDatabase::each().await {
        let (scene, gate) = (Scene::new(), Gate::new());
        let mut stage = quiet(database, Registry::new().with(killer::<Work>(&gate))).await;
        let suspect = started_elsewhere(&stage, &scene).await;
        crate::steps::in_transaction(&stage, async |tx, now| {
            let mut later = process::find(tx, ELSEWHERE).await.unwrap().unwrap();
            process::leave(tx, ELSEWHERE).await.unwrap();
            later.started_at = now + chrono::TimeDelta::seconds(1);
            process::register(tx, later).await.unwrap();
        })
        .await;
        stage.start(scene.options());
        dies_of_its_kills(&stage, suspect).await;
        stage.stop().await;
    }
}
