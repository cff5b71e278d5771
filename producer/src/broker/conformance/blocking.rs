//! A broker that takes no messages.

use tokio::time::timeout;

use super::Disturbed;
use super::steps::{PATIENCE, consume, consume_of, depth_is, filled, ids, message, next, publish};
use crate::broker::topology::JOBS_EXCHANGE;
use crate::broker::{BrokerError, BrokerState};

/// Waits until the broker says that it is in this state.
async fn state_becomes(broker: &dyn Disturbed, wanted: BrokerState) {
    let mut state = broker.state();
    let reached = timeout(PATIENCE, state.wait_for(|state| *state == wanted)).await;
    reached.expect("the state in time").expect("a broker that tells its state");
}

/// While it is blocked nothing is published, and the publisher is told so; afterwards it goes on.
pub async fn a_blocked_broker_publishes_nothing(broker: &dyn Disturbed) {
    filled(broker, &["1"]).await;
    broker.block().await;
    state_becomes(broker, BrokerState::Blocked).await;
    let refused = broker.publish(JOBS_EXCHANGE, &[message("a", "2"), message("a", "3")]).await;
    assert!(matches!(refused, Err(BrokerError::Blocked { .. })), "{refused:?}");
    depth_is(broker, 1, 0).await;
    broker.unblock().await;
    state_becomes(broker, BrokerState::Open).await;
    publish(broker, "a", &["4"]).await;
    depth_is(broker, 2, 0).await;
}

/// Being blocked is the publishers' matter: consumers work it off.
pub async fn a_blocked_broker_still_delivers_and_settles(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2"], 1).await;
    broker.block().await;
    state_becomes(broker, BrokerState::Blocked).await;
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.ack(tag, false));
    let second = next(&mut consumer).await;
    assert!(consumer.settler.requeue(second.tag));
    drop(consumer);
    let mut consumer = consume(broker, "a", 1).await;
    let second = next(&mut consumer).await;
    assert_eq!(ids(std::slice::from_ref(&second)), ["2"]);
    assert!(consumer.settler.ack(second.tag, false));
    depth_is(broker, 0, 0).await;
}

/// Whoever watches the state sees each change.
pub async fn the_state_is_told_when_it_changes(broker: &dyn Disturbed) {
    filled(broker, &[]).await;
    let mut state = broker.state();
    assert_eq!(*state.borrow_and_update(), BrokerState::Open);
    broker.block().await;
    timeout(PATIENCE, state.changed()).await.unwrap().unwrap();
    assert_eq!(*state.borrow_and_update(), BrokerState::Blocked);
    broker.unblock().await;
    timeout(PATIENCE, state.changed()).await.unwrap().unwrap();
    assert_eq!(*state.borrow_and_update(), BrokerState::Open);
}
