//! Dead letters go out again through RabbitMQ, by the program's own verbs: in a ramp, past a worker that is killed, and each has its
//! effect once.

use ackord_entities::database::Database;
use ackord_entities::jobs::Synthesis;
use ackord_entities::queue::lease;
use ackord_producer::{Publish, enqueue_all};
use ackord_test_servers::eventually;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::process::PATIENCE;
use crate::program::Running;

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its \
                      jobs every ten seconds. An expired lease is taken over by the next job that asks for its key.\n";
/// To a graph that is there.
const CURE: &str = r#"[{"op": "replace", "path": "/graph", "value": "default"}]"#;
const JOBS: i64 = 112;
/// What goes out in each step of them.
const STEPS: [i64; 4] = [1, 10, 100, 1];

/// What waits to be sent: of a paused kind nothing is.
const WAITING: &str = "SELECT count(*) FROM outbox WHERE kind = 'synthesis'";
const DEAD: &str = "SELECT count(*) FROM jobs WHERE state = 'dead'";
const EFFECTS: &str = "SELECT count(*) FROM write_synthesis_versions";
const JOBS_WITH_EFFECT: &str = "SELECT count(DISTINCT job_id) FROM write_synthesis_versions";

fn work(cluster: &Cluster) -> Running {
    cluster.start(&["work", "--no-relay", "--no-upkeep"])
}

/// A verb for dead letters, with its exit code.
#[track_caller]
fn dead_letters(cluster: &Cluster, arguments: &[&str], code: i32) -> Value {
    let all = [&["dead-letters"], arguments, &["--json"]].concat();
    cluster.ackord(&all).expect(code).json()
}

async fn count(database: &Database, sql: &str) -> i64 {
    let row = database.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

async fn counted(database: &Database, what: &str, sql: &str, wanted: impl Fn(i64) -> bool) {
    eventually(what, PATIENCE, || async { wanted(count(database, sql).await).then_some(()) }).await;
}

/// Publishes jobs that die, since there is no such graph.
async fn die(database: &Database) {
    let job = Synthesis { graph: "nowhere".to_owned(), ..Synthesis::about("leases") };
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let jobs = vec![job; usize::try_from(JOBS).unwrap()];
    enqueue_all(&tx, &jobs, &Publish::at(now)).await.unwrap();
    tx.commit().await.unwrap();
    counted(database, "all are dead", DEAD, |dead| dead == JOBS).await;
}

/// Moves the time on for the leases of a worker that is gone.
async fn expire_leases(database: &Database) {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    lease::expire_all_runs(&tx, now).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_through_rabbitmq_in_a_ramp_and_each_has_its_effect_once() {
    let Some(cluster) = Cluster::new().await else { return };
    let relay = cluster.start(&["relay"]);
    let worker = work(&cluster);
    std::fs::write(cluster.folder.path().join("leases.md"), LEASES).unwrap();
    cluster.ackord(&["import", "leases.md"]).expect(0);
    let database = cluster.database.reopen().await;
    die(&database).await;

    // Nothing was mended: the first one fails again, and the others stay.
    let replay = ["replay", "--kind", "synthesis", "--error-code", "unknown_graph", "--yes"];
    let in_vain = [&replay[..], &["--wait", "--timeout", "2m"]].concat();
    let stopped = &dead_letters(&cluster, &in_vain, 6)["run"];
    assert_eq!(
        (&stopped["state"], &stopped["stop"]["code"], &stopped["letters"]["waiting"]),
        (&"stopped".into(), &"failed_again".into(), &(JOBS - 1).into())
    );

    // Mended by a patch. The kind is paused, so the first step gets no further than the outbox, and there is no second one.
    cluster.ackord(&["pause", "synthesis"]).expect(0);
    let mended = [&replay[..], &["--patch", CURE]].concat();
    let first = dead_letters(&cluster, &mended, 0);
    assert_eq!((&first["changed"], &first["run"]["letters"]["total"]), (&true.into(), &JOBS.into()));
    let run = first["run"]["id"].as_str().unwrap();
    counted(&database, "the first step goes out", WAITING, |waiting| waiting > 0).await;
    let twice = dead_letters(&cluster, &mended, 0);
    assert_eq!((&twice["changed"], &twice["run"]["id"]), (&false.into(), &run.into()));
    assert_eq!(twice["run"]["letters"]["waiting"], JOBS - 1);
    assert_eq!((count(&database, WAITING).await, count(&database, EFFECTS).await), (1, 0));

    // In the middle of the step of a hundred its worker dies.
    cluster.ackord(&["resume", "synthesis"]).expect(0);
    counted(&database, "the step of a hundred is under way", EFFECTS, |effects| effects > 20).await;
    worker.kill();
    expire_leases(&database).await;
    let worker = work(&cluster);
    let ended = dead_letters(&cluster, &["runs", "wait", run, "--timeout", "2m"], 0);
    assert_eq!((&ended["state"], &ended["jobs"]["succeeded"]), (&"finished".into(), &JOBS.into()));
    let steps = ended["steps"].as_array().unwrap().iter().map(|step| step["replayed"].as_i64().unwrap());
    assert_eq!(steps.collect::<Vec<_>>(), STEPS);
    let effects = (count(&database, EFFECTS).await, count(&database, JOBS_WITH_EFFECT).await);
    assert_eq!(effects, (JOBS, JOBS));

    // Nothing is left to replay.
    let again = dead_letters(&cluster, &mended, 0);
    assert_eq!((&again["changed"], &again["run"]), (&false.into(), &Value::Null));
    assert_eq!((count(&database, WAITING).await, count(&database, EFFECTS).await), (0, JOBS));
    database.close().await;
    for running in [worker, relay] {
        let (code, log) = running.stop();
        assert_eq!(code, Some(0), "{log}");
    }
}
