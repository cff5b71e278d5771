//! Health and metrics over HTTP: what is served, what is not, and that ready means that work gets on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::program::{Folder, Running};

/// Generous: a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);
const ANYWHERE: &[&str] = &["--listen", "127.0.0.1:0"];

struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

fn get(running: &Running, path: &str) -> Answer {
    let address = running.ready["listen"].as_str().expect("it says where it listens");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let mut response = agent.get(format!("http://{address}{path}")).call().unwrap();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status().as_u16(),
        content_type: content_type.unwrap_or_default(),
        body: response.body_mut().read_to_string().unwrap(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread that looks again and again, until a deadline")]
fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn readyz(running: &Running, status: u16) -> Value {
    eventually(&format!("/readyz answers {status}"), || {
        let answer = get(running, "/readyz");
        (answer.status == status).then(|| answer.json())
    })
}

/// The conditions that do not hold, as part and name.
fn failing(readiness: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let conditions = readiness["conditions"].as_array().unwrap().iter();
    conditions
        .filter(|one| one["ok"] == false)
        .inspect(|one| assert!(!text(&one["reason"]).is_empty(), "{one}"))
        .map(|one| (text(&one["part"]), text(&one["name"])))
        .collect()
}

/// The value of a sample, by its name and labels as they are written.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn health_and_metrics_are_served_and_nothing_else_is() {
    let folder = Folder::empty();
    let running = folder.up_with(ANYWHERE, &[]);
    assert_eq!(get(&running, "/healthz").json()["alive"], true);
    let ready = readyz(&running, 200);
    assert_eq!((&ready["ready"], failing(&ready).len()), (&Value::Bool(true), 0));
    let parts: BTreeSet<&str> =
        ready["conditions"].as_array().unwrap().iter().map(|one| one["part"].as_str().unwrap()).collect();
    assert!(["worker", "relay", "topology", "outbox"].iter().all(|part| parts.contains(part)), "{parts:?}");
    for path in ["/", "/metrics/", "/readyz/x", "/admin"] {
        assert_eq!(get(&running, path).status, 404, "{path}");
    }
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn metrics_count_what_became_of_a_job_and_explain_themselves() {
    let folder = Folder::empty();
    let running = folder.up_with(ANYWHERE, &[]);
    // No document was imported, so there is nothing to write from: a recorded failure of the domain.
    let payload = r#"{"topic": "leases"}"#;
    folder.ackord(&["publish", "synthesis", "--payload", payload, "--wait", "--timeout", "60s"]).expect(6);
    let text = eventually("the job is counted", || {
        let answer = get(&running, "/metrics");
        assert!(answer.content_type.starts_with("text/plain; version=0.0.4"), "{}", answer.content_type);
        let finished = sample(&answer.body, r#"ackord_jobs_finished_total{kind="synthesis",end="failed"}"#);
        (finished == Some(1.0)).then_some(answer.body)
    });
    for (name, value) in [
        (r#"ackord_attempts_total{kind="synthesis",outcome="failed"}"#, 1.0),
        (r#"ackord_deliveries_total{kind="synthesis"}"#, 1.0),
        (r#"ackord_settled_total{kind="synthesis",answer="ack"}"#, 1.0),
        (r#"ackord_relay_messages_total{outcome="confirmed"}"#, 1.0),
        (r#"ackord_perform_seconds_count{kind="synthesis"}"#, 1.0),
        (r#"ackord_commit_group_jobs_count{kind="synthesis"}"#, 1.0),
        (r#"ackord_broker_state{state="open"}"#, 1.0),
        ("ackord_ready", 1.0),
        ("ackord_database_up", 1.0),
    ] {
        assert_eq!(sample(&text, name), Some(value), "{name} in\n{text}");
    }
    assert!(sample(&text, "process_resident_memory_bytes").unwrap() > 1e6);
    // Every sample has a help text and a type.
    let explained: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_explained =
            explained.contains(name) || family.is_some_and(|family| explained.contains(family));
        assert!(is_explained, "{name} has no help text");
    }
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn the_age_of_the_oldest_waiting_job_shows_that_a_kind_does_not_get_on() {
    let folder = Folder::with_schema();
    folder.ackord(&["pause", "synthesis"]).expect(0);
    let payload = r#"{"topic": "leases"}"#;
    folder.ackord(&["publish", "synthesis", "--payload", payload]).expect(0);
    let running = folder.up_with(ANYWHERE, &[]);
    let age = |name| {
        eventually("the job's age is known", || {
            sample(&get(&running, "/metrics").body, name).filter(|age| *age > 0.0)
        })
    };
    let before = age(r#"ackord_oldest_waiting_job_age_seconds{kind="synthesis"}"#);
    assert_eq!(age(r#"ackord_kind_paused{kind="synthesis"}"#).to_bits(), 1.0_f64.to_bits());
    eventually("it grows", || {
        (age(r#"ackord_oldest_waiting_job_age_seconds{kind="synthesis"}"#) > before).then_some(())
    });
    // An operator's pause is no failure of the process.
    readyz(&running, 200);
    folder.ackord(&["resume", "synthesis"]).expect(0);
    eventually("nothing waits any more", || {
        let text = get(&running, "/metrics").body;
        (sample(&text, r#"ackord_oldest_waiting_job_age_seconds{kind="synthesis"}"#)? == 0.0).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_nothing_is_not_ready_but_alive_and_ready_again_without_help() {
    let folder = Folder::empty();
    let running = folder.up_with(ANYWHERE, &[]);
    readyz(&running, 200);
    let other = folder.database().await;
    // Due while the file is held.
    let payload = r#"{"topic": "leases"}"#;
    let published = folder
        .ackord(&["publish", "synthesis", "--payload", payload, "--delay", "300ms", "--json"])
        .expect(0)
        .json();
    other.write().execute_unprepared("BEGIN EXCLUSIVE").await.unwrap();
    let readiness = readyz(&running, 503);
    let names: Vec<String> = failing(&readiness).into_iter().map(|(_, name)| name).collect();
    assert!(names.iter().any(|name| name == "database"), "{readiness}");
    assert_eq!(get(&running, "/healthz").status, 200);
    assert_eq!(sample(&get(&running, "/metrics").body, "ackord_database_up"), Some(0.0));
    other.write().execute_unprepared("COMMIT").await.unwrap();
    other.close().await;
    readyz(&running, 200);
    let id = published["id"].as_str().unwrap();
    folder.ackord(&["jobs", "wait", id, "--timeout", "60s"]).expect(6);
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn an_address_that_is_taken_is_refused_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::empty();
    let refused = folder.ackord(&["up", "--json", "--log", "off", "--listen", &address]).expect(4);
    let error = refused.error();
    assert!(error["message"].as_str().unwrap().contains(&format!("listen: {address}")), "{error}");
    assert!(error["remedy"].as_str().unwrap().contains("--listen"), "{error}");
}

#[test]
fn nothing_listens_unless_it_is_asked_for() {
    let folder = Folder::empty();
    let running = folder.up();
    assert_eq!(running.ready["listen"], Value::Null);
}
