//! Syntheses over the API from asking to removing, with a worker that does what was asked for, and without a broker.

use std::collections::BTreeSet;
use std::time::Duration;

use ackord_test_servers::eventually;
use serde_json::{Value, json};
use ureq::http::Request;

use crate::program::{Folder, Running};

const PATIENCE: Duration = Duration::from_secs(60);
const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its jobs every \
                      ten seconds. An expired lease is taken over by the next job that asks for its key.\n";
const GLACIERS: &str = "# Glaciers\n\nA glacier is a body of ice that moves under its own weight. Arctic glaciers lose more ice in summer \
                        than they gain in winter. The meltwater of arctic glaciers raises the level of the sea.\n";

/// The API of a process, asked by whoever is on this machine.
struct Api {
    base: String,
    agent: ureq::Agent,
}

impl Api {
    fn of(running: &Running, key: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let base = format!("http://{}/api/v1", running.ready[key].as_str().unwrap());
        Self { base, agent: agent.build().into() }
    }

    fn send(&self, method: &str, path: &str, media: &str, body: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header("content-type", media).body(body.to_owned()).unwrap();
        let mut response = self.agent.run(request).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let mut response = self.agent.get(format!("{}{path}", self.base)).call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        assert_eq!(response.status(), 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value, status: u16) -> Value {
        let (answered, answer) = self.send("POST", path, "application/json", &body.to_string());
        assert_eq!(answered, status, "{path}: {answer}");
        answer
    }

    #[track_caller]
    fn import(&self, name: &str, text: &str) {
        let path = format!("/graphs/default/imports?uri=upload:{name}");
        let (status, answer) = self.send("POST", &path, "text/markdown", text);
        assert_eq!(status, 200, "{answer}");
    }

    /// The progress when it fits, and every status that was seen on the way.
    async fn progress(&self, id: &str, fits: impl Fn(&Value) -> bool) -> (Value, BTreeSet<String>) {
        let seen = std::cell::RefCell::new(BTreeSet::new());
        let last = eventually("its progress", PATIENCE, async || {
            let progress = self.get(&format!("/syntheses/{id}/progress"));
            seen.borrow_mut().insert(progress["status"].as_str().unwrap().to_owned());
            fits(&progress).then_some(progress)
        });
        (last.await, seen.into_inner())
    }
}

fn has_ended(progress: &Value) -> bool {
    ["completed", "failed"].contains(&progress["status"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_text_is_written_again_in_place_and_each_attempt_is_kept() {
    let folder = Folder::empty();
    let up = folder.up_with(&["--api", "127.0.0.1:0"], &[]);
    let api = Api::of(&up, "api");
    api.import("leases.md", LEASES);
    let asked = api.post("/syntheses", &json!({ "topic": "Arctic glaciers", "max_words": 321 }), 202);
    let id = asked["id"].as_str().unwrap();
    let (path, again) = (format!("/syntheses/{id}"), format!("/syntheses/{id}/regenerate"));
    let (progress, seen) = api.progress(id, has_ended).await;
    assert_eq!((&progress["status"], &progress["attempts"]), (&json!("failed"), &json!(1)));
    assert!(
        seen.iter().all(|status| ["pending", "running", "failed"].contains(&status.as_str())),
        "{seen:?}"
    );
    let failed = api.get(&path);
    assert_eq!(
        (&failed["state"], &failed["text"], &failed["version"]),
        (&json!("error"), &Value::Null, &Value::Null)
    );
    assert_eq!(failed["error"]["code"], "no_facts", "{failed}");
    assert!(!failed["error"]["message"].as_str().unwrap().is_empty());

    // Nothing has changed, so it fails again: another attempt, with the newest error.
    let published = api.post(&again, &json!({}), 202);
    assert_eq!((&published["synthesis_id"], &published["state"]), (&json!(id), &json!("pending")));
    let (progress, _) = api.progress(id, |now| has_ended(now) && now["attempts"] == 2).await;
    assert_eq!((&progress["status"], &progress["job_id"]), (&json!("failed"), &published["job_id"]));
    let twice = api.get(&path);
    assert_eq!(twice["id"], json!(id));

    api.import("glaciers.md", GLACIERS);
    api.post(&again, &json!({}), 202);
    let (progress, _) = api.progress(id, |now| now["attempts"] == 3 && has_ended(now)).await;
    assert_eq!(progress["status"], "completed");
    let whole = api.get(&path);
    assert_eq!(
        (&whole["id"], &whole["state"], &whole["error"], &whole["version"]),
        (&json!(id), &json!("completed"), &Value::Null, &json!(1))
    );
    assert!(whole["text"]["markdown"].as_str().unwrap().contains("glacier"), "{whole}");
    assert_eq!(api.post(&again, &json!({}), 400)["code"], "not_in_error");
    assert_eq!(api.post("/syntheses/seven/regenerate", &json!({}), 400)["code"], "invalid_path");
    let nodes = api.get("/graphs/default/nodes");
    let concept =
        nodes["items"].as_array().unwrap().iter().find(|node| node["node_type"] != "synthesis").unwrap();
    let concept = format!("/syntheses/{}/regenerate", concept["id"].as_str().unwrap());
    assert_eq!(
        api.post(&concept, &json!({}), 404)["code"],
        "not_found",
        "a node of another type is no synthesis"
    );

    let database = folder.database().await;
    let sql = "SELECT state, error_code FROM write_synthesis_attempts ORDER BY attempt";
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
    let rows = sea_orm::ConnectionTrait::query_all_raw(database.read(), statement).await.unwrap();
    let kept: Vec<(String, Option<String>)> = rows
        .iter()
        .map(|row| (row.try_get("", "state").unwrap(), row.try_get("", "error_code").unwrap()))
        .collect();
    let code = Some("no_facts".to_owned());
    assert_eq!(
        kept,
        [("error".to_owned(), code.clone()), ("error".to_owned(), code), ("completed".to_owned(), None)]
    );
    let id = id.parse().unwrap();
    let row = ackord_entities::graph::synthesis::by_id(database.read(), id).await.unwrap().unwrap();
    assert!(row.input.contains("321") && row.input.contains("Arctic glaciers"), "{}", row.input);
    database.close().await;
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_in_parts_counts_them_and_is_stale_without_one_that_was_removed() {
    let folder = Folder::empty();
    let up = folder.up_with(&["--api", "127.0.0.1:0"], &[]);
    let api = Api::of(&up, "api");
    api.import("leases.md", LEASES);
    api.import("glaciers.md", GLACIERS);
    let parts = [
        json!({ "topic": "Leases" }),
        json!({ "topic": "Arctic glaciers" }),
        json!({ "topic": "Volcanoes" }),
    ];
    let asked =
        api.post("/super-syntheses", &json!({ "topic": "Claims and ice", "sub_configs": parts }), 202);
    let id = asked["id"].as_str().unwrap();
    let (progress, _) = api.progress(id, has_ended).await;
    assert_eq!((&progress["status"], &progress["state"]), (&json!("completed"), &json!("partial")));
    assert_eq!(progress["parts"], json!({ "ended": 3, "total": 3 }));
    let shown = api.get(&format!("/syntheses/{id}"));
    assert_eq!((&shown["type"], &shown["family"]["stale"]), (&json!("supersynthesis"), &json!(false)));
    let parts = shown["family"]["parts"].as_array().unwrap();
    let told: Vec<(&str, &str, bool, bool)> = parts
        .iter()
        .map(|part| {
            let of = |key: &str| part[key].as_str().unwrap();
            (of("topic"), of("state"), part["read_version"] == 1, part["error"]["code"] == "no_facts")
        })
        .collect();
    let expected = [
        ("Leases", "completed", true, false),
        ("Arctic glaciers", "completed", true, false),
        ("Volcanoes", "error", false, true),
    ];
    assert_eq!(told, expected);
    let part = parts[1]["id"].as_str().unwrap().to_owned();
    let listed = api.get("/syntheses?type=supersynthesis&state=partial");
    assert_eq!(listed["items"][0]["id"], json!(id));
    assert_eq!(api.get(&format!("/syntheses/{part}"))["family"]["parents"], json!([id]));
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");

    // Nobody works: what the removal itself does can be seen.
    let serve = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let api = Api::of(&serve, "listen");
    assert_eq!(api.send("DELETE", &format!("/syntheses/{part}"), "application/json", "").0, 204);
    assert_eq!(api.send("GET", &format!("/syntheses/{part}"), "application/json", "").0, 404);
    let shown = api.get(&format!("/syntheses/{id}"));
    assert_eq!(shown["family"]["stale"], true, "{shown}");
    let topics: Vec<&str> = shown["family"]["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["topic"].as_str().unwrap())
        .collect();
    assert_eq!(topics, ["Leases", "Volcanoes"]);
    assert!(shown["text"]["markdown"].as_str().unwrap().contains("glacier"), "the last good text stays");
    // Whoever wants a text without it has it combined again, although nothing has failed.
    let again = api.post(&format!("/syntheses/{id}/regenerate"), &json!({}), 202);
    assert_eq!(again["kind"], "recombination");
    let refused = api.post(&format!("/syntheses/{id}/regenerate"), &json!({}), 409);
    assert_eq!((&refused["code"], &refused["job_id"]), (&json!("in_flight"), &again["job_id"]));
    serve.stop();

    let up = folder.up_with(&["--api", "127.0.0.1:0"], &[]);
    let api = Api::of(&up, "api");
    let (progress, _) = api.progress(id, |now| now["version"] == 2).await;
    assert_eq!(progress["parts"], json!({ "ended": 2, "total": 2 }));
    let shown = api.get(&format!("/syntheses/{id}"));
    assert_eq!(shown["family"]["stale"], false);
    assert!(!shown["text"]["markdown"].as_str().unwrap().contains("meltwater"), "{shown}");
    up.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_changes_nothing_for_whoever_asks() {
    let folder = Folder::with_schema();
    // Nothing listens there.
    let nowhere = "amqp://guest:guest@127.0.0.1:1/%2f";
    let serve = folder.start(&["serve", "--listen", "127.0.0.1:0", "--broker", nowhere]);
    let api = Api::of(&serve, "listen");
    api.import("leases.md", LEASES);
    let job = api.post("/kinds/synthesis/jobs", &json!({ "topic": "Leases" }), 202);
    let text = api.post("/syntheses", &json!({ "topic": "Leases" }), 202);
    let wide = api.post("/super-syntheses", &json!({ "topic": "Leases" }), 202);
    for job in [&job["id"], &text["job_id"], &wide["job_id"]] {
        let story = api.get(&format!("/jobs/{}", job.as_str().unwrap()));
        assert_eq!(story["job"]["state"], "queued", "{story}");
    }
    let cancelled = api.post(&format!("/jobs/{}/cancel", job["id"].as_str().unwrap()), &json!({}), 200);
    assert_eq!(cancelled["outcome"], "cancel_requested");
    let progress = api.get(&format!("/syntheses/{}/progress", text["id"].as_str().unwrap()));
    assert_eq!(progress["status"], "pending");
    let (code, log) = serve.stop();
    assert_eq!(code, Some(0), "{log}");
}
