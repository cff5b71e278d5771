//! Who may do what.

use std::time::Duration;

use ackord_entities::queue::api_token::{self, ApiRole};
use ackord_entities::queue::audit;
use ackord_producer::operate::{Operator, TokenRequest, create_token, revoke_token};
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::json;

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
    let roles =
        [("viewer", ApiRole::Viewer), ("publisher", ApiRole::Publisher), ("operator", ApiRole::Operator)];
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
    let mut turned_away = None;
    for _ in 0..50 {
        let answer = world.get("/kinds").token(&token).send().await;
        if answer.status == 429 {
            turned_away = Some(answer);
            break;
        }
    }
    let answer = turned_away.expect("fifty requests are too many for one a second");
    assert_eq!(answer.problem(), "too_many_requests");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    world.get("/kinds").token(&other).expect(200).await;
}
