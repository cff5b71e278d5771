//! Crashes, late workers, and a write side that is not what it was.

use ackord_entities::graph::changes;
use rstest::rstest;
use sea_orm::DbBackend;

use super::world::{LEASES, OUTBOX, World};
use crate::sync::SyncError;

#[rstest]
#[tokio::test]
async fn a_cycle_that_did_not_count_is_done_again_to_the_same_end(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.is_lost_first = true;
    world.import("leases.md", LEASES).await;
    world.settle().await;
    world.assert_equal().await;
    world.import("outbox.md", OUTBOX).await;
    world.change("DELETE FROM write_edges").await;
    world.settle().await;
    world.assert_equal().await;
}

#[rstest]
#[tokio::test]
async fn a_worker_with_an_older_claim_writes_nothing(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.term = 2;
    world.settle().await;
    world.import("outbox.md", OUTBOX).await;
    world.readable().await;
    world.term = 1;
    let error = world.perform().await.unwrap_err();
    assert!(matches!(error, SyncError::Fenced { term: 1, .. }), "{error}");
    let (expected, found) = world.both().await;
    assert_ne!(expected["facts"], found["facts"], "the late worker has written nothing");
    world.term = 3;
    world.settle().await;
    world.assert_equal().await;
}

#[rstest]
#[tokio::test]
async fn an_older_change_does_not_come_over_a_newer_one(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    // As a worker leaves it that had read a later change.
    world.meddle("UPDATE nodes SET concept = 'Newer', change = change + 1000000 WHERE key = 'lease'").await;
    world.change("UPDATE write_nodes SET concept = 'Older' WHERE key = 'lease'").await;
    world.settle().await;
    let (_, found) = world.both().await;
    assert!(found["nodes"].iter().any(|row| row.contains("|Newer|")), "{:#?}", found["nodes"]);
}

#[rstest]
#[tokio::test]
async fn a_write_side_that_was_set_back_is_copied_as_a_whole(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    // What a restored backup of before this cycle says.
    let backup: (uuid::Uuid, Option<uuid::Uuid>) = {
        let look = changes::look(world.write().read(), world.graph, &[]).await.unwrap();
        let follower = look.follower.unwrap();
        (follower.token, follower.previous_token)
    };
    for name in ["a.md", "b.md"] {
        world.import(name, &OUTBOX.replace("outbox", name)).await;
        world.settle().await;
    }
    let quoted = |id: uuid::Uuid| match backend {
        DbBackend::Postgres => format!("'{id}'"),
        _ => format!("unhex('{}')", id.simple()),
    };
    let previous = backup.1.map_or("NULL".to_owned(), quoted);
    world
        .change(&format!(
            "UPDATE write_followers SET token = {}, previous_token = {previous}",
            quoted(backup.0)
        ))
        .await;
    world.change("DELETE FROM write_changes").await;
    // Rows that the backup does not have, and whose removal nobody noted.
    let follower = world.change("UPDATE write_followers SET graph_id = graph_id").await;
    assert_eq!(follower, 1);
    let hidden = "DELETE FROM write_changes";
    world.change("DELETE FROM write_edges").await;
    world.change(hidden).await;
    world.settle().await;
    let state = world.progress().await.state.unwrap();
    assert!(state.contains("\"epoch\":2"), "a new epoch: {state}");
    world.assert_equal().await;
}

#[rstest]
#[tokio::test]
async fn a_graph_that_is_copied_afresh_loses_what_is_too_much(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    world.meddle("UPDATE facts SET content = 'Meddled with.'").await;
    world.meddle("DELETE FROM edges").await;
    world.change("UPDATE write_followers SET previous_token = NULL").await;
    world.change("DELETE FROM write_followers").await;
    world.change("DELETE FROM write_edges").await;
    world.settle().await;
    world.assert_equal().await;
}

#[rstest]
#[tokio::test]
async fn nothing_is_noted_of_a_graph_that_nobody_follows(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    let noted = world.change("DELETE FROM write_changes").await;
    assert_eq!(noted, 0);
    world.settle().await;
    world.import("outbox.md", OUTBOX).await;
    assert!(world.change("DELETE FROM write_changes").await > 0);
}

#[rstest]
#[tokio::test]
async fn changes_are_forgotten_once_they_are_copied(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    world.change("UPDATE write_nodes SET concept = concept || '!'").await;
    world.settle().await;
    world.import("outbox.md", OUTBOX).await;
    world.settle().await;
    world.change("UPDATE write_nodes SET concept = concept || '?'").await;
    world.settle().await;
    let left = world.change("UPDATE write_changes SET stream = stream WHERE stream <> 'nodes'").await;
    assert_eq!(left, 0, "what earlier cycles copied");
}
