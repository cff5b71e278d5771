//! Copying graphs: asked for, looked at, and rows that could not be copied.

use ackord_entities::graph::graphs;
use ackord_entities::ids::{GraphId, JobId};
use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::queue::audit;
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::sync::cycle::{self, Outcome, Resolution};
use ackord_entities::sync::failure::{self, Cause, Policy, Record};
use rstest::rstest;
use sea_orm::{DbBackend, EntityTrait as _};
use serde_json::{Value, json};

use crate::world::World;

async fn graph(world: &World, slug: &str) -> GraphId {
    let now = world.database().clock().now(world.database().read()).await.unwrap();
    graphs::ensure(world.database().write(), slug, now).await.unwrap()
}

/// A cycle that was held back.
async fn copied(world: &World, graph: GraphId) -> JobId {
    let now = world.database().clock().now(world.database().read()).await.unwrap();
    let job_id = JobId::new();
    let cycle = cycle::Model {
        job_id,
        graph_id: graph,
        provider: "default".to_owned(),
        provider_resolution: Resolution::Default,
        outcome: Outcome::Partial,
        moved: 7,
        deleted: 1,
        deferred: 1,
        failed: 2,
        tables: r#"{"facts":{"moved":7,"deleted":1,"deferred":1,"failed":2,"seconds":0.25}}"#.to_owned(),
        lag_ms: Some(1_500),
        held_by: Some("process 17 (psql, secret_database)".to_owned()),
        error: Some("no space on /var/secret".to_owned()),
        started_at: now,
        ended_at: now,
    };
    cycle::record(world.database().write(), cycle).await.unwrap();
    job_id
}

/// Two refused rows and one that waits.
async fn refused(world: &World, graph: GraphId) {
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    let record = |table, key: &str| Record { table, key: key.to_owned() };
    let cause = || Cause::Refused { code: "refused", error: "violates the check no_parrots".to_owned() };
    let held = [
        (record("facts", "a"), cause()),
        (record("facts", "b/c"), cause()),
        (record("node_facts", "a"), Cause::Missing("facts:a".to_owned())),
    ];
    failure::record(&tx, graph, &held, Policy::default(), now).await.unwrap();
    tx.commit().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_copied_on_demand_and_one_that_waits_already_is_named(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let id = graph(&world, "research").await;
    let publisher = world.token("p", ApiRole::Publisher, None).await;
    let path = "/graphs/research/sync";
    let first = world.post(path).token(&publisher).header("idempotency-key", "1").expect(202).await;
    let body = first.json();
    assert_eq!((&body["graph"], &body["duplicate"]), (&json!("research"), &json!(false)));
    let job = body["job_id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), Some(format!("/api/v1/jobs/{job}").as_str()));
    let again = world.post(path).token(&publisher).header("idempotency-key", "1").expect(202).await;
    assert_eq!((again.json(), again.header("idempotency-replayed")), (body, Some("true")));
    // By its id, and everything: another wish. The same wish is answered with the job that waits.
    let afresh = json!({ "afresh": true });
    let other =
        world.post(&format!("/graphs/{id}/sync")).token(&publisher).json(&afresh).expect(202).await.json();
    assert_eq!((&other["graph"], &other["duplicate"]), (&json!("research"), &json!(false)));
    let waits = world.post(path).token(&publisher).json(&json!({})).expect(202).await.json();
    assert_eq!((&waits["job_id"], &waits["duplicate"]), (&json!(job), &json!(true)));
    assert_eq!(job::list(world.database().read(), &Filter::default(), 9).await.unwrap().len(), 2);
    assert_eq!(world.post("/graphs/nowhere/sync").token(&publisher).expect(404).await.problem(), "not_found");
    let unknown = world.post(path).token(&publisher).json(&json!({ "again": 1 })).expect(422).await.json();
    assert_eq!(unknown["field"], "again");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn how_it_stands_is_for_everybody_and_why_for_operators(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let id = graph(&world, "research").await;
    let (viewer, operator) =
        (world.token("v", ApiRole::Viewer, None).await, world.token("o", ApiRole::Operator, None).await);
    let never = world.get("/graphs/research/sync").token(&viewer).expect(200).await.json();
    assert_eq!((&never["newest"], &never["synced_at"]), (&Value::Null, &Value::Null));
    assert_eq!((&never["provider"], &never["resolution"]), (&json!("default"), &json!("default")));

    let cycle = copied(&world, id).await;
    refused(&world, id).await;
    let seen = world.get("/graphs/research/sync").token(&viewer).expect(200).await;
    let told = seen.json();
    assert_eq!(told["newest"]["job_id"], json!(cycle));
    assert_eq!(told["busy"]["tables"]["facts"]["failed"], 2);
    assert_eq!((&told["newest"]["lag_ms"], &told["newest"]["held_by"]), (&json!(1_500), &Value::Null));
    assert_eq!(told["held"], json!({ "deferred": 1, "pending": 2, "abandoned": 0 }));
    assert!(!seen.text.contains("secret"), "{}", seen.text);
    let whole = world.get("/graphs/research/sync?cycles=1").token(&operator).expect(200).await.json();
    assert!(whole["cycles"][0]["held_by"].as_str().unwrap().contains("process 17"), "{whole}");
    assert!(whole["cycles"][0]["error"].as_str().unwrap().contains("/var/secret"), "{whole}");
    world.get("/graphs/research/sync?cycles=201").token(&viewer).expect(400).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_listed_page_by_page_requeued_and_discarded(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let id = graph(&world, "research").await;
    refused(&world, id).await;
    refused(&world, graph(&world, "other").await).await;
    let operator = world.token("o", ApiRole::Operator, None).await;
    let mut found = Vec::new();
    let mut next = Some("/sync/failures?graph=research&limit=1".to_owned());
    while let Some(path) = next {
        let page = world.get(&path).token(&operator).expect(200).await.json();
        found.extend(page["items"].as_array().unwrap().clone());
        let on = |cursor: &str| format!("/sync/failures?graph=research&limit=1&cursor={cursor}");
        next = page["next_cursor"].as_str().map(on);
    }
    let told: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|row| {
            let of = |field: &str| row[field].as_str().unwrap();
            (of("table"), of("key"), of("state"))
        })
        .collect();
    let expected = [("facts", "a", "pending"), ("facts", "b/c", "pending"), ("node_facts", "a", "deferred")];
    assert_eq!(told, expected);
    assert_eq!((&found[0]["graph"], &found[2]["waits_for"]), (&json!("research"), &json!("facts:a")));
    let all = world.get("/sync/failures?state=deferred").token(&operator).expect(200).await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);

    let post =
        |verb: &str, body: Value| world.post(&format!("/sync/failures/{verb}")).token(&operator).json(&body);
    let one = json!({ "graph": "research", "table": "facts", "key": "b/c", "reason": "mended" });
    let done = post("requeue", one.clone()).expect(200).await.json();
    assert_eq!(done, json!({ "graph": "research", "rows": 1, "changed": true }));
    assert_eq!(post("discard", one.clone()).expect(200).await.json()["rows"], 1);
    assert_eq!(post("discard", one).expect(404).await.problem(), "not_found");
    let rest = post("discard", json!({ "graph": "research", "all": true })).expect(200).await.json();
    assert_eq!(rest["rows"], 1, "what waits for another row goes on doing that");
    let nothing = post("requeue", json!({ "graph": "research", "all": true })).expect(200).await.json();
    assert_eq!((&nothing["rows"], &nothing["changed"]), (&json!(0), &json!(false)));
    for (wrong, field) in [
        (json!({ "graph": "research" }), "all"),
        (json!({ "graph": "research", "table": "facts" }), "key"),
        (json!({ "graph": "research", "key": "a" }), "table"),
        (json!({ "graph": "research", "table": "facts", "key": "a", "all": true }), "all"),
    ] {
        assert_eq!(post("requeue", wrong).expect(422).await.json()["field"], field);
    }
    post("requeue", json!({ "graph": "nowhere", "all": true })).expect(404).await;
    let left = world.get("/sync/failures?graph=other").token(&operator).expect(200).await.json();
    assert_eq!(left["items"].as_array().unwrap().len(), 3, "another graph's rows are left alone");
    let deeds = audit::Entity::find().all(world.database().read()).await.unwrap();
    let mut deeds: Vec<(&str, &str)> = deeds
        .iter()
        .filter(|deed| deed.subject_type == audit::SubjectType::Graph)
        .map(|deed| (deed.verb.as_str(), deed.subject.as_str()))
        .collect();
    deeds.sort_unstable();
    assert_eq!(deeds.len(), 3, "{deeds:?}");
    assert!(deeds.contains(&("requeue", "research/facts/b/c")), "{deeds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_is_written_elsewhere_takes_no_documents_and_no_texts() {
    let world = World::with(DbBackend::Sqlite, |options| options.written_elsewhere = vec!["lab".to_owned()]);
    let world = world.await.unwrap();
    let id = graph(&world, "lab").await;
    for name in ["lab".to_owned(), id.to_string()] {
        let path = format!("/graphs/{name}/imports?uri=upload:a.md");
        let refused = world
            .post(&path)
            .text("text/markdown", "# A\n\nA claim that ends by itself.\n")
            .expect(409)
            .await;
        assert_eq!(refused.problem(), "written_elsewhere");
        assert!(refused.json()["detail"].as_str().unwrap().contains("ackord import --graph lab"));
        for path in ["/syntheses", "/super-syntheses"] {
            let refused =
                world.post(path).json(&json!({ "topic": "Claims", "graph": name })).expect(409).await;
            assert_eq!(refused.problem(), "written_elsewhere");
        }
    }
    let other = world.post("/graphs/default/imports?uri=upload:a.md");
    other.text("text/markdown", "# A\n\nA claim that ends by itself.\n").expect(200).await;
}
