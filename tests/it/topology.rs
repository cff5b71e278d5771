//! `ackord topology show|apply|verify`.

use serde_json::json;

use crate::cluster::{Cluster, wrong_arguments};
use crate::program::Folder;

#[test]
fn what_is_needed_is_shown_without_a_broker() {
    let shown = Folder::empty().ackord(&["topology", "show", "--json"]).expect(0).json();
    let queues = shown["queues"].as_array().unwrap();
    let queue = queues.iter().find(|queue| queue["name"] == "ackord.synthesis").unwrap();
    assert_eq!(queue["arguments"]["x-queue-type"], "quorum");
    assert_eq!(queue["arguments"]["x-delivery-limit"], 100);
    assert_eq!(queue["arguments"]["x-dead-letter-exchange"], "ackord.dead");
    assert!(
        shown["bindings"].as_array().unwrap().contains(
            &json!({ "exchange": "ackord.jobs", "queue": "ackord.synthesis", "routing_key": "relayed.synthesis" })
        ),
        "{shown}"
    );
    let text = Folder::empty().ackord(&["topology", "show"]).expect(0).stdout;
    assert!(text.contains("x-dead-letter-strategy=at-least-once"), "{text}");
}

#[test]
fn without_a_server_there_is_nothing_to_compare() {
    let folder = Folder::empty();
    for verb in ["apply", "verify"] {
        let refused = folder.ackord(&["topology", verb, "--json"]).expect(2).error();
        assert!(refused["remedy"].as_str().unwrap().contains("--broker"), "{refused}");
        // Nobody listens on this port: it is reserved.
        let away = folder
            .ackord(&["topology", verb, "--broker", "amqp://127.0.0.1:1/x", "--json"])
            .expect(8)
            .error();
        assert!(away["message"].as_str().unwrap().contains("cannot be reached"), "{away}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_found_then_declared() {
    let Some(cluster) = Cluster::new().await else { return };
    let found = cluster.ackord(&["topology", "verify", "--json"]).expect(9).json();
    let missing: Vec<&str> =
        found["differences"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert!(missing.contains(&"ackord.synthesis") && missing.contains(&"ackord.jobs"), "{found}");
    let queues = cluster.broker.management().queues().await.unwrap();
    assert!(queues.is_empty(), "a comparison declares nothing");

    let applied = cluster.ackord(&["topology", "apply", "--json"]).expect(0).json();
    assert!(applied["created"].as_array().unwrap().contains(&json!("ackord.synthesis")), "{applied}");
    cluster.ackord(&["topology", "verify"]).expect(0);
    let again = cluster.ackord(&["topology", "apply", "--json"]).expect(0).json();
    assert_eq!(again["created"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_named_and_left_as_it_is() {
    let Some(cluster) = Cluster::new().await else { return };
    cluster.ackord(&["topology", "apply"]).expect(0);
    let management = cluster.broker.management();
    management.delete_queue("ackord.synthesis").await.unwrap();
    management.declare_queue("ackord.synthesis", wrong_arguments()).await.unwrap();
    let found = cluster.ackord(&["topology", "verify", "--json"]).expect(9).json();
    let differences = found["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{found}");
    assert_eq!(differences[0]["what"], "ackord.synthesis");
    assert!(differences[0]["problem"].as_str().unwrap().contains('7'), "{found}");
    let refused = cluster.ackord(&["topology", "apply", "--json"]).expect(8).error();
    assert!(refused["message"].as_str().unwrap().contains("ackord.synthesis"), "{refused}");
}
