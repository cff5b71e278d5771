//! Schedules over HTTP.

use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::queue::audit;
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::world::World;

fn nightly() -> Value {
    json!({
        "kind": "synthesis", "payload": { "topic": "Leases" },
        "expression": "30 2 * * *", "zone": "Europe/Berlin", "catch_up": "last",
    })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_shown_changed_disabled_and_removed(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let operator = world.token("night-shift", ApiRole::Operator, None).await;
    let viewer = world.token("anna", ApiRole::Viewer, None).await;
    let path = "/schedules/nightly";
    let put = |body: &Value| world.call("PUT", path).token(&operator).json(body);
    world.get(path).token(&viewer).expect(404).await;
    let made = put(&nightly()).expect(201).await;
    assert_eq!(made.header("location"), Some("/api/v1/schedules/nightly"));
    let schedule = made.json()["schedule"].clone();
    assert_eq!((&schedule["catch_up"], &schedule["overlap"]), (&json!("last"), &json!("skip")));
    let same = put(&nightly()).expect(200).await.json();
    assert_eq!((&same["created"], &same["changed"]), (&json!(false), &json!(false)));

    let mut other = nightly();
    other["expression"] = json!("45 2 * * *");
    other["catch_up"] = Value::Null;
    let changed = put(&other).expect(200).await.json()["schedule"].clone();
    assert_eq!((&changed["version"], &changed["catch_up"]), (&json!(2), &json!("none")));
    other["version"] = json!(1);
    other["overlap"] = json!("allow");
    let late = put(&other).expect(409).await;
    assert_eq!((late.problem().as_str(), &late.json()["version"]), ("changed_since", &json!(2)));

    let shown = world.get(path).token(&viewer).expect(200).await.json();
    assert_eq!(shown["next_ticks"].as_array().unwrap().len(), 5);
    assert_eq!(shown["next_ticks"][0]["at"], shown["schedule"]["next_tick"]);
    assert_eq!(shown["schedule"]["payload"], Value::Null, "payloads are for operators");
    let listed = world.get("/schedules").token(&operator).expect(200).await.json();
    assert_eq!(listed["items"][0]["payload"]["topic"], "Leases");

    let disable = || world.post("/schedules/nightly/disable").token(&operator);
    let done = disable().json(&json!({ "reason": "the disk is full" })).expect(200).await.json();
    assert_eq!((&done["changed"], &done["enabled"]), (&json!(true), &json!(false)));
    assert_eq!(disable().expect(200).await.json()["changed"], false);
    let enabled = world.post("/schedules/nightly/enable").token(&operator).expect(200).await.json();
    assert!(enabled["next_tick"].is_string());
    world.call("DELETE", path).token(&operator).expect(204).await;
    world.call("DELETE", path).token(&operator).expect(404).await;
    world.get(path).token(&viewer).expect(404).await;

    let deeds = audit::of_subject(world.test.reopen().await.read(), "nightly").await.unwrap();
    let verbs: Vec<&str> = deeds.iter().map(|deed| deed.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "change", "disable", "enable", "delete"]);
    assert!(deeds.iter().all(|deed| deed.actor == "night-shift"));
    assert_eq!(deeds[2].reason.as_deref(), Some("the disk is full"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_fired_by_hand_and_one_idempotency_key_fires_once(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    world.call("PUT", "/schedules/nightly").json(&nightly()).expect(201).await;
    let fire = |key: &str| world.post("/schedules/nightly/fire").header("idempotency-key", key);
    let fired = fire("one").expect(202).await;
    let id = fired.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(fired.header("location"), Some(format!("/api/v1/jobs/{id}").as_str()));
    let again = fire("one").expect(202).await;
    assert_eq!(
        (again.json()["id"].as_str(), again.header("idempotency-replayed")),
        (Some(&*id), Some("true"))
    );
    assert_ne!(fire("two").expect(202).await.json()["id"], id.as_str());
    let story = world.get(&format!("/jobs/{id}")).expect(200).await.json();
    assert_eq!(
        (&story["schedule"]["name"], &story["schedule"]["fired_by"]),
        (&json!("nightly"), &json!("hand"))
    );
    let shown = world.get("/schedules/nightly").expect(200).await.json();
    let ticks = shown["ticks"].as_array().unwrap();
    assert_eq!(ticks.len(), 2);
    assert_eq!((&ticks[1]["job_id"], &ticks[1]["outcome"]), (&json!(id), &json!("fired")));
    world.post("/schedules/nobody/fire").expect(404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_names_its_field() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    for (field, value, named) in [
        ("kind", json!("coffee"), "kind"),
        ("kind", Value::Null, "kind"),
        ("expression", json!("61 * * * *"), "expression"),
        ("expression", json!("0 0 30 2 *"), "expression"),
        ("zone", json!("Mars"), "zone"),
        ("catch_up", json!("all:101"), "catch_up"),
        ("overlap", json!("maybe"), "overlap"),
        ("payload", json!({ "topic": "" }), "topic"),
        ("payload", json!(7), ""),
        ("colour", json!(1), "colour"),
    ] {
        let mut wanted = nightly();
        wanted[field] = value.clone();
        let answer = world.call("PUT", "/schedules/nightly").json(&wanted).expect(422).await;
        if !named.is_empty() {
            assert_eq!(answer.json()["field"], named, "{field} {value}: {}", answer.text);
        }
    }
    world.call("PUT", "/schedules/Nightly").json(&nightly()).expect(400).await;
    world.get("/schedules/nightly").expect(404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_can_be_looked_at_before_it_is_used() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let path = "/schedule-preview?expression=30%202%20*%20*%20*&zone=Europe/Berlin&after=2027-03-27T00:00:00Z&count=2";
    let told = world.get(path).expect(200).await.json();
    assert_eq!(
        told["next_ticks"],
        json!([
            { "at": "2027-03-27T01:30:00Z", "local": "2027-03-27T02:30:00+01:00" },
            { "at": "2027-03-28T01:00:00Z", "local": "2027-03-28T03:00:00+02:00" },
        ])
    );
    let usual = world.get("/schedule-preview?expression=@daily").expect(200).await.json();
    assert_eq!(usual["next_ticks"].as_array().unwrap().len(), 10);
    for (query, field) in [
        ("expression=@daily&count=0", "count"),
        ("expression=@daily&count=201", "count"),
        ("expression=@never", "expression"),
        ("expression=@daily&zone=Mars", "zone"),
        ("zone=UTC", "expression"),
    ] {
        let answer = world.get(&format!("/schedule-preview?{query}")).expect(400).await;
        assert_eq!(answer.json()["field"], field, "{query}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_come_in_pages_by_name() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    for name in ["c", "a", "b-2", "b"] {
        world.call("PUT", &format!("/schedules/{name}")).json(&nightly()).expect(201).await;
    }
    let (mut names, mut path) = (Vec::new(), "/schedules?limit=2".to_owned());
    loop {
        let page = world.get(&path).expect(200).await.json();
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/schedules?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["a", "b", "b-2", "c"]);
}
