//! Kinds that fail to tell the domain of a bad end: their syntheses hear of it all the same.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::{synthesis_attempt, synthesis_link};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{Job as _, Recombination, Synthesis};
use ackord_entities::queue::state::JobState;
use ackord_graph::synthesis::{GraphPlanner, TextProducer};
use ackord_producer::Publish;
use ackord_producer::syntheses::catch_up;
use async_trait::async_trait;
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbBackend};

use super::world::{Scripted, World, about, planned, registry};
use super::writing::give_up;
use super::{RecombinationHandler, RegenerationHandler, SuperSynthesisHandler, SynthesisHandler};
use crate::error::JobError;
use crate::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};
use crate::registry::Registry;
use crate::testing::{StageOptions, eventually};

/// Does what its handler does, but can tell nobody of a bad end.
struct Mute<H>(H);

#[async_trait]
impl<H: Handler> Handler for Mute<H> {
    type Job = H::Job;
    type Output = H::Output;

    async fn accept(&self, turn: &Turn<H::Job>, tx: &Tx<'_>) -> Result<(), JobError> {
        self.0.accept(turn, tx).await
    }

    async fn perform(&self, turn: &Turn<H::Job>, context: &Context) -> Result<H::Output, JobError> {
        self.0.perform(turn, context).await
    }

    async fn commit(
        &self,
        turn: &Turn<H::Job>,
        output: &H::Output,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        self.0.commit(turn, output, tx).await
    }

    async fn abandon(&self, _turn: &Turn<H::Job>, _end: &End, _tx: &Tx<'_>) -> Result<(), JobError> {
        Err(JobError::Permanent(Failure::new("mute", "the domain cannot be told")))
    }
}

fn mute(writer: &Arc<Scripted>) -> Registry {
    let producer = Arc::clone(writer) as Arc<dyn TextProducer>;
    registry(writer)
        .with(Mute(SynthesisHandler::new(Arc::clone(&producer))))
        .with(Mute(RegenerationHandler::new(producer, Arc::new(GraphPlanner))))
        .with(Mute(SuperSynthesisHandler::default()))
        .with(Mute(RecombinationHandler::default()))
}

async fn caught_up(world: &World) -> usize {
    catch_up(&world.stage.database, &world.stage.doorbell).await.unwrap()
}

/// The synthesis waits for `job`, which is called off and cannot tell it.
async fn call_off(world: &mut World, id: SynthesisId, job: JobId) {
    let before = world.row(id).await;
    assert!(before.is_in_flight() && before.job_id == Some(job), "{before:?}");
    world.cancel(job).await;
    world.stage.start(StageOptions::default());
    assert_eq!(world.stage.ended(job).await.state, JobState::Cancelled);
    world.stage.stop().await;
    assert_eq!(world.row(id).await, before, "nobody told it");
    assert_eq!(caught_up(world).await, 1);
    let row = world.row(id).await;
    assert_eq!((row.state, row.error_code), (State::Error, world.stage.job(job).await.error_code));
}

#[rstest]
#[tokio::test]
async fn a_part_that_did_not_hear_of_its_jobs_end_holds_nobody_up(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::with(backend, mute).await else { return };
    let _held = world.writer.hold("The outbox");
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Leases", "The outbox"])).await;
    let part = eventually("one part has ended and the other is being written", async || {
        let parts = synthesis_link::parts_of(world.stage.database.read(), id).await.ok()?;
        let ended = parts.iter().any(|part| part.topic == "Leases" && part.state == State::Completed);
        parts.into_iter().find(|part| ended && part.topic == "The outbox" && part.state == State::Running)
    })
    .await;
    assert_eq!(caught_up(&world).await, 0, "whoever is being written, or waits for his parts, is left alone");
    let job = part.job_id.unwrap();
    world.cancel(job).await;
    assert_eq!(world.stage.ended(job).await.state, JobState::Cancelled);
    assert_eq!(world.part(id, "The outbox").await.state, State::Running, "nobody told it");
    assert!(world.jobs_of(Recombination::KIND).await.is_empty(), "and the whole waits for it");

    assert_eq!(caught_up(&world).await, 1);
    world.quiet().await;
    let (whole, part) = (world.row(id).await, world.part(id, "The outbox").await);
    assert_eq!((whole.state, whole.current_version), (State::Partial, Some(1)));
    assert_eq!((part.state, part.error_code), (State::Error, world.stage.job(job).await.error_code));
    let attempts = synthesis_attempt::all_of(world.stage.database.read(), part.sub_id).await.unwrap();
    assert!(attempts.iter().all(|attempt| attempt.ended_at.is_some()));
    assert_eq!(caught_up(&world).await, 0, "it is told once");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn no_kind_of_job_leaves_its_synthesis_waiting_for_ever(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::with(backend, mute).await else { return };
    // One that was never planned, and is planned again.
    let (whole, planning) = world.ask_super(&about(&["Leases"])).await;
    call_off(&mut world, whole, planning).await;
    let again = world.regenerate(whole).await.unwrap().job;
    call_off(&mut world, whole, again).await;
    // One that waits to be combined.
    let database = world.stage.database.clone();
    let whole = planned(&database, &about(&["Leases"]), JobId::new()).await;
    let part = world.parts(whole).await.remove(0);
    world.cancel(part.job_id.unwrap()).await;
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let failure = Failure::new("test", "on purpose");
    let (of, publish) = (part.job_id.unwrap(), Publish::at(now));
    give_up(part.sub_id, of, &failure, &publish, &Tx::new(&tx, now)).await.unwrap();
    tx.commit().await.unwrap();
    let combining = world.row(whole).await.job_id.unwrap();
    call_off(&mut world, whole, combining).await;
}

#[rstest]
#[tokio::test]
async fn a_synthesis_whose_job_is_gone_has_failed(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::with(backend, mute).await else { return };
    let (id, _) = world.ask(&Synthesis::about("Leases")).await;
    assert_eq!(caught_up(&world).await, 0);
    for table in ["outbox", "jobs"] {
        world.stage.database.write().execute_unprepared(&format!("DELETE FROM {table}")).await.unwrap();
    }
    assert_eq!(caught_up(&world).await, 1);
    let row = world.row(id).await;
    assert_eq!((row.state, row.error_code.as_deref()), (State::Error, Some("job_gone")));
    world.regenerate(id).await.unwrap();
}
