//! Importing again: nothing twice, nothing left over.

use ackord_entities::graph::node::{self, NodeType};
use ackord_entities::graph::{graphs, source};
use ackord_entities::ids::NodeId;
use ackord_graph::import::{ImportOptions, file_uri};
use proptest::prelude::*;
use rstest::rstest;
use sea_orm::{ActiveModelTrait, ActiveValue, DbBackend, EntityTrait, IntoActiveModel};

use crate::world::World;

const LEASES: &str = "# Leases\n\nA lease is a claim of RabbitMQ. Each lease has a term. The lease of a job ends with the job.\n\n\
                      ## Terms\n\nThe term fences the job. A job without a term is lost. Shared by both documents.\n";
const OUTBOX: &str = "# Outbox\n\nThe relay publishes rows of the outbox to RabbitMQ. The relay never writes a job.\n\
                      Shared by both documents.\n";

#[rstest]
#[tokio::test]
async fn a_second_import_changes_nothing(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.write("deep/er/outbox.md", OUTBOX);
    let first = world.import().await;
    assert_eq!((first.taken, first.updated, first.unchanged, first.refused), (2, 0, 0, 0));
    assert_eq!(first.facts, 9);
    let before = world.contents().await;
    let second = world.import().await;
    assert_eq!((second.taken, second.updated, second.unchanged, second.refused), (0, 0, 2, 0));
    assert_eq!(world.contents().await, before);
    let edge = world.edge("related:job--term").await.unwrap();
    assert_eq!(edge.weight, 2);
    assert_eq!(world.node("lease").await.unwrap().node_type, NodeType::Heading);
}

#[rstest]
#[tokio::test]
async fn a_changed_file_leaves_nothing_of_what_it_was(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.write("outbox.md", OUTBOX);
    world.import().await;
    let changed = LEASES
        .replace("Each lease has a term.", "Each lease has an owner in Berlin.")
        .replace("## Terms", "## Fences");
    world.write("leases.md", &changed);
    let report = world.import().await;
    assert_eq!((report.taken, report.updated, report.unchanged), (0, 1, 1));
    assert!(!world.facts().await.contains("Each lease has a term."));
    let fresh = world.beside().await;
    fresh.import().await;
    assert_eq!(world.contents().await, fresh.contents().await);
}

#[rstest]
#[tokio::test]
async fn a_fact_that_two_sources_state_stays_until_both_are_gone(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.write("outbox.md", OUTBOX);
    world.import().await;
    world.write("outbox.md", "# Outbox\n\nOnly this is left.\n");
    world.import().await;
    assert!(world.facts().await.contains("Shared by both documents."));
    world.write("leases.md", "# Leases\n\nOnly that is left.\n");
    world.import().await;
    assert!(!world.facts().await.contains("Shared by both documents."));
}

#[rstest]
#[tokio::test]
async fn an_import_that_was_cut_off_is_completed_by_the_next(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.import().await;
    let whole = world.contents().await;
    // What a crash within a large source leaves: the row without its hash, with some of its sentences.
    let id = source::id_of(graphs::id_of(graphs::DEFAULT), &file_uri(&world.path("leases.md")));
    let database = world.test.database();
    let row = source::Entity::find_by_id(id).one(database.read()).await.unwrap().unwrap();
    let mut row = row.into_active_model();
    row.content_hash = ActiveValue::Set(None);
    row.update(database.write()).await.unwrap();
    let report = world.import().await;
    assert_eq!((report.taken, report.updated, report.unchanged), (0, 1, 0));
    assert_eq!(world.contents().await, whole);
}

#[rstest]
#[tokio::test]
async fn a_large_source_is_written_in_parts_and_replaced_in_parts(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    let long = |word: &str| -> String {
        let sentence =
            |n: usize| format!("The {word} number {n} meets Ada Lovelace in paragraph {}.\n", n / 7);
        format!("# A long story\n\n{}", (0..1_200).map(sentence).collect::<String>())
    };
    world.write("long.md", long("zebra"));
    world.write("outbox.md", OUTBOX);
    let report = world.import().await;
    assert_eq!((report.taken, report.facts), (2, 1_203));
    world.write("long.md", long("zebra").replace("number 17 ", "number seventeen "));
    let report = world.import().await;
    assert_eq!(report.updated, 1);
    let fresh = world.beside().await;
    fresh.import().await;
    assert_eq!(world.contents().await, fresh.contents().await);
    world.remove("long.md");
    world.import_with(ImportOptions { prune: true, ..ImportOptions::default() }).await;
    assert_eq!(world.facts().await.len(), 3);
}

#[rstest]
#[tokio::test]
async fn a_file_that_is_gone_is_counted_and_removed_when_told_so(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.write("outbox.md", OUTBOX);
    world.import().await;
    world.remove("leases.md");
    let report = world.import().await;
    assert_eq!((report.gone, report.removed), (1, 0));
    assert!(world.node("lease").await.is_some());
    let report = world.import_with(ImportOptions { prune: true, ..ImportOptions::default() }).await;
    assert_eq!((report.gone, report.removed), (0, 1));
    assert!(world.node("lease").await.is_none());
    let fresh = world.beside().await;
    fresh.import().await;
    assert_eq!(world.contents().await, fresh.contents().await);
}

#[rstest]
#[tokio::test]
async fn a_file_that_is_excluded_now_keeps_its_source(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.import().await;
    let options =
        ImportOptions { prune: true, excludes: vec!["leases.md".into()], ..ImportOptions::default() };
    let report = world.import_with(options).await;
    assert_eq!((report.unchanged, report.removed), (0, 0));
    assert!(world.node("lease").await.is_some());
}

#[rstest]
#[tokio::test]
async fn an_emptied_file_is_refused_and_its_facts_go(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.import().await;
    world.write("leases.md", "\n");
    let report = world.import().await;
    assert_eq!(report.refused, 1);
    assert_eq!(world.contents().await.len(), 0);
}

#[rstest]
#[tokio::test]
async fn a_synthesis_is_never_touched(#[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend) {
    let Some(world) = World::new(backend).await else { return };
    world.write("leases.md", LEASES);
    world.import().await;
    let database = world.test.database();
    let like = world.node("lease").await.unwrap();
    let synthesis = node::Model {
        id: NodeId::new(),
        key: "leases-20261120-100000".into(),
        concept: "Leases [UTC 20261120-100000]".into(),
        node_type: NodeType::Synthesis,
        definition: Some("A document.".into()),
        fact_count: 0,
        ..like
    };
    synthesis.clone().into_active_model().insert(database.write()).await.unwrap();
    world.write("leases.md", "# Leases [UTC 20261120-100000]\n\nThe heading is the name of a synthesis.\n");
    world.import().await;
    let stays = node::Entity::find_by_id(synthesis.id).one(database.read()).await.unwrap();
    assert_eq!(stays, Some(synthesis));
}

fn texts() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0..12_usize, 0..10), 1..4)
}

const SENTENCES: [&str; 12] = [
    "The lease of Ada Lovelace ends.",
    "A lease has a term.",
    "The term of a lease is a number.",
    "Each term fences RabbitMQ.",
    "RabbitMQ keeps the dead letter.",
    "A dead letter has a cause.",
    "The cause of a dead letter is told to Ada Lovelace.",
    "## Leases\n\nThis stands under leases.",
    "## Dead letters\n\nThat stands under RabbitMQ.",
    "# RabbitMQ\n\nA broker it is.",
    "- A lease in a list with a term",
    "`enqueue_all` writes the lease; `enqueue_all` reads a term.",
];

fn document(choice: &[usize]) -> String {
    choice.iter().flat_map(|index| [SENTENCES[*index], "\n\n"]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever the files were before, the graph is the one that a fresh import of what they are now makes.
    #[test]
    fn a_graph_is_what_its_files_are_now(history in prop::collection::vec(texts(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(DbBackend::Sqlite).await.unwrap();
            for files in &history {
                for (number, choice) in files.iter().enumerate() {
                    world.write(&format!("{number}.md"), document(choice));
                }
                world.import().await;
            }
            let fresh = world.beside().await;
            fresh.import().await;
            assert_eq!(world.contents().await, fresh.contents().await);
        });
    }
}
