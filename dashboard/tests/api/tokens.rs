//! Who may do what.

use std::time::Duration;

use ackord_entities::queue::api_token::{self, ApiRole};
use ackord_entities::queue::audit;
use ackord_producer::operate::{Operator, TokenRequest, create_token, revoke_token};
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::world::World;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_a_revoked_and_an_expired_token_are_turned_away_alike(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let good = world.token("good", ApiRole::Viewer, None).await;
    world.get("/jobs").token(&good).expect(200).await;
    let mut texts = Vec::new();
    for wrong in ["ackord_wrong", &good[..good.len() - 1]] {
        let answer = world.get("/jobs").token(wrong).expect(401).await;
        assert_eq!(answer.problem(), "invalid_token");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"ackord\""));
        texts.push(answer.json()["detail"].clone());
    }
    world.get("/jobs").header("authorization", "Basic YTpi").expect(401).await;

    let database = world.database();
    let operator = Operator { name: "tester".to_owned(), reason: Some("leaked".to_owned()) };
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let row = api_token::by_name(&tx, "good").await.unwrap().unwrap();
    assert!(revoke_token(&tx, &row, &operator, now).await.unwrap());
    let request = TokenRequest {
        name: "brief",
        role: ApiRole::Viewer,
        subject: None,
        expires_at: Some(now + chrono::TimeDelta::hours(1)),
    };
    let (_, brief) = create_token(&tx, request, &operator, now).await.unwrap().unwrap();
    assert!(create_token(&tx, request, &operator, now).await.unwrap().is_none(), "a name is taken for ever");
    tx.commit().await.unwrap();
    texts.push(world.get("/jobs").token(&good).expect(401).await.json()["detail"].clone());
    world.get("/jobs").token(brief.reveal()).expect(200).await;
    database.clock().advance(Duration::from_secs(3_601));
    texts.push(world.get("/jobs").token(brief.reveal()).expect(401).await.json()["detail"].clone());
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");

    let deeds = audit::of_subject(world.test.reopen().await.read(), "good").await.unwrap();
    let verbs: Vec<&str> = deeds.iter().map(|deed| deed.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "revoke"]);
    let used = api_token::by_name(database.read(), "brief").await.unwrap().unwrap();
    assert!(used.last_used_at.is_some() && !used.hash.contains("ackord_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_a_token_and_for_the_role_that_it_documents() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let roles = [
        ("viewer", ApiRole::Viewer),
        ("publisher", ApiRole::Publisher),
        ("operator", ApiRole::Operator),
        ("admin", ApiRole::Admin),
    ];
    let mut tokens = Vec::new();
    for (name, role) in roles {
        tokens.push((name, world.token(name, role, None).await));
    }
    let mut routes = 0;
    for (template, methods) in world.document()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: &'static str = match method.as_str() {
                "get" => "GET",
                "post" => "POST",
                "put" => "PUT",
                "patch" => "PATCH",
                "delete" => "DELETE",
                other => panic!("{other}"),
            };
            let path = template.replace("/api/v1", "").replace("{position}", "0").replace("{version}", "1");
            let parts: Vec<&str> =
                path.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect();
            let path = parts.join("/");
            let needed = operation["security"][0]["token"][0].as_str();
            let needed = needed.unwrap_or_else(|| panic!("{method} {template} names no role"));
            let at = tokens.iter().position(|(name, _)| *name == needed).unwrap();
            assert_eq!(world.call(method, &path).expect(401).await.problem(), "no_token");
            for (_, token) in &tokens[..at] {
                let answer = world.call(method, &path).token(token).expect(403).await;
                assert_eq!(answer.json()["role_needed"], needed, "{method} {template}");
            }
            let status = world.call(method, &path).token(&tokens[at].1).send().await.status;
            assert!(status != 401 && status != 403, "{method} {template} {status}");
            routes += 1;
        }
    }
    assert!(routes > 30, "{routes}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_a_token_is_written_down_under_its_name(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let token = world.token("night-shift", ApiRole::Operator, None).await;
    let pause = world.post("/kinds/synthesis/pause").token(&token).json(&json!({ "reason": "stocktaking" }));
    assert_eq!(pause.expect(200).await.json()["changed"], true);
    let deeds = audit::of_subject(world.test.reopen().await.read(), "synthesis").await.unwrap();
    assert_eq!((deeds[0].actor.as_str(), deeds[0].verb.as_str()), ("night-shift", "pause"));
    assert_eq!(deeds[0].reason.as_deref(), Some("stocktaking"));
    let kinds = world.get("/kinds").token(&token).expect(200).await.json();
    let synthesis =
        kinds["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "synthesis").unwrap();
    assert_eq!(synthesis["paused"]["by"], "night-shift");
    assert!(synthesis["schema"]["properties"]["topic"].is_object());
    assert_eq!(world.post("/kinds/synthesis/resume").token(&token).expect(200).await.json()["changed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let world = World::with(DbBackend::Sqlite, |options| options.requests_per_second = 1).await.unwrap();
    let token = world.token("hasty", ApiRole::Viewer, None).await;
    let other = world.token("calm", ApiRole::Viewer, None).await;
    let answer = turned_away(async || world.get("/kinds").token(&token).send().await).await;
    assert_eq!(answer.problem(), "too_many_requests");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    world.get("/kinds").token(&other).expect(200).await;
}

/// The first 429 of many requests.
async fn turned_away(ask: impl AsyncFn() -> crate::client::Answer) -> crate::client::Answer {
    for _ in 0..50 {
        let answer = ask().await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("fifty requests are not too many for one a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_tokens_is_turned_away_before_the_database_is_asked_and_shuts_nobody_out() {
    let world = World::with(DbBackend::Sqlite, |options| options.requests_per_second = 1).await.unwrap();
    let neighbour = world.token("neighbour", ApiRole::Viewer, None).await;
    world.get("/kinds").token(&neighbour).expect(200).await;
    let try_one = async |number: u32| world.get("/kinds").token(&format!("ackord_{number}")).send().await;
    let number = std::sync::atomic::AtomicU32::new(0);
    let next = || number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let answer = turned_away(async || try_one(next()).await).await;
    assert_eq!(answer.problem(), "too_many_requests");
    assert!(answer.header("retry-after").is_some());
    // From the same address, and let in: this token counted before.
    world.get("/kinds").token(&neighbour).expect(200).await;
    // Where the database were asked, this would be 503.
    turned_away(async || try_one(next()).await).await;
    world.database().clone().close().await;
    let answer = turned_away(async || try_one(next()).await).await;
    assert_eq!(answer.problem(), "too_many_requests");
    let nobody = turned_away(async || world.get("/kinds").send().await).await;
    assert_eq!(nobody.problem(), "too_many_requests");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_makes_shows_and_revokes_tokens_and_it_is_written_down(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let admin = world.token("root", ApiRole::Admin, None).await;
    let make = |body: Value| world.post("/tokens").token(&admin).json(&body);
    let wish = json!({ "name": "anna's", "role": "publisher", "subject": "anna", "reason": "she is new" });
    let answer = make(wish.clone()).expect(201).await;
    let made = answer.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap().to_owned());
    assert_eq!(answer.header("location").unwrap(), format!("/api/v1/tokens/{id}"));
    assert_eq!(
        (&made["role"], &made["valid"], &made["created_by"]),
        (&json!("publisher"), &json!(true), &json!("root"))
    );
    let asked =
        world.post("/syntheses").token(&secret).json(&json!({ "topic": "Leases" })).expect(202).await.json();
    let path = format!("/syntheses/{}", asked["id"].as_str().unwrap());
    assert_eq!(world.get(&path).token(&secret).expect(200).await.json()["creator_id"], "anna");
    world.get("/tokens").token(&secret).expect(403).await;

    let taken = make(wish).expect(409).await;
    assert_eq!((taken.problem().as_str(), &taken.json()["field"]), ("name_taken", &json!("name")));
    for (body, field) in [
        (json!({ "name": " ", "role": "viewer" }), "name"),
        (json!({ "name": "x".repeat(201), "role": "viewer" }), "name"),
        (json!({ "name": "b", "role": "king" }), "role"),
        (json!({ "name": "b" }), "role"),
        (json!({ "name": "b", "role": "viewer", "subject": "" }), "subject"),
        (json!({ "name": "b", "role": "viewer", "expires_at": "2001-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "name": "b", "role": "viewer", "expires_at": "+12026-01-01T00:00:00Z" }), "expires_at"),
    ] {
        let answer = make(body.clone()).expect(422).await;
        assert_eq!(answer.json()["field"], field, "{body}: {}", answer.text);
    }

    let shown = world.get(&format!("/tokens/{id}")).token(&admin).expect(200).await;
    assert!(shown.json()["last_used_at"].is_string() && !shown.text.contains(&secret), "{}", shown.text);
    make(json!({ "name": "brief", "role": "viewer", "expires_at": "2999-01-01T00:00:00Z" }))
        .expect(201)
        .await;
    let (mut names, mut path) = (Vec::new(), "/tokens?limit=2".to_owned());
    loop {
        let page = world.get(&path).token(&admin).expect(200).await;
        assert!(!page.text.contains("ackord_"), "{}", page.text);
        let page = page.json();
        names.extend(
            page["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/tokens?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["brief", "anna's", "root"]);

    let revoke =
        || world.post(&format!("/tokens/{id}/revoke")).token(&admin).json(&json!({ "reason": "she left" }));
    let done = revoke().expect(200).await.json();
    assert_eq!((&done["changed"], &done["token"]["valid"]), (&json!(true), &json!(false)));
    assert_eq!(revoke().expect(200).await.json()["changed"], false);
    world.get("/jobs").token(&secret).expect(401).await;
    let root = api_token::by_name(world.database().read(), "root").await.unwrap().unwrap().id;
    let own = world.post(&format!("/tokens/{root}/revoke")).token(&admin).expect(409).await;
    assert_eq!(own.problem(), "own_token");
    world.get("/jobs").token(&admin).expect(200).await;
    let unknown = "/tokens/01890a5d-ac96-774b-bcce-b302099a8057";
    world.get(unknown).token(&admin).expect(404).await;
    world.post(&format!("{unknown}/revoke")).token(&admin).expect(404).await;

    let deeds = audit::of_subject(world.test.reopen().await.read(), "anna's").await.unwrap();
    let told: Vec<(&str, &str, Option<&str>)> =
        deeds.iter().map(|deed| (deed.actor.as_str(), deed.verb.as_str(), deed.reason.as_deref())).collect();
    assert_eq!(told, [("root", "create", Some("she is new")), ("root", "revoke", Some("she left"))]);
}
