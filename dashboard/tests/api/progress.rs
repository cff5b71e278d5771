//! How far something is: asked again and again, and told.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::queue::job::{self, Transition};
use ackord_entities::queue::state::JobState;
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::syntheses::{Asked, ask, break_down};
use crate::world::World;

/// Follows a stream: each event's name and data, until the stream ends.
fn follow(world: &World, path: &str, token: Option<&str>) -> mpsc::Receiver<(String, Value)> {
    let (sender, events) = mpsc::channel(16);
    let url = format!("{}/api/v1{path}", world.base());
    let token = token.map(str::to_owned);
    std::thread::spawn(move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into();
        let mut request = agent.get(&url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.call().unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut name = String::new();
        for line in BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok) {
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).unwrap();
                if sender.blocking_send((name.clone(), data)).is_err() {
                    return;
                }
            }
        }
    });
    events
}

async fn next(events: &mut mpsc::Receiver<(String, Value)>) -> Option<(String, Value)> {
    tokio::time::timeout(Duration::from_secs(60), events.recv()).await.expect("an event within a minute")
}

async fn end(world: &World, asked: &Asked, state: JobState) {
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    let transition = Transition {
        id: asked.job,
        seq: 1,
        next_seq: 1,
        state,
        attempt: 1,
        deferrals: 0,
        started_at: None,
        error: None,
        result: None,
    };
    job::transition(&tx, &[transition], now).await.unwrap();
    tx.commit().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn progress_goes_from_pending_to_its_end_and_the_stream_ends_with_it(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let token = world.token("t", ApiRole::Publisher, None).await;
    let asked = ask(&world, &token, json!({ "topic": "Leases" })).await;
    let (job, text) = (format!("/jobs/{}", asked.job), format!("/syntheses/{}", asked.id));
    for path in [&job, &text] {
        let progress = world.get(&format!("{path}/progress")).token(&token).expect(200).await.json();
        assert_eq!(progress["status"], "pending", "{path}");
    }
    let mut of_job = follow(&world, &format!("{job}/events"), Some(&token));
    let mut of_text = follow(&world, &format!("{text}/events"), Some(&token));
    for events in [&mut of_job, &mut of_text] {
        let (name, data) = next(events).await.unwrap();
        assert_eq!((name.as_str(), &data["status"]), ("progress", &json!("pending")));
    }
    break_down(&world, &asked).await;
    end(&world, &asked, JobState::Cancelled).await;
    let (name, data) = next(&mut of_text).await.unwrap();
    assert_eq!((name.as_str(), &data["status"], &data["state"]), ("end", &json!("failed"), &json!("error")));
    assert_eq!(data["error"]["code"], "no_facts");
    let (name, data) = next(&mut of_job).await.unwrap();
    assert_eq!(
        (name.as_str(), &data["status"], &data["state"]),
        ("end", &json!("failed"), &json!("cancelled"))
    );
    assert!(next(&mut of_job).await.is_none() && next(&mut of_text).await.is_none());
    world.get(&format!("{job}/events")).token(&token).expect(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_limited_and_end_when_the_server_does() {
    let world = World::with(DbBackend::Sqlite, |options| options.streams = 1).await.unwrap();
    let answer = world.post("/kinds/synthesis/jobs").json(&json!({ "topic": "Leases" })).expect(202).await;
    let path = format!("/jobs/{}/events", answer.json()["id"].as_str().unwrap());
    let mut events = follow(&world, &path, None);
    next(&mut events).await.unwrap();
    let refused = world.get(&path).expect(503).await;
    assert_eq!(refused.problem(), "too_many_streams");
    world.stop.cancel();
    assert!(next(&mut events).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_what_is_not_there_is_404() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for path in ["/jobs/ID/progress", "/jobs/ID/events", "/syntheses/ID/progress", "/syntheses/ID/events"] {
        world.get(&path.replace("ID", id)).expect(404).await;
    }
}
