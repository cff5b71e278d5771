//! `up`, `work` and `relay` as processes of their own, on RabbitMQ and Postgres: who runs what, and who may not run beside whom.

use std::time::Duration;

use ackord_test_servers::{Proxy, eventually, with_user};
use serde_json::json;

use crate::cluster::{Cluster, wrong_arguments};
use crate::program::Folder;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_and_a_relay_do_jobs_together_and_drain() {
    let Some(cluster) = Cluster::new().await else { return };
    let relay = cluster.start(&["relay"]);
    assert_eq!(relay.ready["roles"], json!(["relay", "upkeep"]));
    let workers = [(); 2].map(|()| cluster.start(&["work", "--no-relay", "--no-upkeep"]));
    assert_eq!(workers[0].ready["roles"], json!(["work", "archive"]));
    assert_ne!(workers[0].ready["name"], workers[1].ready["name"]);
    let jobs: Vec<String> = (0..6).map(|_| cluster.publish()).collect();
    for job in &jobs {
        cluster.ends(job);
    }
    for running in workers.into_iter().chain([relay]) {
        let (code, log) = running.stop();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("ERROR"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_of_everything_may_run_beside_each_other() {
    let Some(cluster) = Cluster::new().await else { return };
    let running = [cluster.start(&["up"]), cluster.start(&["up"]), cluster.start(&["relay"])];
    cluster.ends(&cluster.publish());
    for one in running {
        assert_eq!(one.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_at_the_start_is_waited_for() {
    let Some(cluster) = Cluster::new().await else { return };
    let proxy = Proxy::to(cluster.broker.address()).await;
    proxy.cut().await;
    let running = cluster.start_with(&["up"], &cluster.broker.url_at(proxy.address()));
    let job = cluster.publish();
    cluster.ackord(&["jobs", "wait", &job, "--timeout", "300ms"]).expect(7);
    proxy.restore().await;
    cluster.ends(&job);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("the broker is away").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_refuses_the_start_without_showing_it() {
    let Some(cluster) = Cluster::new().await else { return };
    let url = with_user(cluster.broker.url(), "guest", "n0tmine");
    let refused = cluster.ackord_with(&["up", "--log", "off", "--json"], &url).expect(8);
    let error = refused.error();
    assert_eq!(error["code"], "broker");
    assert!(error["message"].as_str().unwrap().contains("password"), "{error}");
    assert!(!refused.stderr.contains("n0tmine"), "{}", refused.stderr);
}

/// The permissions that docs/operations.md gives are enough for everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_do_no_more_than_documented_does_jobs() {
    let Some(cluster) = Cluster::new().await else { return };
    let management = cluster.broker.management();
    let user = format!("user_{}", cluster.broker.name());
    management.add_user(&user, "s3cret").await.unwrap();
    management.permit(&user, r"^ackord\..*$", r"^(ackord\..*|amq\.default)$", r"^ackord\..*$").await.unwrap();
    let running = cluster.start_with(&["up"], &with_user(cluster.broker.url(), &user, "s3cret"));
    cluster.ends(&cluster.publish());
    let (code, log) = running.stop();
    management.delete_user(&user).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("refuses"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_refuses_the_start_and_names_what_differs() {
    let Some(cluster) = Cluster::new().await else { return };
    cluster.broker.management().declare_queue("ackord.synthesis", wrong_arguments()).await.unwrap();
    let refused = cluster.ackord(&["work", "--log", "off", "--json"]).expect(8).error();
    let message = refused["message"].as_str().unwrap();
    for word in ["ackord.synthesis", "7", "100"] {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    assert!(refused["remedy"].as_str().unwrap().contains("topology verify"), "{refused}");
    // Nothing was deleted for anybody's convenience.
    let queue = cluster.broker.management().queue("ackord.synthesis").await.unwrap();
    assert!(queue.is_some());
}

/// The jobs that lay in a queue which is deleted, and all jobs when everything is: each is done, and nobody has to help.
#[rstest::rstest]
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_the_broker_lost_are_sent_again(#[values(false, true)] everything: bool) {
    let Some(cluster) = Cluster::new().await else { return };
    let _relay = cluster.start(&["relay"]);
    let jobs: Vec<String> = (0..4).map(|_| cluster.publish()).collect();
    let management = cluster.broker.management();
    let all_there = || async {
        let queue = management.queue("ackord.synthesis").await.ok().flatten()?;
        (queue.messages() == 4).then_some(())
    };
    eventually("the messages are with the broker", PATIENCE, &all_there).await;
    // RabbitMQ 3.10 has no list while one of the queues is still without a leader.
    let listed = || async { management.queues().await.ok() };
    for queue in eventually("the queues have a list", PATIENCE, listed).await {
        if everything || queue.name == "ackord.synthesis" {
            management.delete_queue(&queue.name).await.unwrap();
        }
    }
    eventually("the messages are there again", PATIENCE, &all_there).await;
    let worker = cluster.start(&["work", "--no-relay", "--no-upkeep"]);
    for job in &jobs {
        cluster.ends(job);
    }
    assert_eq!(worker.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_broker_is_nobody_elses() {
    let Some(cluster) = Cluster::new().await else { return };
    let first = cluster.start_with(&["up"], "embedded");
    for broker in ["embedded", cluster.broker.url()] {
        let refused = cluster.ackord_with(&["up", "--log", "off", "--json"], broker).expect(4).error();
        assert!(refused["message"].as_str().unwrap().contains(&first.id().to_string()), "{refused}");
        assert!(refused["remedy"].as_str().unwrap().contains("--broker"), "{refused}");
    }
    // One that died without a word is in nobody's way.
    first.kill();
    let second = cluster.start(&["up"]);
    cluster.ends(&cluster.publish());
    let refused = cluster.ackord_with(&["up", "--log", "off", "--json"], "embedded").expect(4).error();
    assert!(refused["remedy"].as_str().unwrap().contains("--broker"), "{refused}");
    assert_eq!(second.stop().0, Some(0));
}

#[test]
fn a_process_of_its_own_needs_a_broker_of_its_own() {
    let folder = Folder::empty();
    for verb in ["work", "relay"] {
        let refused = folder.ackord(&[verb, "--json"]).expect(2).error();
        assert!(refused["remedy"].as_str().unwrap().contains("ackord up"), "{refused}");
    }
    assert!(!folder.database_file().exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sqlite_file_has_room_for_one_of_them() {
    let Some(cluster) = Cluster::new().await else { return };
    let relay = cluster.folder.start(&["relay", "--broker", cluster.broker.url()]);
    let refused = cluster
        .folder
        .ackord(&["work", "--broker", cluster.broker.url(), "--log", "off", "--json"])
        .expect(4)
        .error();
    assert!(refused["remedy"].as_str().unwrap().contains("Postgres"), "{refused}");
    assert_eq!(relay.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_a_file_works_with_rabbitmq() {
    let Some(cluster) = Cluster::new().await else { return };
    let folder = &cluster.folder;
    let up = folder.start(&["up", "--broker", cluster.broker.url()]);
    let payload = r#"{"topic": "leases"}"#;
    folder.ackord(&["publish", "synthesis", "--payload", payload, "--wait", "--timeout", "60s"]).expect(6);
    assert_eq!(up.stop().0, Some(0));
}
