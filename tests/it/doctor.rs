//! `ackord doctor`: it finds what is wrong, and finds nothing where all is well.

use ackord_test_servers::{LOOPBACK, PostgresOptions, PostgresServer};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::program::Folder;

/// The checks that are not ok, each with its name and what was found.
fn findings(report: &Value) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap();
    let wrong = checks.iter().filter(|check| check["result"] != "ok");
    wrong
        .map(|check| {
            assert!(check["remedy"].is_string(), "a finding without a remedy: {check}");
            (check["check"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn a_file_with_a_worker_is_well_and_one_without_is_not() {
    let folder = Folder::empty();
    let nothing = folder.ackord(&["doctor", "--json"]).expect(9).json();
    assert_eq!(findings(&nothing)[0].0, "database.reachable");

    let running = folder.up();
    let report = folder.ackord(&["doctor", "--json"]).expect(0).json();
    assert_eq!(findings(&report), []);
    assert_eq!(report["processes"][0]["process"], running.id());
    assert_eq!(running.stop().0, Some(0));

    let report = folder.ackord(&["doctor", "--json"]).expect(9).json();
    let found = findings(&report);
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0].0, "processes.roles");
}

#[test]
fn what_operators_should_know_is_a_warning() {
    let folder = Folder::empty();
    let _running = folder.up();
    folder.ackord(&["pause", "synthesis"]).expect(0);
    let told = folder.ackord(&["doctor"]).expect(0).stdout;
    assert!(told.contains("warning") && told.contains("ackord resume"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_was_stopped_is_missed() {
    let Some(cluster) = Cluster::new().await else { return };
    let relay = cluster.start(&["relay"]);
    let _worker = cluster.start(&["work", "--no-relay", "--no-upkeep"]);
    let report = cluster.ackord(&["doctor", "--json"]).json();
    // The server of the tests may be no durable one; everything else is as it should be.
    let wrong: Vec<_> =
        findings(&report).into_iter().filter(|(check, _)| check != "database.durable").collect();
    assert_eq!(wrong, [], "{report}");
    assert_eq!(report["processes"].as_array().unwrap().len(), 2);

    assert_eq!(relay.stop().0, Some(0));
    let report = cluster.ackord(&["doctor", "--json"]).expect(9).json();
    let missed: Vec<_> =
        findings(&report).into_iter().filter(|(check, _)| check == "processes.roles").collect();
    assert_eq!(missed.len(), 2, "{report}");
    assert!(missed[0].1.starts_with("relay:") && missed[1].1.starts_with("upkeep:"), "{missed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_gone_and_one_that_differs_are_found() {
    let Some(cluster) = Cluster::new().await else { return };
    cluster.ackord(&["schema", "up"]).expect(0);
    cluster.ackord(&["topology", "apply"]).expect(0);
    let management = cluster.broker.management();
    management.delete_queue("ackord.dead-letters").await.unwrap();
    management.delete_queue("ackord.synthesis").await.unwrap();
    management.declare_queue("ackord.synthesis", json!({ "x-queue-type": "quorum" })).await.unwrap();
    let report = cluster.ackord(&["doctor", "--json"]).expect(9).json();
    let found: Vec<_> =
        findings(&report).into_iter().filter(|(check, _)| check == "broker.topology").collect();
    assert_eq!(found.len(), 2, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_is_a_finding() {
    let Some(cluster) = Cluster::new().await else { return };
    cluster.ackord(&["schema", "up"]).expect(0);
    let report = cluster.ackord_with(&["doctor", "--json"], "amqp://127.0.0.1:1/x").expect(9).json();
    let found = findings(&report);
    assert!(
        found.iter().any(|(check, found)| check == "broker.reachable" && found.contains("127.0.0.1:1")),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_server_that_cannot_be_trusted_is_not_used() {
    let options = PostgresOptions { certificate_for: Some(&LOOPBACK), ..PostgresOptions::default() };
    let Some(server) = PostgresServer::start(options).await else { return };
    let folder = Folder::empty();
    let certificates = server.certificates();
    let url = |root: &str| format!("{}?sslmode=verify-full&sslrootcert={root}", server.url());
    let trusted = url(&certificates.ca);
    folder.ackord(&["schema", "up", "--database", &trusted]).expect(0);
    let report = folder.ackord(&["doctor", "--json", "--database", &trusted]).json();
    let reached = report["checks"][0]["found"].as_str().unwrap();
    assert!(report["checks"][0]["result"] == "ok" && reached.contains("TLSv1."), "{report}");

    let unchecked = format!("{}?sslmode=require&sslrootcert={}", server.url(), certificates.ca);
    for (wrong, parameter) in [
        (url(&certificates.stranger_ca), "sslrootcert"),
        (url("/not/there.pem"), "/not/there.pem"),
        (unchecked, "sslmode=verify-full"),
    ] {
        let report = folder.ackord(&["doctor", "--json", "--database", &wrong]).expect(9).json();
        let (check, found) = findings(&report).swap_remove(0);
        assert!(check == "database.reachable" && found.contains(parameter), "{report}");
        assert!(
            !report.to_string().contains(server.url().split('@').next().unwrap()),
            "no password: {report}"
        );
    }
}
