//! Syntheses: asked for, seen by those who may, changed, removed.

use ackord_entities::graph::synthesis::{self, Failure};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::queue::{audit, job};
use ackord_graph::synthesis::{ExtractiveProducer, Request, Run, Wish, begin, complete, compose, fail};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};

use crate::graphs::import;
use crate::world::World;

pub(crate) const LEASES: &str = "\
# Leases

A lease is an exclusive claim on a key that ends by itself. The sweeper puts back the job of an expired lease.
A lease has a term, and the term is compared when a worker commits. A worker renews its lease while it performs.
";

pub(crate) struct Asked {
    pub(crate) id: SynthesisId,
    pub(crate) job: JobId,
}

pub(crate) async fn ask(world: &World, token: &str, body: Value) -> Asked {
    let answer = world.post("/syntheses").token(token).json(&body).expect(202).await;
    let made = answer.json();
    assert_eq!(
        answer.header("location").unwrap(),
        format!("/api/v1/syntheses/{}", made["id"].as_str().unwrap())
    );
    Asked {
        id: made["id"].as_str().unwrap().parse().unwrap(),
        job: made["job_id"].as_str().unwrap().parse().unwrap(),
    }
}

/// Writes the text as the worker of its job would.
pub(crate) async fn write(world: &World, asked: &Asked) {
    let database = world.database();
    let row = synthesis::by_id(database.read(), asked.id).await.unwrap().unwrap();
    let request = Request {
        graph: row.graph_id,
        topic: row.topic.clone(),
        starting_nodes: Vec::new(),
        budget: 10,
        max_words: 200,
    };
    let composed = compose(database.read(), &ExtractiveProducer, &request, &Run::unwatched()).await.unwrap();
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    begun(&tx, &row, asked, now).await;
    let text = composed.text.unwrap();
    let version =
        complete(&tx, asked.id, asked.job, &text, &composed.producer, &composed.record, now).await.unwrap();
    assert!(version.is_some(), "the synthesis that was asked for is the one that its job writes");
    tx.commit().await.unwrap();
}

async fn begun(
    tx: &sea_orm::DatabaseTransaction,
    row: &synthesis::Model,
    asked: &Asked,
    now: chrono::DateTime<chrono::Utc>,
) {
    let wish = Wish {
        graph: row.graph_id,
        topic: &row.topic,
        visibility: row.visibility,
        creator: row.creator_id.as_deref(),
        input: &row.input,
    };
    let running = begin(tx, &wish, asked.job, now).await.unwrap().unwrap();
    assert_eq!(running.id, asked.id, "one synthesis, and not another one beside it");
}

pub(crate) async fn break_down(world: &World, asked: &Asked) {
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    let failure = Failure {
        code: "no_facts".to_owned(),
        operator: "SELECT in /var/secret.db".to_owned(),
        public: "the graph says nothing about it".to_owned(),
    };
    assert!(fail(&tx, asked.id, asked.job, &failure, None, now).await.unwrap());
    tx.commit().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_synthesis_is_there_when_it_was_asked_for_and_shows_its_text_when_it_is_written(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    import(&world, "upload:leases.md", LEASES).await;
    let token = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let asked = ask(&world, &token, json!({ "topic": "Leases" })).await;
    let path = format!("/syntheses/{}", asked.id);
    let shown = world.get(&path).token(&token).expect(200).await.json();
    assert_eq!(
        (&shown["state"], &shown["text"], &shown["creator_id"]),
        (&json!("pending"), &json!(null), &json!("anna"))
    );
    let row = job::find(world.test.reopen().await.read(), asked.job).await.unwrap().unwrap();
    assert!(row.kind == "synthesis" && row.payload.contains("\"creator_id\":\"anna\""), "{}", row.payload);
    world.get(&format!("{path}/sentences/0/facts")).token(&token).expect(404).await;

    write(&world, &asked).await;
    let shown = world.get(&path).token(&token).expect(200).await.json();
    assert_eq!(
        (&shown["state"], &shown["version"], &shown["error"]),
        (&json!("completed"), &json!(1), &json!(null))
    );
    let text = &shown["text"];
    let sentences = text["sentences"].as_array().unwrap();
    assert_eq!(text["stats"]["sentences_count"], json!(sentences.len()));
    let cited = sentences.iter().find(|sentence| sentence["fact_count"].as_u64() > Some(0)).unwrap();
    let facts = world
        .get(&format!("{path}/sentences/{}/facts", cited["position"]))
        .token(&token)
        .expect(200)
        .await
        .json();
    let facts = facts["facts"].as_array().unwrap().clone();
    assert_eq!(json!(facts.len()), cited["fact_count"]);
    assert_eq!(facts[0]["source"]["uri"], "upload:leases.md");
    assert!(
        facts[0]["content"].as_str().unwrap().to_lowercase().contains("lease")
            || facts[0]["similarity"].as_f64() > Some(0.0)
    );
    let far =
        world.get(&format!("{path}/sentences/{}/facts", sentences.len())).token(&token).expect(404).await;
    assert_eq!(far.problem(), "not_found");
    let versions = world.get(&format!("{path}/versions")).token(&token).expect(200).await.json();
    assert_eq!(versions["versions"].as_array().unwrap().len(), 1);
    let version = world.get(&format!("{path}/versions/1")).token(&token).expect(200).await.json();
    assert_eq!(version["markdown"], text["markdown"]);
    world.get(&format!("{path}/versions/2")).token(&token).expect(404).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_shown_without_its_cause(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let publisher = world.token("p", ApiRole::Publisher, None).await;
    let operator = world.token("o", ApiRole::Operator, None).await;
    let asked = ask(&world, &publisher, json!({ "topic": "Leases" })).await;
    break_down(&world, &asked).await;
    let path = format!("/syntheses/{}", asked.id);
    let answer = world.get(&path).token(&publisher).expect(200).await;
    assert_eq!(
        answer.json()["error"],
        json!({ "code": "no_facts", "message": "the graph says nothing about it" })
    );
    assert!(!answer.text.contains("secret.db"), "{}", answer.text);
    let answer = world.get(&path).token(&operator).expect(200).await.json();
    assert_eq!(answer["operator_error"], "SELECT in /var/secret.db");
    let list = world.get("/syntheses?state=error").token(&publisher).expect(200).await;
    assert!(list.json()["items"][0]["state"] == "error" && !list.text.contains("secret.db"), "{}", list.text);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_private_synthesis_is_not_there_for_others(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    import(&world, "upload:leases.md", LEASES).await;
    let anna = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let ben = world.token("ben's", ApiRole::Publisher, Some("ben")).await;
    let nobody = world.token("nobody's", ApiRole::Viewer, None).await;
    let operator = world.token("operator's", ApiRole::Operator, Some("olga")).await;
    let asked = ask(&world, &anna, json!({ "topic": "Leases", "visibility": "private" })).await;
    write(&world, &asked).await;
    let id = asked.id;
    let paths = [
        format!("/syntheses/{id}"),
        format!("/syntheses/{id}/sentences/0/facts"),
        format!("/syntheses/{id}/versions"),
        format!("/syntheses/{id}/versions/1"),
        format!("/syntheses/{id}/progress"),
        format!("/syntheses/{id}/events"),
        format!("/graphs/default/nodes/{id}"),
        format!("/graphs/default/nodes/{id}/facts"),
        format!("/graphs/default/nodes/{id}/edges"),
    ];
    let unknown = SynthesisId::new();
    for path in &paths {
        for token in [&ben, &nobody] {
            let hidden = world.get(path).token(token).expect(404).await.json();
            let other = path.replace(&id.to_string(), &unknown.to_string());
            let missing = world.get(&other).token(token).expect(404).await.json();
            let told = |problem: &Value, id: SynthesisId| {
                problem["detail"].to_string().replace(&id.to_string(), "ID")
            };
            assert_eq!(
                told(&hidden, id),
                told(&missing, unknown),
                "{path}: nobody can tell whether it is there"
            );
        }
        for token in [&anna, &operator] {
            world.get(path).token(token).expect(200).await;
        }
    }
    let listed = async |path: &str, token: &str| {
        world.get(path).token(token).expect(200).await.json()["items"].as_array().unwrap().len()
    };
    let nodes = "/graphs/default/nodes?type=synthesis";
    for (path, count) in
        [("/syntheses", 1), ("/syntheses?visibility=private", 1), ("/syntheses?creator=anna", 1), (nodes, 1)]
    {
        assert_eq!((listed(path, &anna).await, listed(path, &operator).await), (count, count), "{path}");
        assert_eq!((listed(path, &ben).await, listed(path, &nobody).await), (0, 0), "{path}");
    }
    for (method, token, status) in [("PATCH", &ben, 404), ("DELETE", &ben, 404), ("PATCH", &nobody, 403)] {
        let call = world.call(method, &paths[0]).token(token);
        let call = if method == "PATCH" { call.json(&json!({ "visibility": "public" })) } else { call };
        call.expect(status).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn its_creator_shows_it_hides_it_and_removes_it(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    import(&world, "upload:leases.md", LEASES).await;
    let anna = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let ben = world.token("ben's", ApiRole::Publisher, Some("ben")).await;
    let asked = ask(&world, &anna, json!({ "topic": "Leases" })).await;
    let path = format!("/syntheses/{}", asked.id);
    let in_flight = world.call("DELETE", &path).token(&anna).expect(409).await;
    assert_eq!((in_flight.problem().as_str(), &in_flight.json()["job_id"]), ("in_flight", &json!(asked.job)));
    write(&world, &asked).await;
    let change =
        |token: &str, to: &str| world.call("PATCH", &path).token(token).json(&json!({ "visibility": to }));
    change(&ben, "private").expect(403).await;
    change(&anna, "secret").expect(422).await;
    assert_eq!(change(&anna, "private").expect(200).await.json()["visibility"], "private");
    world.get(&path).token(&ben).expect(404).await;
    world.get(&format!("/graphs/default/nodes/{}", asked.id)).token(&ben).expect(404).await;
    change(&anna, "public").expect(200).await;
    change(&anna, "public").expect(200).await;
    world.call("DELETE", &path).token(&ben).expect(403).await;
    world.call("DELETE", &path).token(&anna).expect(204).await;
    world.call("DELETE", &path).token(&anna).expect(404).await;
    world.get(&path).token(&anna).expect(404).await;
    let other = world.test.reopen().await;
    let deeds = audit::of_subject(other.read(), &asked.id.to_string()).await.unwrap();
    let verbs: Vec<&str> = deeds.iter().map(|deed| deed.verb.as_str()).collect();
    assert_eq!(verbs, ["change", "change", "delete"], "what changes nothing is no deed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_syntheses_goes_on_where_its_page_ended(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let token = world.token("t", ApiRole::Publisher, Some("anna")).await;
    let mut asked = Vec::new();
    for number in 0..5 {
        let visibility = if number == 2 { "private" } else { "public" };
        let body = json!({ "topic": format!("Topic {number}"), "visibility": visibility });
        asked.push(json!(ask(&world, &token, body).await.id));
    }
    asked.reverse();
    let (mut seen, mut path) = (Vec::new(), "/syntheses?limit=2".to_owned());
    loop {
        let page = world.get(&path).token(&token).expect(200).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/syntheses?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, asked);
    world.get("/syntheses?state=error&cursor=AAAA").token(&token).expect(400).await;
    world.get("/syntheses?graph=none").token(&token).expect(404).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_for_names_the_field_and_leaves_nothing(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let token = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let node = SynthesisId::new();
    for (body, status, field) in [
        (json!({}), 422, "topic"),
        (json!({ "topic": "x".repeat(501) }), 422, "topic"),
        (json!({ "topic": "a", "exploration_budget": 0 }), 422, "exploration_budget"),
        (json!({ "topic": "a", "graph": "none" }), 422, "graph"),
        (json!({ "topic": "a", "starting_node_ids": [node] }), 422, "starting_node_ids[0]"),
        (json!({ "topic": "a", "starting_node_ids": ["x"] }), 422, "starting_node_ids[0]"),
        (json!({ "topic": "a", "colour": 1 }), 422, "colour"),
        (json!({ "topic": "a", "creator_id": "ben" }), 403, "creator_id"),
    ] {
        let answer = world.post("/syntheses").token(&token).json(&body).expect(status).await;
        assert_eq!(answer.json()["field"], field, "{body}: {}", answer.text);
    }
    world.post("/syntheses").token(&token).json(&json!([1])).expect(422).await;
    let other = world.test.reopen().await;
    assert!(job::list(other.read(), &job::Filter::default(), 10).await.unwrap().is_empty());

    let ask = |key: &str| {
        world
            .post("/syntheses")
            .token(&token)
            .header("idempotency-key", key)
            .json(&json!({ "topic": "Leases" }))
    };
    let (one, same, other) =
        (ask("a").expect(202).await, ask("a").expect(202).await, ask("b").expect(202).await);
    assert_eq!(one.json(), same.json());
    assert_ne!(one.json()["id"], other.json()["id"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_synthesis_is_written_again_once_and_nothing_else_is(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    import(&world, "upload:leases.md", LEASES).await;
    let anna = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let ben = world.token("ben's", ApiRole::Publisher, Some("ben")).await;
    let asked = ask(&world, &anna, json!({ "topic": "Leases" })).await;
    let again =
        |token: &str, id: SynthesisId| world.post(&format!("/syntheses/{id}/regenerate")).token(token);
    assert_eq!(
        again(&anna, asked.id).expect(409).await.json()["job_id"],
        json!(asked.job),
        "it is being written"
    );
    break_down(&world, &asked).await;
    again(&ben, asked.id).expect(403).await;
    let published = again(&anna, asked.id).expect(202).await.json();
    assert_eq!((&published["synthesis_id"], &published["kind"]), (&json!(asked.id), &json!("regeneration")));
    let refused = again(&anna, asked.id).expect(409).await;
    assert_eq!((refused.problem().as_str(), &refused.json()["job_id"]), ("in_flight", &published["job_id"]));
    let progress =
        world.get(&format!("/syntheses/{}/progress", asked.id)).token(&anna).expect(200).await.json();
    assert_eq!((&progress["status"], &progress["job_id"]), (&json!("pending"), &published["job_id"]));
    let written = ask(&world, &anna, json!({ "topic": "Leases" })).await;
    write(&world, &written).await;
    assert_eq!(again(&anna, written.id).expect(400).await.problem(), "not_in_error");
    again(&anna, SynthesisId::new()).expect(404).await;

    let lost = ask(&world, &anna, json!({ "topic": "Leases" })).await;
    break_down(&world, &lost).await;
    let sql = "UPDATE write_syntheses SET input = '{}' WHERE state = 'error'";
    world.database().write().execute_unprepared(sql).await.unwrap();
    assert_eq!(again(&anna, lost.id).expect(400).await.problem(), "no_stored_input");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_super_synthesis_is_asked_for_and_told_apart(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let anna = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let part = ask(&world, &anna, json!({ "topic": "Leases" })).await;
    let ask_super = |body: Value| world.post("/super-syntheses").token(&anna).json(&body);
    for (body, field) in [
        (json!({ "topic": "" }), "topic"),
        (
            json!({ "topic": "a", "existing_synthesis_ids": [SynthesisId::new()] }),
            "existing_synthesis_ids[0]",
        ),
        (json!({ "topic": "a", "scope_count": 21 }), "scope_count"),
        (json!({ "topic": "a", "graph": "none" }), "graph"),
    ] {
        let answer = ask_super(body).expect(422).await;
        assert_eq!(answer.json()["field"], field, "{}", answer.text);
    }
    let wish = json!({ "topic": "Engines", "existing_synthesis_ids": [part.id], "sub_configs": [{ "topic": "The outbox" }] });
    let made = ask_super(wish).expect(202).await.json();
    let path = format!("/syntheses/{}", made["id"].as_str().unwrap());
    let shown = world.get(&path).token(&anna).expect(200).await.json();
    assert_eq!(
        (&shown["type"], &shown["state"], &shown["creator_id"]),
        (&json!("supersynthesis"), &json!("pending"), &json!("anna"))
    );
    assert_eq!(shown["family"], json!({ "parts": [], "stale": false, "parents": [] }));
    for (wanted, id) in [("supersynthesis", &made["id"]), ("synthesis", &json!(part.id))] {
        let list = world.get(&format!("/syntheses?type={wanted}")).token(&anna).expect(200).await.json();
        assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["id"]), (1, id));
    }
    let progress = world.get(&format!("{path}/progress")).token(&anna).expect(200).await.json();
    assert_eq!((&progress["status"], &progress["parts"]), (&json!("pending"), &json!(null)));
}
