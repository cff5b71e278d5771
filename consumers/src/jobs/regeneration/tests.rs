#![allow(clippy::unwrap_used, reason = "tests")]

use ackord_entities::graph::node::{self, Visibility};
use ackord_entities::graph::{graphs, synthesis_attempt};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::Recombination;
use ackord_entities::queue::state::JobState;
use ackord_producer::syntheses::RegenerateError;
use rstest::rstest;
use sea_orm::DbBackend;

use super::*;
use crate::jobs::world::{GLACIERS, World, about, import};
use crate::testing::{StageOptions, eventually};

fn glaciers() -> Synthesis {
    Synthesis {
        visibility: ackord_entities::jobs::Visibility::Private,
        creator_id: Some("anna".to_owned()),
        ..Synthesis::about("Arctic glaciers")
    }
}

async fn codes(world: &World, id: SynthesisId) -> Vec<Option<String>> {
    let attempts = synthesis_attempt::all_of(world.stage.database.read(), id).await.unwrap();
    attempts.into_iter().map(|attempt| attempt.error_code).collect()
}

#[rstest]
#[tokio::test]
async fn a_failed_synthesis_is_written_again_in_place(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask(&glaciers()).await;
    world.quiet().await;
    assert_eq!(world.row(id).await.state, State::Error);
    let again = world.regenerate(id).await.unwrap();
    assert_eq!(again.kind, "regeneration");
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.attempts), (State::Error, 2), "the graph knows nothing yet");
    assert_eq!(codes(&world, id).await, [Some("no_facts".to_owned()), Some("no_facts".to_owned())]);

    import(&world.stage.database, "default", "glaciers.md", GLACIERS).await;
    let again = world.regenerate(id).await.unwrap();
    assert_eq!(world.stage.ended(again.job).await.state, JobState::Succeeded);
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version, row.attempts), (State::Completed, Some(1), 3));
    assert_eq!((row.error_code, row.error_message, row.error_at), (None, None, None));
    assert_eq!((row.visibility, row.creator_id.as_deref()), (Visibility::Private, Some("anna")));
    assert_eq!(serde_json::from_str::<Synthesis>(&row.input).unwrap(), glaciers());
    assert!(world.text(id).await.contains("body of ice"));
    assert_eq!(codes(&world, id).await.last(), Some(&None));
    let all =
        synthesis::by_key_prefix(world.stage.database.read(), graphs::id_of("default"), "synthesis-", 10);
    assert_eq!(all.await.unwrap().len(), 1, "the same node");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_written_again_is_refused_with_its_code_and_nothing_changes(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (good, _) = world.ask(&Synthesis::about("Leases")).await;
    let (lost, _) = world.ask(&glaciers()).await;
    let (whole, _) = world.ask_super(&about(&["Leases"])).await;
    world.quiet().await;
    let spoil = format!("UPDATE write_syntheses SET input = '{{}}' WHERE topic = '{}'", glaciers().topic);
    world.stage.database.write().execute_unprepared(&spoil).await.unwrap();
    let concept = SynthesisId(node::id_of(graphs::id_of("default"), "outbox").0);
    let cases = [
        (SynthesisId::new(), "not_found"),
        (concept, "wrong_type"),
        (good, "not_in_error"),
        (whole, "not_in_error"),
        (lost, "no_stored_input"),
    ];
    for (id, code) in cases {
        let before = synthesis::by_id(world.stage.database.read(), id).await.unwrap();
        let error = world.regenerate(id).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(synthesis::by_id(world.stage.database.read(), id).await.unwrap(), before);
    }
    assert!(world.jobs_of(Regeneration::KIND).await.is_empty(), "a refusal publishes nothing");
    // Past the request, the job itself refuses.
    for (id, code) in [
        (SynthesisId::new(), "not_found"),
        (good, "not_in_error"),
        (whole, "wrong_type"),
        (lost, "no_stored_input"),
    ] {
        let before = synthesis::by_id(world.stage.database.read(), id).await.unwrap();
        let job = world.stage.publish(&Regeneration::of(id)).await;
        let ended = world.stage.ended(job).await;
        assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Failed, Some(code)));
        assert_eq!(synthesis::by_id(world.stage.database.read(), id).await.unwrap(), before);
    }
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_second_request_learns_the_job_of_the_first(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.writer.fail("Leases");
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask(&Synthesis::about("Leases")).await;
    world.quiet().await;
    world.stage.stop().await;
    world.writer.heal("Leases");

    let first = world.regenerate(id).await.unwrap();
    assert_eq!(world.row(id).await.state, State::Pending);
    let in_flight = |error: RegenerateError| match error {
        RegenerateError::InFlight { job } => job,
        other => panic!("{other}"),
    };
    assert_eq!(in_flight(world.regenerate(id).await.unwrap_err()), first.job, "while it waits");
    let go = world.writer.hold("Leases");
    world.stage.start(StageOptions::default());
    eventually("it is being written", async || {
        (synthesis::by_id(world.stage.database.read(), id).await.ok()??.state == State::Running).then_some(())
    })
    .await;
    assert_eq!(in_flight(world.regenerate(id).await.unwrap_err()), first.job, "while it runs");
    // A job that was published past the request does not disturb it.
    let stranger = world.stage.publish(&Regeneration::of(id)).await;
    let refused = world.stage.ended(stranger).await;
    assert_eq!((refused.state, refused.error_code.as_deref()), (JobState::Failed, Some("in_flight")));
    assert_eq!(world.row(id).await.state, State::Running);
    go.notify_one();
    world.quiet().await;
    assert_eq!(world.row(id).await.state, State::Completed);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_at_once_one_is_accepted() {
    for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
        let Some(mut world) = World::new(backend).await else { continue };
        world.stage.start(StageOptions::default());
        let (id, _) = world.ask(&glaciers()).await;
        world.quiet().await;
        world.stage.stop().await;
        let answers = futures::future::join_all((0..8).map(|_| world.regenerate(id))).await;
        let accepted: Vec<JobId> = answers.iter().flatten().map(|accepted| accepted.job).collect();
        assert_eq!(accepted.len(), 1, "{answers:?}");
        let others = answers.iter().filter_map(|answer| answer.as_ref().err());
        for other in others {
            assert!(matches!(other, RegenerateError::InFlight { job } if *job == accepted[0]), "{other}");
        }
        assert_eq!(world.jobs_of(Regeneration::KIND).await.len(), 1);
    }
}

#[rstest]
#[tokio::test]
async fn a_part_that_is_written_again_has_each_of_its_parents_combined_once(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (one, _) = world.ask_super(&about(&["Leases", "Arctic glaciers"])).await;
    world.quiet().await;
    let part = world.part(one, "Arctic glaciers").await.sub_id;
    let other = SuperSynthesis { existing_synthesis_ids: vec![part], ..about(&["The outbox"]) };
    let (other, _) = world.ask_super(&other).await;
    world.quiet().await;
    for whole in [one, other] {
        assert_eq!(world.row(whole).await.state, State::Partial);
    }
    let before = world.jobs_of(Recombination::KIND).await.len();
    import(&world.stage.database, "default", "glaciers.md", GLACIERS).await;
    world.regenerate(part).await.unwrap();
    world.quiet().await;
    for whole in [one, other] {
        let row = world.row(whole).await;
        assert_eq!((row.state, row.current_version, row.error_code), (State::Completed, Some(2), None));
        assert!(world.text(whole).await.contains("body of ice"));
        assert!(world.read(whole).await.contains(&("Arctic glaciers".to_owned(), Some(1))));
    }
    assert_eq!(world.jobs_of(Recombination::KIND).await.len(), before + 2, "exactly one for each parent");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_super_synthesis_that_was_never_planned_is_planned_in_place(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let (id, job) = world.ask_super(&about(&["Leases"])).await;
    world.cancel(job).await;
    world.stage.start(StageOptions::default());
    world.quiet().await;
    assert_eq!(world.row(id).await.state, State::Error);
    assert!(world.parts(id).await.is_empty());
    assert_eq!(world.regenerate(id).await.unwrap().kind, Regeneration::KIND);
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Completed, Some(1)), "{:?}", row.error_message);
    assert_eq!((row.visibility, row.creator_id.as_deref()), (Visibility::Private, Some("anna")));
    assert_eq!(world.parts(id).await.len(), 1);
    world.stage.stop().await;
}
