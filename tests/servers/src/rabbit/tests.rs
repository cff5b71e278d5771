use std::time::Duration;

use serde_json::json;

use super::*;
use crate::management::{Management, Queue};
use crate::virtual_host::VirtualHost;
use crate::wait::eventually;

const SOON: Duration = Duration::from_secs(60);

async fn quorum_queue(management: &Management, name: &str) {
    management.declare_queue(name, json!({ "x-queue-type": "quorum" })).await.expect("declared");
}

async fn publish(management: &Management, queue: &str, payload: &str) {
    let properties = json!({ "delivery_mode": 2, "message_id": "m-1", "headers": { "x-colour": "red" } });
    assert!(
        management.publish("", queue, properties, payload).await.expect("published"),
        "it reaches the queue"
    );
}

async fn queue_when(management: &Management, name: &str, is: impl Fn(&Queue) -> bool) -> Queue {
    eventually(&format!("{name} is as expected"), SOON, || async {
        management.queue(name).await.ok().flatten().filter(|queue| is(queue))
    })
    .await
}

#[tokio::test]
async fn a_virtual_host_is_a_tests_own_and_goes_with_it() {
    let (Some(first), Some(second)) = (VirtualHost::new().await, VirtualHost::new().await) else { return };
    quorum_queue(first.management(), "q").await;
    assert!(first.management().queue("q").await.expect("answers").is_some());
    assert!(second.management().queue("q").await.expect("answers").is_none());
    assert!(first.url().ends_with(first.name()));

    let name = first.name().to_owned();
    drop(first);
    let left = second.management().virtual_hosts().await.expect("answers");
    assert!(!left.contains(&name) && left.contains(&second.name().to_owned()));
}

#[tokio::test]
async fn the_management_api_does_what_it_says() {
    let Some(host) = VirtualHost::new().await else { return };
    let management = host.management();
    quorum_queue(management, "q").await;
    management.declare_exchange("e", "direct", json!({})).await.expect("declared");
    management.bind("e", "q", "key/1").await.expect("bound");
    let bound = management.bindings().await.expect("answers").into_iter().filter(|one| one.source == "e");
    assert_eq!(
        bound.map(|one| (one.destination, one.routing_key)).collect::<Vec<_>>(),
        [("q".into(), "key/1".into())]
    );
    assert!(management.exchanges().await.expect("answers").iter().any(|one| one.name == "e" && one.durable));

    publish(management, "q", "first").await;
    let queue = queue_when(management, "q", |queue| queue.ready == 1).await;
    assert_eq!((queue.r#type.as_str(), queue.messages()), ("quorum", 1));
    assert_eq!(queue.arguments.get("x-queue-type"), Some(&json!("quorum")));
    let seen = management.peek("q", 1).await.expect("answers");
    assert_eq!(
        (seen.len(), seen[0].payload.as_str(), seen[0].header("x-colour")),
        (1, "first", Some(&json!("red")))
    );
    let taken = management.take("q", 5).await.expect("answers");
    assert!(taken.len() == 1 && taken[0].redelivered, "{taken:?}");
    assert!(management.take("q", 5).await.expect("answers").is_empty());

    management.unbind("e", "q", "key/1").await.expect("unbound");
    assert!(!management.publish("e", "key/1", json!({}), "lost").await.expect("answers"), "nobody is bound");
    publish(management, "q", "second").await;
    management.purge_queue("q").await.expect("purged");
    queue_when(management, "q", |queue| queue.messages() == 0).await;
    management.delete_queue("q").await.expect("deleted");
    assert!(management.queue("q").await.expect("answers").is_none());
    management.delete_exchange("e").await.expect("deleted");

    let user = host.name();
    management.add_user(user, "secret").await.expect("added");
    management.permit(user, "^$", "^$", ".*").await.expect("permitted");
    management.delete_user(user).await.expect("removed");
    assert!(management.channels().await.expect("answers").is_empty());
    assert!(management.consumers().await.expect("answers").is_empty());
    assert!(management.connections().await.expect("answers").is_empty());
    assert_eq!(management.close_connections_of("nobody").await.expect("answers"), 0);
}

#[tokio::test]
async fn a_killed_node_finds_its_messages_and_a_wiped_one_does_not() {
    let options =
        RabbitOptions { consumer_timeout: Some(Duration::from_secs(2)), ..RabbitOptions::default() };
    let Some(mut node) = RabbitNode::start(options).await else { return };
    let management = node.management();
    assert!(management.overview().await.expect("answers").rabbitmq_version.contains('.'));
    quorum_queue(&management, "q").await;
    publish(&management, "q", "kept").await;
    queue_when(&management, "q", |queue| queue.ready == 1).await;
    let timeout =
        node.ctl(&["eval", "application:get_env(rabbit, consumer_timeout)."]).await.expect("answers");
    assert_eq!(timeout.trim(), "{ok,2000}");

    node.kill();
    assert!(!node.runs());
    management.overview().await.expect_err("nobody answers");
    node.restart().await;
    queue_when(&management, "q", |queue| queue.ready == 1).await;

    node.alarm(true).await;
    node.alarm(false).await;

    node.wipe().await;
    assert!(management.queue("q").await.expect("answers").is_none());
    assert!(node.ctl(&["no_such_command"]).await.is_err());
}

#[tokio::test]
async fn a_frozen_node_answers_when_it_is_thawed() {
    let Some(mut node) = RabbitNode::start(RabbitOptions::default()).await else { return };
    let management = node.management();
    node.freeze();
    let overview = tokio::spawn(async move { management.overview().await });
    // The request is on its way; a node that ran would take milliseconds.
    tokio::time::timeout(Duration::from_millis(300), async {
        while !overview.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect_err("nobody answers");
    node.thaw();
    overview.await.expect("no panic").expect("it answers");
    node.stop().await;
    assert!(!node.runs());
}

#[tokio::test]
async fn a_node_with_tls_listens_for_both() {
    let Some(node) = RabbitNode::start(RabbitOptions { tls: true, ..RabbitOptions::default() }).await else {
        return;
    };
    let status = node.ctl(&["status"]).await.expect("answers");
    assert!(status.contains("amqp/ssl") && status.contains("protocol: amqp,"), "{status}");
    assert!(node.tls_url().starts_with("amqps://"));
    assert!(std::path::Path::new(&node.certificates().client_key).is_file());
}

#[tokio::test]
async fn a_cluster_elects_another_leader_when_the_leader_is_killed() {
    let Some(mut cluster) = RabbitCluster::start(3).await else { return };
    let management = cluster.node(0).management();
    quorum_queue(&management, "q").await;
    let queue =
        queue_when(&management, "q", |queue| queue.members.len() == 3 && queue.online.len() == 3).await;
    assert!(queue.leader.is_some());
    publish(&management, "q", "kept").await;

    let leader = eventually("a leader", SOON, || cluster.leader_of("q")).await;
    cluster.kill(leader);
    let next = eventually("another leader", SOON, || cluster.leader_of("q")).await;
    assert_ne!(next, leader);
    queue_when(&cluster.node(next).management(), "q", |queue| queue.ready == 1).await;

    cluster.restart(leader).await;
    queue_when(&cluster.node(leader).management(), "q", |queue| queue.online.len() == 3).await;
    assert_eq!(cluster.size(), 3);
}
