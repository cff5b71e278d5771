//! A model writes for the real program: configured in the environment, asked over HTTP, its text read by another process.

use ackord_test_servers::{Asked, ModelServer, Reply, Said};
use serde_json::{Value, json};

use crate::program::{Folder, Running};

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its jobs every \
                      ten seconds. An expired lease is taken over by the next job that asks for its key.\n";
const KEY: &str = "sk-test-4711";

/// Searches, fails once, and hands in a text.
fn script(asked: &Asked) -> Reply {
    let facts = &asked.last_answer()["facts"];
    match (asked.number, facts[0]["id"].as_str()) {
        (2, _) => Reply::BrokenOff(Said::text("Let me think about that for a while")),
        (_, Some(fact)) => {
            Reply::Said(Said::finish(&format!("The next job takes it over [1](/facts/{fact}).")))
        }
        (_, None) => Reply::Said(Said::call("search_facts", &json!({"query": "expired lease"}))),
    }
}

fn environment(server: &ModelServer) -> Vec<(&'static str, String)> {
    vec![
        ("ACKORD_MODEL_ENDPOINT", server.url()),
        ("ACKORD_MODEL_NAME", "scripted".to_owned()),
        ("ACKORD_MODEL_API_KEY", KEY.to_owned()),
        ("ACKORD_MODEL_PRICE_PROMPT", "2".to_owned()),
        ("ACKORD_MODEL_PRICE_COMPLETION", "10".to_owned()),
    ]
}

fn up(folder: &Folder, server: &ModelServer) -> Running {
    let environment = environment(server);
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    folder.up_with(&[], &environment)
}

#[test]
fn a_text_by_a_model_is_asked_for_and_read_and_what_it_cost_is_shown() {
    let server = ModelServer::start(script);
    let folder = Folder::with_schema();
    std::fs::write(folder.path().join("leases.md"), LEASES).unwrap();
    folder.ackord(&["import", "leases.md"]).expect(0);
    let running = up(&folder, &server);
    let asked = ["synthesis", "create", "Leases", "--wait", "--timeout", "60s", "--json"];
    let answer = folder.ackord(&asked).expect(0).json();
    let (id, job) = (answer["id"].as_str().unwrap(), answer["job"].as_str().unwrap());
    let read = folder.ackord(&["synthesis", "show", id]).expect(0).stdout;
    assert!(read.contains("The next job takes it over"), "{read}");
    assert_eq!(server.asked()[0].authorization.as_deref(), Some("Bearer sk-test-4711"));

    let story = folder.ackord(&["jobs", "show", job, "--json"]).expect(0).json();
    let used = &story["model_use"];
    assert_eq!(
        (used["sum"]["calls"].as_u64(), used["attempts"].as_array().map(Vec::len)),
        (Some(4), Some(2))
    );
    let outcomes: Vec<&Value> =
        used["attempts"][0]["calls"].as_array().unwrap().iter().map(|call| &call["outcome"]).collect();
    assert_eq!(outcomes, ["answered", "cut_off"]);
    // Twice 100 sent and 10 answered, at 2 and 10 for a million.
    assert_eq!(used["attempts"][1]["sum"]["cost_micros"], 600);
    let told = folder.ackord(&["jobs", "show", job]).expect(0).stdout;
    for words in
        ["attempt 2  2 calls, 200 tokens sent (80 cached), 20 answered, cost 0.000600", "in all     4 calls"]
    {
        assert!(told.contains(words), "`{words}` is not in:\n{told}");
    }
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(!log.contains(KEY), "{log}");
    assert!(log.contains("texts are written by a model"), "{log}");
}

#[test]
fn the_configuration_of_a_model_is_shown_without_its_key_and_checked() {
    let server = ModelServer::start(script);
    let folder = Folder::with_schema();
    let with = |arguments: &[&str], more: &[(&str, &str)]| {
        let mut command = folder.command(arguments);
        command.envs(environment(&server)).envs(more.iter().copied());
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, shown, _) = with(&["config", "--json"], &[]);
    assert!(code == Some(0) && shown.contains("ACKORD_MODEL_API_KEY") && !shown.contains(KEY), "{shown}");
    let (code, _, told) = with(&["config"], &[("ACKORD_MODEL_CHUNK_TIMEOUT", "soon")]);
    assert!(code == Some(2) && told.contains("`model.chunk_timeout`"), "{told}");

    let check = |more: &[(&str, &str)], name: &str| {
        let (_, report, _) = with(&["doctor", "--json"], more);
        let report: Value = serde_json::from_str(&report).unwrap();
        report["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).cloned().unwrap()
    };
    assert_eq!(check(&[], "model.reachable")["result"], "ok");
    let other = check(&[("ACKORD_MODEL_NAME", "other")], "model.name");
    assert!(
        other["result"] == "warning" && other["remedy"].as_str().unwrap().contains("scripted"),
        "{other}"
    );
    let refused = check(&[("ACKORD_MODEL_API_KEY", "wrong")], "model.reachable");
    assert!(
        refused["result"] == "failed" && refused["remedy"].as_str().unwrap().contains("model.api_key"),
        "{refused}"
    );
    assert!(!refused["found"].as_str().unwrap().contains("wrong"), "{refused}");
    let gone = check(&[("ACKORD_MODEL_ENDPOINT", "http://127.0.0.1:9")], "model.reachable");
    assert_eq!(gone["result"], "failed");
}
