//! `ackord serve` and `up --api` as processes: tokens from the command line, roles, and a job that is published over HTTP and done.

use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Folder, Running};

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// Where a process serves the API.
fn base(running: &Running, key: &str) -> String {
    format!("http://{}", running.ready[key].as_str().expect("it says where it listens"))
}

fn call(url: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Value) {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut response = if let Some(body) = body {
        let mut request = agent().post(url).header("content-type", "application/json");
        if let Some(value) = &authorization {
            request = request.header("authorization", value);
        }
        request.send(body.to_string()).unwrap()
    } else {
        let mut request = agent().get(url);
        if let Some(value) = &authorization {
            request = request.header("authorization", value);
        }
        request.call().unwrap()
    };
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn token(folder: &Folder, name: &str, role: &str) -> String {
    folder.ackord(&["tokens", "create", name, "--role", role, "--json"]).expect(0).json()["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn serve_asks_for_tokens_and_roles_and_what_is_published_is_there() {
    let folder = Folder::with_schema();
    let serve = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let base = base(&serve, "listen");
    let jobs = format!("{base}/api/v1/jobs");
    assert_eq!(call(&jobs, None, None).0, 200, "without tokens, this machine is let in");
    let viewer = token(&folder, "viewer", "viewer");
    let publisher = token(&folder, "publisher", "publisher");
    assert_eq!(call(&jobs, None, None).0, 401, "from the first token on nobody is let in without");
    let wish = json!({ "topic": "Leases" });
    let publish = format!("{base}/api/v1/kinds/synthesis/jobs");
    assert_eq!(call(&publish, Some(&viewer), Some(&wish)).0, 403);
    let (status, published) = call(&publish, Some(&publisher), Some(&wish));
    assert_eq!(status, 202, "{published}");
    let id = published["id"].as_str().unwrap();
    let story = folder.ackord(&["jobs", "show", id, "--json"]).expect(0).json();
    assert_eq!((&story["job"]["kind"], &story["payload"]["topic"]), (&json!("synthesis"), &json!("Leases")));
    assert_eq!(call(&format!("{jobs}/{id}"), Some(&viewer), None).1["job"]["state"], "queued");

    folder.ackord(&["tokens", "revoke", "viewer", "--reason", "a test"]).expect(0);
    assert_eq!(call(&jobs, Some(&viewer), None).0, 401);
    folder.ackord(&["tokens", "create", "viewer", "--role", "viewer"]).expect(4);
    folder.ackord(&["tokens", "revoke", "nobody"]).expect(3);
    folder.ackord(&["tokens", "create", " ", "--role", "viewer"]).expect(2);
    let listed = folder.ackord(&["tokens", "list", "--json"]).expect(0);
    assert!(!listed.stdout.contains(&publisher), "a token is shown once");
    assert_eq!(listed.json()["tokens"][1]["valid"], false);

    assert_eq!(call(&format!("{base}/healthz"), None, None).0, 200);
    let (status, ready) = call(&format!("{base}/readyz"), None, None);
    assert_eq!((status, &ready["roles"]), (200, &json!(["serve"])));
    let (code, log) = serve.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(&publisher) && !log.contains("ERROR"), "{log}");
}

#[test]
fn what_is_answered_is_counted_by_route_and_nobody_outside_makes_a_series() {
    let folder = Folder::with_schema();
    let serve = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let base = base(&serve, "listen");
    let viewer = token(&folder, "viewer", "viewer");
    let ask = |path: &str| call(&format!("{base}{path}"), Some(&viewer), None).0;
    for number in 0..20 {
        assert_eq!(ask(&format!("/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a80{number:02}")), 404);
        assert_eq!(ask(&format!("/made/up/{number}")), 404);
    }
    assert_eq!(ask("/api/v1/kinds"), 200);
    assert_eq!(call(&format!("{base}/api/v1/kinds"), None, None).0, 401);
    let metrics = agent().get(format!("{base}/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    let has = |line: &str| assert!(metrics.lines().any(|one| one == line), "no `{line}` in:\n{metrics}");
    has(r#"ackord_api_requests_total{route="/api/v1/jobs/{id}",method="GET",status="4xx"} 20"#);
    has(r#"ackord_api_requests_total{route="none",method="GET",status="4xx"} 20"#);
    has(r#"ackord_api_requests_total{route="/api/v1/kinds",method="GET",status="2xx"} 1"#);
    has(r#"ackord_api_requests_total{route="/api/v1/kinds",method="GET",status="4xx"} 1"#);
    has(r#"ackord_api_request_seconds_count{route="/api/v1/kinds",method="GET"} 2"#);
    has("ackord_api_requests_in_flight 0");
    assert_eq!(metrics.lines().filter(|line| line.starts_with("ackord_api_requests_total{")).count(), 4);
    serve.stop();
}

#[test]
fn an_address_that_others_reach_is_refused_without_tokens() {
    let folder = Folder::with_schema();
    for arguments in [["serve", "--listen", "0.0.0.0:0"], ["up", "--api", "0.0.0.0:0"]] {
        let all: Vec<&str> = arguments.into_iter().chain(["--json", "--log", "off"]).collect();
        let refused = folder.ackord(&all).expect(4).error();
        assert!(refused["message"].as_str().unwrap().contains("there are no tokens"), "{refused}");
        assert!(refused["remedy"].as_str().unwrap().contains("ackord tokens create"), "{refused}");
    }
}

#[test]
fn a_job_that_is_published_over_http_is_done_by_the_same_process() {
    let folder = Folder::empty();
    let up = folder.up_with(&["--api", "127.0.0.1:0"], &[]);
    let base = base(&up, "api");
    let import = format!("{base}/api/v1/graphs/default/imports?uri=upload:leases.md");
    let text = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A lease has a term. \
                The sweeper puts back the job of an expired lease. A worker renews its lease while it performs.\n";
    let response = agent().post(&import).header("content-type", "text/markdown").send(text).unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let (status, asked) =
        call(&format!("{base}/api/v1/syntheses"), None, Some(&json!({ "topic": "Leases" })));
    assert_eq!(status, 202, "{asked}");
    folder.ackord(&["jobs", "wait", asked["job_id"].as_str().unwrap(), "--timeout", "60s"]).expect(0);
    let path = format!("{base}/api/v1/syntheses/{}", asked["id"].as_str().unwrap());
    let (_, shown) = call(&path, None, None);
    assert_eq!((&shown["state"], &shown["version"]), (&json!("completed"), &json!(1)), "{shown}");
    // The stream of what has ended says so and ends.
    let mut events = agent().get(format!("{path}/events")).call().unwrap();
    let told = events.body_mut().read_to_string().unwrap();
    assert!(told.contains("event: end") && told.contains("\"status\":\"completed\""), "{told}");
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
}
