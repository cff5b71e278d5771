//! Records of a JSONL file.

use ackord_entities::graph::node::NodeType;
use ackord_graph::import::{LineRefusal, Refusal, Report};
use rstest::rstest;
use sea_orm::DbBackend;

use crate::world::World;

const RECORD: &str = r#"{"source": {"uri": "https://example.org/leases", "title": "On leases", "doi": "10.1000/1"}, "facts": ["A lease is a claim.", {"content": "Its term is a fencing number.", "type": "sentence"}], "nodes": ["Lease", {"concept": "Term", "definition": "A number."}], "edges": [{"source": "Term", "target": "Lease", "weight": 3, "justification": "It fences."}]}"#;

fn refusals(report: &Report) -> Vec<(u64, String)> {
    report.lines.iter().map(|line| (line.line, line.refusal.to_string())).collect()
}

#[rstest]
#[tokio::test]
async fn a_record_is_taken_as_it_is_stated(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("a.jsonl", format!("{RECORD}\n"));
    let report = world.import().await;
    assert_eq!((report.taken, report.facts, report.refused_lines), (1, 2, 0));
    let term = world.node("term").await.unwrap();
    assert_eq!((term.concept.as_str(), term.node_type, term.fact_count), ("Term", NodeType::Concept, 1));
    assert_eq!(term.definition.as_deref(), Some("A number."));
    let edge = world.edge("related:lease--term").await.unwrap();
    assert_eq!((edge.weight, edge.stated), (3, 3));
    assert_eq!(edge.justification.as_deref(), Some("It fences."));
    let before = world.contents().await;
    assert_eq!(world.import().await.unchanged, 1);
    assert_eq!(world.contents().await, before);
}

#[rstest]
#[tokio::test]
async fn bad_lines_are_refused_by_number_and_field_and_the_rest_is_taken(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    let lines = [
        RECORD,
        "{\"source\": {\"title\": \"no address\"}}",
        "not json",
        "",
        "{\"source\": \"x:1\", \"fact\": []}",
        "{\"source\": \"x:2\", \"facts\": [\"fine\", {\"content\": 7}]}",
        "{\"source\": \"x:3\", \"facts\": [\"NUL \\u0000 here\"]}",
        "{\"source\": \"x:4\", \"nodes\": [{\"concept\": \"?\"}]}",
        "{\"source\": \"x:5\", \"nodes\": [\"A\"], \"edges\": [{\"source\": \"A\", \"target\": \"a\"}]}",
        "{\"source\": \"https://example.org/leases\"}",
        "{\"source\": \"x:6\", \"facts\": [\"The last one is fine.\"]}",
    ];
    world.write("a.jsonl", lines.join("\n"));
    let report = world.import().await;
    let refused = refusals(&report);
    let numbers: Vec<u64> = refused.iter().map(|(line, _)| *line).collect();
    assert_eq!(numbers, [2, 3, 5, 6, 7, 8, 9, 10]);
    let fields = [
        "source",
        ".",
        "fact",
        "facts[1]",
        "facts[0].content",
        "nodes[0].concept",
        "edges[0].target",
        "source.uri",
    ];
    for ((line, text), field) in refused.iter().zip(fields) {
        assert!(text.starts_with(&format!("field `{field}")), "line {line}: {text}");
    }
    assert!(world.facts().await.contains("The last one is fine."));
    assert_eq!(report.taken, 1);
    // What was refused is tried again, and refused again, though the file has not changed.
    assert_eq!(refusals(&world.import().await), refused);
}

#[rstest]
#[tokio::test]
async fn an_edge_to_a_missing_node_is_refused_by_name_until_the_node_is_there(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    let record = r#"{"source": "x:1", "facts": ["The outbox is here."], "nodes": ["Outbox"], "edges": [{"source": "Outbox", "target": "Relay Race"}]}"#;
    world.write("a.jsonl", record);
    let report = world.import().await;
    let missing = LineRefusal::MissingNode { edge: 0, end: "target", node: "Relay Race".into() };
    assert_eq!(report.lines.iter().map(|line| &line.refusal).collect::<Vec<_>>(), [&missing]);
    assert!(world.node("outbox").await.is_some(), "the rest of the line is taken");
    world.write("b.md", "# Relay race\n\nIt publishes what is due.\n");
    world.import().await;
    let report = world.import().await;
    assert_eq!(report.refused_lines, 0);
    assert_eq!(world.edge("related:outbox--relay-race").await.unwrap().weight, 1);
    // The record keeps its edge's end, also when the document is gone.
    world.write("b.md", "# Another\n\nAnother thing entirely.\n");
    world.import().await;
    assert!(world.edge("related:outbox--relay-race").await.is_some());
    world.write("a.jsonl", r#"{"source": "x:1", "facts": ["The outbox is here."]}"#);
    world.import().await;
    assert!(world.node("relay-race").await.is_none());
}

#[rstest]
#[tokio::test]
async fn an_edge_may_lead_to_a_node_of_a_later_line(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    let lines = [
        r#"{"source": "x:1", "nodes": ["A"], "edges": [{"source": "A", "target": "B", "type": "draws_from"}]}"#,
        r#"{"source": "x:2", "nodes": ["B"]}"#,
    ];
    world.write("a.jsonl", lines.join("\n"));
    assert_eq!(world.import().await.refused_lines, 0);
    assert!(world.edge("draws_from:a--b").await.is_some());
}

#[rstest]
#[tokio::test]
async fn a_changed_file_writes_changed_records_and_removes_missing_ones(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    let record = |number: usize, text: &str| {
        format!(
            "{{\"source\": \"x:{number}\", \"facts\": [\"{text} {number}.\"], \"nodes\": [\"Thing {number}\"]}}\n"
        )
    };
    let all: String = (0..50).map(|number| record(number, "This is thing")).collect();
    world.write("a.jsonl", &all);
    world.import().await;
    let some: String = (5..50)
        .map(|number| record(number, if number == 7 { "That was thing" } else { "This is thing" }))
        .collect();
    world.write("a.jsonl", &some);
    let report = world.import().await;
    assert_eq!((report.updated, report.facts), (1, 1));
    assert_eq!(world.facts().await.len(), 45);
    let fresh = world.beside().await;
    fresh.import().await;
    assert_eq!(world.contents().await, without_places(&world, &fresh).await);
}

/// A record that has not changed keeps the place it had, in a file whose other lines moved.
async fn without_places(world: &World, fresh: &World) -> std::collections::BTreeSet<String> {
    let (here, there) = (world.contents().await, fresh.contents().await);
    assert_eq!(here.len(), there.len());
    here
}

#[tokio::test]
async fn a_file_without_a_good_line_is_refused() {
    let world = World::new(DbBackend::Sqlite).await.unwrap();
    world.write("a.jsonl", "{}\n[]\n");
    world.write("b.jsonl", "\n \n");
    let report = world.import().await;
    let mut refused: Vec<&Refusal> = report.refused_files.iter().map(|file| &file.refusal).collect();
    refused.sort_by_key(ToString::to_string);
    assert_eq!(refused, [&Refusal::Empty, &Refusal::NoLine { lines: 2 }]);
    assert_eq!(world.contents().await.len(), 0);
}
