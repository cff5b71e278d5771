//! Transactions that commit late, and many writers at once.

use std::time::Duration;

use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend};

use super::world::{LEASES, World};
use crate::sync::CycleEnd;

fn node(world: &World, key: &str) -> String {
    let id = ackord_entities::graph::node::id_of(world.graph, key).0;
    format!(
        "INSERT INTO write_nodes (id, graph_id, key, concept, node_type, visibility, fact_count, strength, created_at, updated_at) \
         VALUES ('{id}', '{}', '{key}', '{key}', 'concept', 'public', 0, 1, now(), now())",
        world.graph
    )
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_not_passed_over() {
    let Some(world) = World::new(DbBackend::Postgres).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    let late = world.write().begin().await.unwrap();
    late.execute_unprepared(&node(&world, "late")).await.unwrap();
    world.change(&node(&world, "early")).await;
    let cycle = world.cycle().await;
    assert_eq!(cycle.end, CycleEnd::Idle, "behind the open transaction nothing is read");
    let (open_ms, who) = cycle.held_by.unwrap();
    assert!(open_ms >= 0 && who.starts_with("process "), "{who}");
    late.commit().await.unwrap();
    world.settle().await;
    world.assert_equal().await;
}

#[tokio::test]
async fn who_was_writing_before_the_graph_was_followed_is_waited_for() {
    let Some(world) = World::new(DbBackend::Postgres).await else { return };
    let late = world.write().begin().await.unwrap();
    late.execute_unprepared(&node(&world, "late")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(world.cycle().await.end, CycleEnd::Waits);
    }
    late.commit().await.unwrap();
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.count("nodes").await, 1);
}

#[tokio::test]
async fn a_copy_is_complete_only_when_what_was_noted_can_be_read_and_nothing_goes_before() {
    let Some(world) = World::new(DbBackend::Postgres).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    let facts = world.count("facts").await;
    // Nobody follows any more: the next copy is of everything.
    world.change("DELETE FROM write_followers").await;
    while world.cycle().await.end == CycleEnd::Idle {}
    let late = world.write().begin().await.unwrap();
    late.execute_unprepared(&node(&world, "late")).await.unwrap();
    world.change("DELETE FROM write_followers").await;
    for _ in 0..5 {
        assert_eq!(world.cycle().await.end, CycleEnd::Waits);
        assert_eq!(world.count("facts").await, facts, "what is there stays while the copy waits");
    }
    late.rollback().await.unwrap();
    // It notes everything under a number that this one holds the horizon below.
    let later = world.write().begin().await.unwrap();
    later.execute_unprepared(&node(&world, "later")).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while world.cycle().await.end != CycleEnd::Continues {
        assert!(std::time::Instant::now() < deadline, "everything was noted");
    }
    for _ in 0..5 {
        assert_eq!(world.cycle().await.end, CycleEnd::Waits);
        assert_eq!(world.count("facts").await, facts);
    }
    later.commit().await.unwrap();
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.count("facts").await, facts);
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_nothing() {
    let Some(world) = World::new(DbBackend::Postgres).await else { return };
    world.settle().await;
    let tx = world.write().begin().await.unwrap();
    tx.execute_unprepared(&node(&world, "never")).await.unwrap();
    tx.rollback().await.unwrap();
    world.change(&node(&world, "a")).await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.count("nodes").await, 1);
}

/// Writers that insert, change and remove nodes, edges and links in transactions of random length, some of which are rolled back.
#[rstest]
#[case::postgres(DbBackend::Postgres, 8)]
#[case::sqlite(DbBackend::Sqlite, 2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_writers_do_while_it_is_copied_arrives(#[case] backend: DbBackend, #[case] writers: u64) {
    let Some(world) = World::new(backend).await else { return };
    let seconds = std::env::var("ACKORD_SOAK").map_or(4, |_| 60);
    let (database, graph) = (world.write().clone(), world.graph);
    let stop = tokio_util::sync::CancellationToken::new();
    let tasks: Vec<_> = (0..writers)
        .map(|number| {
            let (database, stop) = (database.clone(), stop.clone());
            tokio::spawn(async move {
                let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (number + 1));
                let mut done = 0_u64;
                while !stop.is_cancelled() {
                    done += u64::from(write(&database, graph, &mut random).await);
                }
                done
            })
        })
        .collect();
    let begun = std::time::Instant::now();
    let mut moved = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let cycle = world.cycle().await;
        moved += cycle.tables.values().map(|table| table.moved).sum::<u64>();
    }
    stop.cancel();
    let mut written = 0;
    for task in tasks {
        written += task.await.unwrap();
    }
    assert!(written > 50 && moved > 50, "{written} transactions written, {moved} rows copied meanwhile");
    world.settle().await;
    // A row may still wait for one that never comes; it is none that both sides should have.
    world.assert_equal().await;
}

/// xorshift: the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One transaction. Returns whether it was committed.
async fn write(
    database: &ackord_entities::database::Database,
    graph: ackord_entities::ids::GraphId,
    random: &mut Random,
) -> bool {
    let backend = database.backend();
    let uuid = |id: uuid::Uuid| match backend {
        DbBackend::Postgres => format!("'{id}'"),
        _ => format!("unhex('{}')", id.simple()),
    };
    let now = "'2026-01-01T00:00:00+00:00'";
    let tx = database.begin().await.unwrap();
    for _ in 0..=random.below(6) {
        let (a, b) = (random.below(60), random.below(60));
        let key = format!("n-{a}");
        let (node, other) = (
            uuid(ackord_entities::graph::node::id_of(graph, &key).0),
            uuid(uuid::Uuid::from_u128(u128::from(b) + 1)),
        );
        let graph = uuid(graph.0);
        let sql = match random.below(8) {
            0..=2 => format!(
                "INSERT INTO write_nodes (id, graph_id, key, concept, node_type, visibility, fact_count, strength, created_at, updated_at) \
                 VALUES ({node}, {graph}, '{key}', 'c{}', 'concept', 'public', 0, 1, {now}, {now}) \
                 ON CONFLICT (id) DO UPDATE SET concept = excluded.concept",
                random.below(1_000)
            ),
            3 => format!(
                "INSERT INTO write_edges (graph_id, source_key, target_key, relationship_type, weight, stated, updated_at) \
                 VALUES ({graph}, '{key}', 'n-{b}', 'draws_from', {}, 1, {now}) \
                 ON CONFLICT (graph_id, source_key, target_key, relationship_type) DO UPDATE SET weight = excluded.weight",
                random.below(1_000)
            ),
            4 => {
                let search =
                    if backend == DbBackend::Postgres { (", search", ", ''::tsvector") } else { ("", "") };
                format!(
                    "INSERT INTO write_facts (id, graph_id, content, fact_type, created_at, updated_at{}) \
                     VALUES ({other}, {graph}, 'f{b}', 'stated', {now}, {now}{}) ON CONFLICT (id) DO UPDATE SET content = 'f{}'",
                    search.0,
                    search.1,
                    random.below(1_000)
                )
            }
            5 => format!(
                "INSERT INTO write_node_facts (node_id, fact_id) VALUES ({node}, {other}) ON CONFLICT DO NOTHING"
            ),
            6 => format!("DELETE FROM write_node_facts WHERE node_id = {node}"),
            _ => match random.below(3) {
                0 => format!("DELETE FROM write_nodes WHERE id = {node}"),
                1 => format!("DELETE FROM write_facts WHERE id = {other}"),
                _ => format!("DELETE FROM write_edges WHERE source_key = '{key}'"),
            },
        };
        // Two writers in each other's way: one of them is ended, as everywhere.
        if tx.execute_unprepared(&sql).await.is_err() {
            let _ = tx.rollback().await;
            return false;
        }
        if random.below(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
    if random.below(10) == 0 {
        tx.rollback().await.unwrap();
        return false;
    }
    tx.commit().await.is_ok()
}
