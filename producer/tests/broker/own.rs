//! What only the embedded broker promises: its memory limit, its end, and that a refused topology changes nothing.

use ackord_entities::envelope::Message;
use ackord_producer::broker::conformance::steps::{
    consume, consume_of, depth_is, filled, kinds, message, next, publish, rest, take,
};
use ackord_producer::broker::topology::{DEAD_LETTERS, JOBS_EXCHANGE, KindQueue, Topology, queue_of};
use ackord_producer::broker::{
    Broker, BrokerError, BrokerState, Confirm, EmbeddedBroker, EmbeddedOptions, Settler,
};
use bytes::Bytes;

const KIB: usize = 1024;

fn broker(memory_limit: usize) -> EmbeddedBroker {
    EmbeddedBroker::new(EmbeddedOptions { memory_limit })
}

fn large(id: usize) -> Message {
    Message { body: Bytes::from(vec![b'x'; KIB]), ..message("a", &id.to_string()) }
}

/// Publishes one large message after the other until the broker is full. Answers how many it took.
async fn fill_up(broker: &EmbeddedBroker) -> usize {
    for id in 0.. {
        match broker.publish(JOBS_EXCHANGE, &[large(id)]).await {
            Ok(confirms) => assert_eq!(confirms, [Confirm::Confirmed]),
            Err(BrokerError::Blocked { .. }) => return id,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the broker takes messages for ever")
}

#[tokio::test]
async fn a_full_broker_takes_nothing_until_a_quarter_is_settled() {
    let broker = broker(100 * KIB);
    broker.apply(&kinds(&["a"])).await.unwrap();
    let taken = fill_up(&broker).await;
    assert!((60..100).contains(&taken), "{taken} messages of a KiB and their bookkeeping in 100 KiB");
    assert_eq!(*broker.state().borrow(), BrokerState::Blocked);

    let mut consumer = consume(&broker, "a", taken).await;
    let out = take(&mut consumer, taken).await;
    let mut settled = 0;
    while *broker.state().borrow() == BrokerState::Blocked {
        let refused = broker.publish(JOBS_EXCHANGE, &[large(0)]).await;
        assert!(matches!(refused, Err(BrokerError::Blocked { .. })), "{refused:?}");
        assert!(consumer.settler.ack(out[settled].tag, false));
        settled += 1;
    }
    assert!((taken / 5..taken / 3).contains(&settled), "{settled} of {taken} settled");
    assert!(fill_up(&broker).await > 0);
}

#[tokio::test]
async fn a_full_broker_tells_it_once_and_does_not_flap() {
    let broker = broker(100 * KIB);
    broker.apply(&kinds(&["a"])).await.unwrap();
    let mut state = broker.state();
    let taken = fill_up(&broker).await;
    assert!(state.has_changed().unwrap());
    assert_eq!(*state.borrow_and_update(), BrokerState::Blocked);
    let mut consumer = consume(&broker, "a", taken).await;
    for _ in 0..5 {
        let tag = next(&mut consumer).await.tag;
        assert!(consumer.settler.ack(tag, false));
    }
    assert!(!state.has_changed().unwrap());
}

#[tokio::test]
async fn a_window_is_taken_whole_even_if_it_goes_over_the_limit() {
    let broker = broker(10 * KIB);
    broker.apply(&kinds(&["a"])).await.unwrap();
    let window: Vec<_> = (0..50).map(large).collect();
    let confirms = broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
    assert_eq!(confirms, vec![Confirm::Confirmed; 50]);
    depth_is(&broker, 50, 0).await;
    assert_eq!(*broker.state().borrow(), BrokerState::Blocked);
}

#[tokio::test]
async fn memory_comes_back_whichever_way_a_message_ends() {
    let broker = broker(100 * KIB);
    broker.apply(&kinds(&["a"])).await.unwrap();
    let first = fill_up(&broker).await;
    let mut consumer = consume(&broker, "a", first).await;
    for (index, delivery) in take(&mut consumer, first).await.into_iter().enumerate() {
        let done =
            if index % 2 == 0 { Settler::reject } else { |settler: &Settler, tag| settler.ack(tag, true) };
        assert!(done(&consumer.settler, delivery.tag));
    }
    let mut dead_letters = broker.consume(DEAD_LETTERS, first).await.unwrap();
    let dead = take(&mut dead_letters, first.div_ceil(2)).await;
    assert!(dead_letters.settler.ack(dead[dead.len() - 1].tag, true));
    drop(consumer);
    assert_eq!(fill_up(&broker).await, first, "an empty broker holds as much as a new one");
}

#[tokio::test]
async fn closing_ends_everything() {
    let broker = broker(100 * KIB);
    let mut consumer = consume_of(&broker, &["1", "2", "3"], 2).await;
    let first = next(&mut consumer).await;
    broker.close();
    assert_eq!(rest(&mut consumer).await.len(), 1);
    assert!(!consumer.settler.ack(first.tag, false));
    assert_eq!(*broker.state().borrow(), BrokerState::Closed);
    assert_eq!(broker.publish(JOBS_EXCHANGE, &[message("a", "4")]).await, Err(BrokerError::Closed));
    assert_eq!(broker.consume(&queue_of("a"), 1).await.unwrap_err(), BrokerError::Closed);
    assert_eq!(broker.depth(&queue_of("a")).await, Err(BrokerError::Closed));
    assert_eq!(broker.apply(&kinds(&["a"])).await, Err(BrokerError::Closed));
}

#[tokio::test]
async fn a_dropped_broker_is_a_closed_one() {
    let broker = broker(100 * KIB);
    let mut consumer = consume_of(&broker, &["1"], 1).await;
    let first = next(&mut consumer).await;
    let state = broker.state();
    drop(broker);
    assert!(rest(&mut consumer).await.is_empty());
    assert!(!consumer.settler.ack(first.tag, false));
    assert_eq!(*state.borrow(), BrokerState::Closed);
}

#[tokio::test]
async fn a_refused_topology_declares_nothing() {
    let broker = broker(100 * KIB);
    filled(&broker, &[]).await;
    let queue = |kind: &str, queue: &str, delivery_limit| KindQueue {
        kind: kind.to_owned(),
        queue: queue.to_owned(),
        delivery_limit,
    };
    let refused = [
        queue("a", &queue_of("a"), 77),
        queue("a", "elsewhere", 77),
        queue("dead-letters", DEAD_LETTERS, 77),
    ];
    for wrong in refused {
        let topology = Topology { kinds: vec![queue("new", "new", 1), wrong] };
        let error = broker.apply(&topology).await.unwrap_err();
        assert!(matches!(error, BrokerError::Mismatch { .. }), "{error}");
        assert!(matches!(broker.depth("new").await, Err(BrokerError::NoSuchQueue { .. })));
    }
    publish(&broker, "a", &["1"]).await;
}

/// More than every broker does: the order of the queue is that of publishing, not that of coming back.
#[tokio::test]
async fn what_comes_back_out_of_order_is_delivered_in_order() {
    let broker = broker(100 * KIB);
    let mut consumer = consume_of(&broker, &["1", "2", "3", "4", "5"], 4).await;
    let out = take(&mut consumer, 4).await;
    consumer.settler.set_prefetch(0);
    assert!(consumer.settler.requeue(out[3].tag));
    assert!(consumer.settler.hand_back(out[0].tag));
    assert!(consumer.settler.requeue(out[2].tag));
    assert!(consumer.settler.ack(out[1].tag, false));
    consumer.settler.set_prefetch(9);
    let counted: Vec<_> = take(&mut consumer, 4)
        .await
        .into_iter()
        .map(|delivery| (delivery.message.message_id.unwrap(), delivery.deliveries_before))
        .collect();
    let wanted = [("1", 0), ("3", 1), ("4", 1), ("5", 0)].map(|(id, count)| (id.to_owned(), count));
    assert_eq!(counted, wanted);
}
