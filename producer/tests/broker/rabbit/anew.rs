//! A queue that is deleted and declared anew while others publish to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ackord_producer::broker::conformance::steps::{consume, kinds, message, next};
use ackord_producer::broker::topology::{JOBS_EXCHANGE, queue_of};
use ackord_producer::broker::{AmqpBroker, Broker, BrokerError, Confirm};
use ackord_test_servers::eventually;

use super::fixture::{PATIENCE, options, shared};

const ROUNDS: usize = 10;
/// Publishers at once, as a relay has them.
const PUBLISHERS: usize = 2;
/// So many windows follow the new queue.
const WINDOWS: u64 = 10;

/// What those who publish and the one who deletes tell each other.
#[derive(Default)]
struct Book {
    is_gone: AtomicBool,
    is_over: AtomicBool,
    /// Windows that were begun since the queue was gone, and confirmed.
    windows: AtomicU64,
}

/// The jobs of the old queue are told again before the new one is made. Nobody tells what is confirmed after that a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_once_a_queue_is_gone_is_in_the_one_that_follows() {
    let Some(rabbit) = shared().await else { return };
    let queue = queue_of("a");
    let keeper = AmqpBroker::connect(options(&rabbit.url)).await.unwrap();
    let publisher = Arc::new(AmqpBroker::connect(options(&rabbit.url)).await.unwrap());
    keeper.apply(&kinds(&["a", "b"])).await.unwrap();
    for round in 0..ROUNDS {
        let book = Arc::new(Book::default());
        let publish = |number| {
            let (publisher, book) = (Arc::clone(&publisher), Arc::clone(&book));
            tokio::spawn(async move { publish_on(&*publisher, &book, &format!("{round}/{number}")).await })
        };
        let publishers: Vec<_> = (0..PUBLISHERS).map(publish).collect();
        rabbit.management.delete_queue(&queue).await.unwrap();
        eventually("the queue is gone", PATIENCE, || async {
            let depth = keeper.depth(&queue).await;
            matches!(depth, Err(BrokerError::NoSuchQueue { .. })).then_some(())
        })
        .await;
        book.is_gone.store(true, Ordering::SeqCst);
        keeper.apply(&kinds(&["a", "b"])).await.unwrap();
        eventually("the new queue is published to", PATIENCE, || async {
            (book.windows.load(Ordering::SeqCst) >= WINDOWS).then_some(())
        })
        .await;
        book.is_over.store(true, Ordering::SeqCst);
        let mut missing = BTreeSet::new();
        for publisher in publishers {
            missing.extend(publisher.await.unwrap());
        }
        let mut consumer = consume(&keeper, "a", 100).await;
        while !missing.is_empty() {
            let delivery = next(&mut consumer).await;
            missing.remove(delivery.message.message_id.as_deref().unwrap());
            assert!(consumer.settler.ack(delivery.tag, false));
        }
    }
}

/// Publishes windows until it is over. Answers the messages to the queue that were confirmed, of windows that were begun when it was gone.
async fn publish_on(broker: &dyn Broker, book: &Book, name: &str) -> Vec<String> {
    let mut confirmed = Vec::new();
    for window in 0.. {
        if book.is_over.load(Ordering::SeqCst) {
            break;
        }
        let counts = book.is_gone.load(Ordering::SeqCst);
        let ids: Vec<_> = (0..10).map(|one| format!("{name}/{window}/{one}")).collect();
        let messages: Vec<_> = ids.iter().flat_map(|id| [message("a", id), message("b", id)]).collect();
        // A deletion may cost the connection.
        let Ok(confirms) = broker.publish(JOBS_EXCHANGE, &messages).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let of_a = confirms.iter().step_by(2).zip(ids).filter(|(confirm, _)| **confirm == Confirm::Confirmed);
        if counts {
            let before = confirmed.len();
            confirmed.extend(of_a.map(|(_, id)| id));
            book.windows.fetch_add(u64::from(confirmed.len() > before), Ordering::SeqCst);
        }
    }
    confirmed
}
