//! A job is published, relayed, delivered, performed, committed and settled.

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions};
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;

use crate::kinds::{Long, LongHandler, Short, ShortHandler, effects, make_effects};

#[tokio::test(flavor = "multi_thread")]
async fn a_short_job_has_its_effect_and_succeeds() {
    for database in TestDatabase::each().await {
        let mut stage = Stage::new(database, Registry::new().with(ShortHandler)).await;
        make_effects(&stage.database).await;
        stage.start(StageOptions::default());
        let id = stage.publish(&Short { note: "tea".to_owned() }).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Succeeded, 1, 1));
        assert_eq!(effects(&stage.reopen().await, id).await, ["tea"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_is_handed_over_and_has_its_effect() {
    for database in TestDatabase::each().await {
        let mut stage = Stage::new(database, Registry::new().with(LongHandler)).await;
        make_effects(&stage.database).await;
        stage.start(StageOptions::default());
        let id = stage.publish(&Long { note: "tea".to_owned() }).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Succeeded, 1, 2));
        assert_eq!(effects(&stage.reopen().await, id).await, ["TEA"]);
        stage.stop().await;
    }
}
