//! A queue that says nothing while the server is there.

use std::time::Duration;

use ackord_producer::broker::conformance::steps::{kinds, message, publish};
use ackord_producer::broker::topology::JOBS_EXCHANGE;
use ackord_producer::broker::{AmqpBroker, Broker, Confirm};
use ackord_test_servers::{RabbitNode, RabbitOptions, eventually};

use super::fixture::{PATIENCE, back, options};

/// More than the server reads from a connection while one queue does not take what it has read.
const MANY: usize = 2_000;

/// Stops the process of the queue `ackord.a` as if it waited for its leader, or lets it go on.
async fn queue(node: &RabbitNode, what: &str) {
    node.ctl(&["eval", &format!("ok = sys:{what}('%2F_ackord.a').")]).await.unwrap();
}

#[tokio::test]
async fn what_a_queue_does_not_answer_for_is_told_apart_and_stops_no_other_queue() {
    let Some(node) = RabbitNode::start(RabbitOptions::default()).await else { return };
    let mut options = options(&node.url());
    options.unanswered_after = Duration::from_secs(1);
    let broker = AmqpBroker::connect(options).await.unwrap();
    broker.apply(&kinds(&["a", "b"])).await.unwrap();
    publish(&broker, "a", &["0"]).await;
    let mut state = broker.state();
    state.mark_unchanged();
    queue(&node, "suspend").await;

    let window =
        [message("a", "1"), message("b", "1"), message("gone", "1"), message("a", "2"), message("b", "2")];
    let confirms = broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
    let [
        Confirm::Unanswered,
        Confirm::Confirmed,
        Confirm::Refused(gone),
        Confirm::Unanswered,
        Confirm::Confirmed,
    ] = &confirms[..]
    else {
        panic!("{confirms:?}")
    };
    assert!(gone.contains("`gone`"), "{gone}");
    publish(&broker, "b", &["3"]).await;
    assert!(!state.has_changed().unwrap(), "the connection stands");

    // Nothing more is read, and the connection is of no use to anybody.
    let replaced = tokio::spawn(back(broker.state()));
    let window: Vec<_> = (0..MANY).map(|number| message("a", &number.to_string())).collect();
    let confirms = broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
    assert_eq!(confirms, vec![Confirm::Unanswered; MANY]);
    replaced.await.unwrap();
    publish(&broker, "b", &["4"]).await;

    queue(&node, "resume").await;
    eventually("the queue answers", PATIENCE, || async {
        let confirms = broker.publish(JOBS_EXCHANGE, &[message("a", "again")]).await.ok()?;
        (confirms == [Confirm::Confirmed]).then_some(())
    })
    .await;
}
