//! Dead letters go out again through RabbitMQ, by the program's own verbs: in a ramp, and each has its effect once.

use ackord_test_servers::{Queue, eventually};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::process::PATIENCE;

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its \
                      jobs every ten seconds. An expired lease is taken over by the next job that asks for its key.\n";
/// To a graph that is there.
const CURE: &str = r#"[{"op": "replace", "path": "/graph", "value": "default"}]"#;
const JOBS: usize = 12;
/// The first steps of the ramp are of one and of ten.
const STEPS: [i64; 3] = [1, 10, 1];

fn json(cluster: &Cluster, arguments: &[&str]) -> Value {
    let mut all = vec!["dead-letters"];
    all.extend_from_slice(arguments);
    all.push("--json");
    cluster.ackord(&all).expect(0).json()
}

/// Publishes jobs that die because there is no such graph, and waits until they are dead.
fn die(cluster: &Cluster) {
    let payload = r#"{"topic": "leases", "graph": "nowhere"}"#;
    let published: Vec<Value> = (0..JOBS)
        .map(|_| cluster.ackord(&["publish", "synthesis", "--payload", payload, "--json"]).expect(0).json())
        .collect();
    for job in published {
        cluster.ackord(&["jobs", "wait", job["id"].as_str().unwrap(), "--timeout", "2m"]).expect(6);
    }
}

/// How many texts were written, and by how many jobs.
async fn effects(cluster: &Cluster) -> (i64, i64) {
    let database = cluster.database.reopen().await;
    let sql = "SELECT count(*), count(DISTINCT job_id) FROM write_synthesis_versions";
    let row = database.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    let row = row.unwrap();
    let counted = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
    database.close().await;
    counted
}

async fn queue_becomes(cluster: &Cluster, what: &str, wanted: impl Fn(&Queue) -> bool) {
    let management = cluster.broker.management();
    eventually(what, PATIENCE, || async {
        management.queue("ackord.synthesis").await.ok()?.filter(|queue| wanted(queue)).map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_dead_letters_is_replayed_through_rabbitmq_in_a_ramp_and_once() {
    let Some(cluster) = Cluster::new().await else { return };
    let up = cluster.start(&["up"]);
    std::fs::write(cluster.folder.path().join("leases.md"), LEASES).unwrap();
    cluster.ackord(&["import", "leases.md"]).expect(0);
    die(&cluster);
    let groups = json(&cluster, &["list", "--group"]);
    let group = &groups["groups"][0];
    assert_eq!((&group["letters"], &group["error_code"]), (&JOBS.into(), &"unknown_graph".into()));
    let alike = group["fingerprint"].as_str().unwrap().to_owned();
    let replay = ["replay", "--fingerprint", &alike, "--patch", CURE, "--yes"];

    // While nobody takes them, RabbitMQ has the first step and no more.
    cluster.ackord(&["pause", "synthesis"]).expect(0);
    queue_becomes(&cluster, "nobody consumes", |queue| queue.consumers == 0).await;
    let first = json(&cluster, &replay);
    assert_eq!((&first["changed"], &first["run"]["letters"]["total"]), (&true.into(), &JOBS.into()));
    let run = first["run"]["id"].as_str().unwrap().to_owned();
    queue_becomes(&cluster, "the first step waits in its queue", |queue| queue.ready == 1).await;
    let twice = json(&cluster, &replay);
    assert_eq!((&twice["changed"], &twice["run"]["id"]), (&false.into(), &first["run"]["id"]));
    let under_way = json(&cluster, &["runs", "show", &run]);
    assert_eq!(
        (&under_way["letters"]["waiting"], &under_way["steps"][0]["replayed"]),
        (&11.into(), &1.into())
    );
    assert_eq!(effects(&cluster).await, (0, 0));

    cluster.ackord(&["resume", "synthesis"]).expect(0);
    let ended = json(&cluster, &["runs", "wait", &run, "--timeout", "2m"]);
    assert_eq!((&ended["state"], &ended["jobs"]["succeeded"]), (&"finished".into(), &JOBS.into()));
    let steps: Vec<i64> =
        ended["steps"].as_array().unwrap().iter().map(|step| step["replayed"].as_i64().unwrap()).collect();
    assert_eq!(steps, STEPS);
    assert_eq!(effects(&cluster).await, (12, 12));

    // Pressed once more, nothing is left to replay and nothing is sent.
    let again = json(&cluster, &replay);
    assert_eq!((&again["changed"], &again["run"]), (&false.into(), &Value::Null));
    queue_becomes(&cluster, "the queue is empty", |queue| queue.messages() == 0).await;
    assert_eq!(effects(&cluster).await, (12, 12));
    assert_eq!(json(&cluster, &["list", "--group"])["groups"], Value::Array(Vec::new()));
    assert_eq!(up.stop().0, Some(0));
}
