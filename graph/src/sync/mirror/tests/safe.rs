//! Cycles that are cut off, repeated, stopped, and a write side that is not what it was.

use std::time::Duration;

use ackord_entities::graph::node::Visibility;
use rstest::rstest;
use sea_orm::DbBackend;

use super::world::World;
use crate::sync::engine::Engine;
use crate::sync::{CycleEnd, Progress, SyncError, SyncProvider};
use crate::synthesis::corpus::import;

const PARROTS: [(&str, &str); 1] = [("more.md", "# Parrots\n\nA Parrot repeats what the Sweeper says.\n")];

#[rstest]
#[tokio::test]
async fn a_cycle_that_did_not_count_is_done_again_to_the_same_end(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.write("The outbox", Visibility::Public).await;
    // Nothing of these is committed: the job died before.
    for _ in 0..3 {
        world.perform().await.unwrap();
    }
    world.settle().await;
    import(world.database(), "default", &PARROTS).await;
    world.readable().await;
    for _ in 0..3 {
        world.perform().await.unwrap();
    }
    let after_the_crash = world.text("facts.jsonl");
    assert!(after_the_crash.contains("Parrot"), "data first");
    let (moved, _) = world.settle().await;
    assert!(moved > 0, "what did not count is not taken for done");
    assert_eq!(world.text("facts.jsonl"), after_the_crash);
    assert_eq!(world.cycle().await.end, CycleEnd::Idle);
}

#[rstest]
#[tokio::test]
async fn what_a_dead_worker_left_is_swept_away_and_a_stopped_one_leaves_the_file_before(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.settle().await;
    let before = world.text("facts.jsonl");
    std::fs::write(world.path(".facts.jsonl.0190.part"), "{\"half\": ").unwrap();
    std::fs::write(world.path("syntheses/.x.md.0190.part"), "half").unwrap();
    import(world.database(), "default", &PARROTS).await;
    world.readable().await;
    world.stop.cancel();
    assert!(matches!(world.perform().await, Err(SyncError::Stopped)));
    assert_eq!(world.text("facts.jsonl"), before);
    world.stop = tokio_util::sync::CancellationToken::new();
    world.settle().await;
    assert_ne!(world.text("facts.jsonl"), before);
    assert!(!world.path(".facts.jsonl.0190.part").exists());
    assert!(!world.path("syntheses/.x.md.0190.part").exists());
}

#[rstest]
#[tokio::test]
async fn a_folder_that_somebody_removed_is_written_again_and_other_files_are_left_alone(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.write("The outbox", Visibility::Public).await;
    world.settle().await;
    let nodes = world.text("nodes.jsonl");
    std::fs::remove_dir_all(world.path("")).unwrap();
    let (moved, _) = world.settle().await;
    assert!(moved > 0);
    assert_eq!((world.text("nodes.jsonl"), world.texts().len()), (nodes, 1));
    std::fs::write(world.path("syntheses/notes.txt"), "mine").unwrap();
    std::fs::write(world.path("syntheses/not-there-any-more.md"), "old").unwrap();
    world.write("Leases", Visibility::Public).await;
    world.settle().await;
    assert_eq!(world.text("syntheses/notes.txt"), "mine");
    assert!(!world.path("syntheses/not-there-any-more.md").exists());
    assert_eq!(world.texts().len(), 3);
}

#[tokio::test]
async fn texts_that_were_written_half_way_are_written_again() {
    let mut world = World::new(DbBackend::Sqlite).await.unwrap();
    world.write("The outbox", Visibility::Public).await;
    world.write("Leases", Visibility::Public).await;
    world.settle().await;
    // Somebody removed the folder, and the cycle that wrote it again died within it.
    std::fs::remove_file(world.path("syntheses/.whole")).unwrap();
    let lost = world.texts()[0].clone();
    std::fs::remove_file(world.path(&format!("syntheses/{lost}"))).unwrap();
    let (moved, _) = world.settle().await;
    assert_eq!((moved, world.texts().len()), (1, 2), "what was there is left as it is");
    assert!(world.texts().contains(&lost));
}

#[rstest]
#[tokio::test]
async fn a_long_cycle_ends_when_its_time_is_over_and_the_next_goes_on(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.budget = Duration::ZERO;
    let (_, cycles) = world.settle().await;
    assert!(cycles >= 5, "a file each: {cycles}");
    assert_eq!(world.lines("edges.jsonl").len(), world.count("write_edges").await);
    assert_eq!(world.cycle().await.end, CycleEnd::Idle);
}

#[rstest]
#[tokio::test]
async fn after_another_provider_everything_is_written_again(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.settle().await;
    // The engine follows the graph now, and forgets changes that the mirror has not seen.
    Engine.cycle(&world.context(false), &Progress::default()).await.unwrap();
    import(world.database(), "default", &PARROTS).await;
    world.run("DELETE FROM write_changes").await;
    world.settle().await;
    assert_eq!(world.lines("facts.jsonl").len(), world.count("write_facts").await);
    assert!(world.text("facts.jsonl").contains("Parrot"));
}

#[rstest]
#[tokio::test]
async fn a_write_side_that_was_set_back_is_mirrored_as_a_whole(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.settle().await;
    let follower = "UPDATE write_followers SET token = graph_id, previous_token = NULL";
    assert_eq!(world.run(follower).await, 1);
    world.run("UPDATE write_sources SET title = 'As it was' WHERE uri LIKE '%outbox.md'").await;
    world.run("DELETE FROM write_changes").await;
    world.settle().await;
    assert!(world.text("sources.jsonl").contains("As it was"));
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_an_error_with_its_remedy_and_afresh_mends_it() {
    let mut world = World::new(DbBackend::Sqlite).await.unwrap();
    world.state = Some("{".to_owned());
    let error = world.perform().await.unwrap_err().to_string();
    assert!(error.contains("mirror") && error.contains("--afresh"), "{error}");
    let progress = Progress { state: world.state.clone() };
    let cycle = world.mirror.cycle(&world.context(true), &progress).await.unwrap();
    world.state = cycle.state;
    world.settle().await;
    assert!(!world.lines("facts.jsonl").is_empty());
}
