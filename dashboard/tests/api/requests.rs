//! Requests that cannot be carried out, and what every answer has.

use ackord_entities::queue::api_token::ApiRole;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_and_says_nothing_to_a_browser_that_could_be_run() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let answer = world.get("/jobs").header("x-request-id", "mine.1").expect(200).await;
    assert_eq!(answer.header("x-request-id"), Some("mine.1"));
    let answer = world.get("/jobs").header("x-request-id", "no spaces").expect(200).await;
    assert_ne!(answer.header("x-request-id"), Some("no spaces"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let preflight = world.call("OPTIONS", "/jobs").header("origin", world.base()).undocumented().send().await;
    assert_eq!(preflight.status, 405);
    assert!(preflight.header("access-control-allow-origin").is_none(), "CORS is off");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_leaves_the_body_unread_says_that_the_connection_ends_with_it() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let viewer = world.token("viewer", ApiRole::Viewer, None).await;
    let admin = world.token("admin", ApiRole::Admin, None).await;
    let wanted = json!({ "name": "reader", "role": "viewer" });
    let refused = world.post("/tokens").token(&viewer).json(&wanted).expect(403).await;
    assert_eq!(refused.header("connection"), Some("close"));
    let made = world.post("/tokens").token(&admin).json(&wanted).expect(201).await;
    assert_eq!(made.header("connection"), None, "what was read is no reason to end it");
    let read = world.get("/tokens").token(&viewer).expect(403).await;
    assert_eq!(read.header("connection"), None, "there was no body");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_sites_that_are_allowed_may_ask_with_a_token_and_no_others() {
    let site = "https://app.example.org";
    let world = World::with(DbBackend::Sqlite, |options| options.allowed_origins = vec![site.to_owned()])
        .await
        .unwrap();
    // Without tokens a page could do everything: it is turned away although its site is allowed.
    world.get("/jobs").header("origin", site).expect(403).await;
    let token = world.token("page", ApiRole::Viewer, None).await;
    let preflight = |origin: &str| {
        world
            .call("OPTIONS", "/jobs")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization, idempotency-key")
            .undocumented()
    };
    let answer = preflight(site).expect(200).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(site));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert!(answer.header("access-control-allow-credentials").is_none(), "no cookies");
    let answer = world.get("/jobs").token(&token).header("origin", site).expect(200).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(site));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    for other in ["https://evil.example", "https://app.example.org.evil.example", "null"] {
        assert!(preflight(other).send().await.header("access-control-allow-origin").is_none(), "{other}");
        let answer = world.get("/jobs").token(&token).header("origin", other).send().await;
        assert!(answer.header("access-control-allow-origin").is_none(), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_not_taken_are_problems_too() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    for path in ["/nothing", "/jobs/x/y/z"] {
        assert_eq!(world.get(path).undocumented().expect(404).await.problem(), "no_such_route");
    }
    let answer = world.get("").undocumented().raw("/elsewhere").expect(404).await;
    assert_eq!(answer.problem(), "no_such_route");
    let answer = world.call("DELETE", "/jobs").undocumented().expect(405).await;
    assert_eq!(answer.problem(), "method_not_allowed");
    assert!(answer.header("allow").unwrap().contains("GET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_parameters_that_cannot_be_read_are_named() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    assert_eq!(world.get("/jobs/seven").expect(400).await.problem(), "invalid_path");
    assert_eq!(world.get("/jobs/%00").expect(400).await.problem(), "invalid_path");
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("state=sleeping", "state"),
        ("parent=7", "parent"),
        ("since=yesterday", "since"),
        ("since=-9999-01-01T00:00:00Z", "since"),
        ("colour=red", "colour"),
        ("cursor=AAAA", "cursor"),
        ("cursor=!!", "cursor"),
    ] {
        let answer = world.get(&format!("/jobs?{query}")).expect(400).await;
        assert_eq!(answer.json()["field"], field, "{query}: {}", answer.text);
    }
    world.get("/jobs?kind=%00").expect(400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_type_no_json_and_one_that_is_too_large_are_told_apart() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let publish = || world.post("/kinds/synthesis/jobs");
    assert_eq!(publish().text("text/plain", "{}").expect(415).await.problem(), "unsupported_media_type");
    assert_eq!(publish().text("application/json", "{").expect(400).await.problem(), "not_json");
    let answer = publish().json(&json!({ "topic": " " })).expect(422).await;
    assert_eq!((answer.problem(), &answer.json()["field"]), ("invalid_payload".to_owned(), &json!("topic")));
    let answer = publish().json(&json!({ "topic": "a", "colour": 1 })).expect(422).await;
    assert_eq!(answer.json()["field"], "colour");
    let large = "x".repeat(1_024 * 1_024 + 1);
    assert_eq!(publish().json(&json!({ "topic": large })).expect(413).await.problem(), "payload_too_large");
    let huge = "x".repeat(3 * 1_024 * 1_024);
    assert_eq!(publish().json(&json!({ "topic": huge })).expect(413).await.problem(), "body_too_large");
    let cancel = "/jobs/01890a5d-ac96-774b-bcce-b302099a8057/cancel";
    let answer = world.post(cancel).json(&json!({ "why": "x" })).expect(422).await;
    assert_eq!(answer.json()["field"], "why");
    world.post(cancel).text("text/plain", "x").expect(415).await;
    for nothing in ["null", "{}", ""] {
        world.post(cancel).text("application/json", nothing).expect(404).await;
    }
    world.post(cancel).text("application/json", r#"{"reason": "a\u0000b"}"#).expect(422).await;
    world.post(cancel).text("application/json", r#"{"reason": "a\\u0000b"}"#).expect(404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_503_and_the_answer_names_nothing_of_it() {
    let Some(world) = World::open(DbBackend::Postgres).await else { return };
    let token = world.token("anna", ApiRole::Admin, None).await;
    world.get("/jobs").token(&token).expect(200).await;
    world.database().clone().close().await;
    for call in [
        world.get("/jobs").token(&token),
        world.get("/syntheses").token(&token),
        world.post("/kinds/synthesis/jobs").token(&token).json(&json!({ "topic": "Leases" })),
    ] {
        let answer = call.expect(503).await;
        assert_eq!(answer.problem(), "database_unavailable");
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.text.contains("postgres") && !answer.text.contains("127.0.0.1"), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_of_ours_is_500_and_the_answer_names_no_table_no_file_and_no_statement() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let file = world.test.folder().unwrap().display().to_string();
    world.database().write().execute_unprepared("DROP TABLE paused_kinds").await.unwrap();
    let answer = world.get("/kinds").expect(500).await;
    assert_eq!(answer.problem(), "internal");
    for word in ["paused_kinds", "SELECT", "no such table", file.as_str()] {
        assert!(!answer.text.contains(word), "{}", answer.text);
    }
}
