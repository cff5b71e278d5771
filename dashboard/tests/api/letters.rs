//! Dead letters: looked at, repaired, replayed, discarded.

use ackord_entities::envelope::Message;
use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::queue::audit;
use ackord_entities::queue::dead_letter::{self, Filter, LetterState, NewLetter, Reason};
use ackord_entities::queue::job::{self, ErrorText};
use bytes::Bytes;
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::json;

use crate::world::World;

/// Gives a message up that was published straight over the broker.
async fn letter(world: &World, number: usize, body: &[u8]) -> DeadLetterId {
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    let message = Message {
        message_id: Some(format!("m{number}")),
        kind: Some("synthesis".to_owned()),
        body: Bytes::copy_from_slice(body),
        ..Message::default()
    };
    let new = NewLetter {
        job_id: None,
        message,
        queue: Some("ackord.synthesis".to_owned()),
        reason: Reason::Permanent,
        error: ErrorText {
            code: "unknown_graph".to_owned(),
            operator: format!("no graph {number} in /var/secret.db"),
            public: "there is no such graph".to_owned(),
        },
        attempts: 1,
        first_failed_at: None,
    };
    assert!(dead_letter::insert(&tx, new, now).await.unwrap());
    tx.commit().await.unwrap();
    dead_letter::list(world.database().read(), &Filter::default(), 1).await.unwrap()[0].id
}

async fn three(world: &World) -> Vec<DeadLetterId> {
    let mut letters = Vec::new();
    for number in 0..3 {
        letters.push(letter(world, number, format!(r#"{{"topic":"Topic {number}"}}"#).as_bytes()).await);
    }
    letters
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_grouped_and_shown_with_their_bytes(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let letters = three(&world).await;
    let binary = letter(&world, 9, b"\xff\x00{").await;
    let page = world.get("/dead-letters?limit=3").expect(200).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = world.get(&format!("/dead-letters?limit=3&cursor={cursor}")).expect(200).await.json();
    assert_eq!(page["items"][0]["id"], json!(letters[0]));
    world.get(&format!("/dead-letters?limit=3&state=all&cursor={cursor}")).expect(400).await;
    let groups = world.get("/dead-letters/groups").expect(200).await.json();
    assert_eq!((&groups["groups"][0]["letters"], &groups["more"]), (&json!(4), &json!(false)));
    let fingerprint = groups["groups"][0]["fingerprint"].as_str().unwrap();
    let alike = world.get(&format!("/dead-letters?fingerprint={fingerprint}")).expect(200).await.json();
    assert_eq!(alike["items"].as_array().unwrap().len(), 4);
    world.get("/dead-letters?reason=tired").expect(400).await;

    let shown = world.get(&format!("/dead-letters/{}", letters[0])).expect(200).await.json();
    assert_eq!(
        (&shown["body"], &shown["body_base64"]),
        (&json!(r#"{"topic":"Topic 0"}"#), &json!("eyJ0b3BpYyI6IlRvcGljIDAifQ=="))
    );
    let shown = world.get(&format!("/dead-letters/{binary}")).expect(200).await.json();
    assert_eq!((&shown["body"], &shown["body_base64"]), (&json!(null), &json!("/wB7")));
    world.get(&format!("/dead-letters/{}", DeadLetterId::new())).expect(404).await;

    let viewer = world.token("viewer", ApiRole::Viewer, None).await;
    for path in ["/dead-letters", "/dead-letters/groups"] {
        let text = world.get(path).token(&viewer).expect(200).await.text;
        assert!(!text.contains("secret.db") && !text.contains("Topic"), "{text}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_letter_is_tried_replayed_with_a_patch_and_not_replayed_twice(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let id = three(&world).await[0];
    let replay = |body: serde_json::Value| world.post(&format!("/dead-letters/{id}/replay")).json(&body);
    let patch = json!([{ "op": "replace", "path": "/topic", "value": "Another topic" }]);
    let tried = replay(json!({ "patch": patch, "dry_run": true })).expect(200).await.json();
    assert!(tried["diff"].as_str().unwrap().contains("+  \"topic\": \"Another topic\""), "{tried}");
    assert_eq!((&tried["changed"], &tried["payload_edited"]), (&json!(false), &json!(true)));
    for (body, field) in [
        (json!({ "patch": [{ "op": "remove", "path": "/colour" }] }), "patch"),
        (json!({ "patch": {} }), "patch"),
        (json!({ "payload": { "topic": "" } }), "topic"),
        (json!({ "payload": {}, "patch": [] }), "patch"),
        (json!({ "payloads": {} }), "payloads"),
    ] {
        let answer = replay(body).expect(422).await;
        assert_eq!(answer.json()["field"], field, "{}", answer.text);
    }
    let done = replay(json!({ "patch": patch, "reason": "fixed" })).expect(200).await.json();
    assert_eq!(done["changed"], true);
    let job_id = done["job_id"].as_str().unwrap().parse().unwrap();
    let other = world.test.reopen().await;
    let job = job::find(other.read(), job_id).await.unwrap().unwrap();
    assert!(job.payload.contains("Another topic"));
    assert_eq!(replay(json!({})).expect(409).await.problem(), "not_open");
    let deeds = audit::of_subject(other.read(), &id.to_string()).await.unwrap();
    assert_eq!(
        (deeds[0].verb.as_str(), deeds[0].actor.as_str(), deeds[0].reason.as_deref()),
        ("replay", "api", Some("fixed"))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn many_letters_go_as_a_run_that_can_be_stopped_and_resumed(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let letters = three(&world).await;
    let replay = |body: serde_json::Value| world.post("/dead-letters/replay").json(&body);
    assert_eq!(replay(json!({ "selection": {} })).expect(422).await.json()["field"], "selection");
    assert_eq!(
        replay(json!({ "selection": { "ids": letters, "all": true } })).expect(422).await.json()["field"],
        "selection"
    );
    replay(json!({ "selection": { "ids": [DeadLetterId::new()] } })).expect(404).await;
    replay(json!({ "selection": { "dead_reason": "tired" } })).expect(400).await;
    let wrong = json!([{ "op": "replace", "path": "/graph", "value": "x" }]);
    let answer = replay(json!({ "selection": { "all": true }, "patch": wrong })).expect(422).await;
    assert_eq!(answer.json()["failures"].as_array().unwrap().len(), 3, "{}", answer.text);
    let patch = json!([{ "op": "add", "path": "/max_words", "value": 100 }]);
    let plan = replay(json!({ "selection": { "all": true }, "patch": patch, "dry_run": true }))
        .expect(200)
        .await
        .json();
    assert_eq!(
        (&plan["letters"], &plan["patch"]["changed"], &plan["run"]),
        (&json!(3), &json!(3), &json!(null))
    );

    let wish = json!({ "selection": { "kind": "synthesis" }, "patch": patch, "reason": "fixed" });
    let begun = replay(wish.clone()).expect(202).await;
    let run = begun.json()["run"]["id"].as_str().unwrap().to_owned();
    assert_eq!(begun.header("location"), Some(format!("/api/v1/replay-runs/{run}").as_str()));
    let again = replay(wish).expect(200).await.json();
    assert_eq!((&again["run"]["id"], &again["changed"]), (&json!(run), &json!(false)));
    assert_eq!(
        world.get("/replay-runs?state=running").expect(200).await.json()["items"][0]["id"],
        json!(run)
    );
    world.get("/replay-runs?state=tired").expect(400).await;
    let path = format!("/replay-runs/{run}");
    assert_eq!(world.post(&format!("{path}/stop")).expect(200).await.json()["changed"], true);
    assert_eq!(world.post(&format!("{path}/stop")).expect(200).await.json()["changed"], false);
    let shown = world.get(&path).expect(200).await.json();
    assert_eq!((&shown["state"], &shown["letters"]["waiting"]), (&json!("stopped"), &json!(3)));
    assert_eq!(world.post(&format!("{path}/resume")).expect(200).await.json()["run"]["state"], "running");
    world.get(&format!("/replay-runs/{}", DeadLetterId::new())).expect(404).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn letters_are_discarded_once(#[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend) {
    let Some(world) = World::open(backend).await else { return };
    let letters = three(&world).await;
    let discard = |body: serde_json::Value| world.post("/dead-letters/discard").json(&body);
    let tried = discard(json!({ "selection": { "all": true }, "dry_run": true })).expect(200).await.json();
    assert_eq!((&tried["discarded"], &tried["changed"]), (&json!(3), &json!(false)));
    let one = json!({ "selection": { "ids": [letters[0]] } });
    assert_eq!(discard(one.clone()).expect(200).await.json()["discarded"], 1);
    let again = discard(one).expect(200).await.json();
    assert_eq!((&again["discarded"], &again["dealt_with_before"]), (&json!(0), &json!(1)));
    discard(json!({ "selection": { "error_code": "unknown_graph" } })).expect(200).await;
    let open = Filter { state: Some(LetterState::Open), ..Filter::default() };
    assert!(dead_letter::list(world.test.reopen().await.read(), &open, 10).await.unwrap().is_empty());
}
