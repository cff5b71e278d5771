//! A clock that jumps: nothing is lost, nothing is done twice.

use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::StageOptions;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::upkeep::put_back_expired;

use crate::kinds::{Long, Scripted, Short};
use crate::steps::{Gate, effects_of, in_state, publish_with, quiet};

fn registry(gate: &Gate) -> Registry {
    let gate = gate.clone();
    let handler = Scripted::<Long>::new().perform(move |turn, _| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass().await;
            Ok(turn.job.note.clone())
        })
    });
    Registry::new().with(handler).with(Scripted::<Short>::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_delays_what_is_due_and_harms_nothing_else() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, registry(&gate)).await;
        stage.start(StageOptions::default());
        let running = stage.publish(&Long::keyed("tea", "graph:one")).await;
        gate.entered().await;
        in_state(&stage, running, JobState::Running).await;
        let due = publish_with(&stage, &Short::new("due"), |publish| publish.due_in(Duration::from_secs(60)))
            .await
            .id;
        stage.database.clock().set_back(Duration::from_secs(3600));
        let now = stage.publish(&Short::new("now")).await;
        assert_eq!(stage.ended(now).await.state, JobState::Succeeded);
        assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 0);
        gate.open(1);
        let job = stage.ended(running).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
        assert_eq!(effects_of(&stage, running).await, ["tea"]);
        assert_eq!(stage.job(due).await.state, JobState::Pending);
        crate::steps::advance(&stage, 3661);
        assert_eq!(stage.ended(due).await.state, JobState::Succeeded);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_costs_an_attempt_and_no_second_effect() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, registry(&gate)).await;
        stage.start(StageOptions::default());
        let id = stage.publish(&Long::keyed("tea", "graph:one")).await;
        gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        stage.database.clock().advance(Duration::from_secs(24 * 3600));
        assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 1);
        gate.open(2);
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}
