//! Windows of confirms when the server says no, says nothing, or is gone.

use std::sync::Arc;
use std::time::Duration;

use ackord_entities::envelope::Message;
use ackord_producer::broker::conformance::steps::{consume, filled, ids, kinds, message, publish, take};
use ackord_producer::broker::topology::{JOBS_EXCHANGE, queue_of};
use ackord_producer::broker::{AmqpBroker, Broker, BrokerError, BrokerState, Confirm, Notice};
use ackord_test_servers::{Proxy, VirtualHost, eventually};
use bytes::Bytes;
use serde_json::json;

use super::fixture::{PATIENCE, Rabbit, back, options, shared};

/// A broker that reaches its virtual host through a proxy, impatiently.
async fn through_a_proxy(host: &VirtualHost, proxy: &Proxy) -> AmqpBroker {
    let mut options = options(&host.url_at(proxy.address()));
    options.heartbeat = Duration::from_secs(1);
    options.deadline = Duration::from_secs(2);
    AmqpBroker::connect(options).await.unwrap()
}

async fn becomes(broker: &AmqpBroker, wanted: BrokerState) {
    let mut state = broker.state();
    let reached = tokio::time::timeout(PATIENCE, state.wait_for(|state| *state == wanted)).await;
    reached.expect("the state in time").unwrap();
}

/// lapin hands a returned message out with any confirm of its channel.
#[tokio::test]
async fn every_returned_message_is_found_among_a_thousand() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a", "b"])).await.unwrap();
    let kind_of = |number: usize| match number % 7 {
        0 | 5 => "gone",
        3 => "b",
        _ => "a",
    };
    let window: Vec<_> = (0..1_000).map(|number| message(kind_of(number), &number.to_string())).collect();
    let confirms = rabbit.publish(JOBS_EXCHANGE, &window).await.unwrap();
    for (number, confirm) in confirms.iter().enumerate() {
        assert_eq!(
            matches!(confirm, Confirm::Refused(_)),
            kind_of(number) == "gone",
            "{number}: {confirm:?}"
        );
    }
    let Confirm::Refused(reason) = &confirms[0] else { unreachable!() };
    assert!(
        reason.contains("`gone`") && reason.contains(JOBS_EXCHANGE) && reason.contains("NO_ROUTE"),
        "{reason}"
    );
}

#[tokio::test]
async fn what_a_full_queue_nacks_is_refused_and_taken_once_there_is_room() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a", "b"])).await.unwrap();
    let limit = json!({ "max-length": 5 });
    rabbit.management.set_policy("short", "^ackord\\.a$", "queues", limit).await.unwrap();
    // The policy holds when the queue says no for the first time, which it does once it is over its length.
    let mut number = 0;
    let refused = eventually("the queue is full", PATIENCE, || {
        number += 1;
        let (rabbit, id) = (&rabbit, format!("fill-{number}"));
        async move {
            let confirms = rabbit.publish(JOBS_EXCHANGE, &[message("a", &id)]).await.unwrap();
            confirms.into_iter().find_map(|confirm| match confirm {
                Confirm::Confirmed | Confirm::Unanswered => None,
                Confirm::Refused(reason) => Some(reason),
            })
        }
    });
    let reason = refused.await;
    assert!(reason.contains("full"), "{reason}");
    let confirms =
        rabbit.publish(JOBS_EXCHANGE, &[message("a", "x"), message("b", "1"), message("gone", "y")]).await;
    let confirms = confirms.unwrap();
    assert!(
        matches!(confirms[..], [Confirm::Refused(_), Confirm::Confirmed, Confirm::Refused(_)]),
        "{confirms:?}"
    );

    rabbit.management.purge_queue(&queue_of("a")).await.unwrap();
    eventually("the queue takes messages again", PATIENCE, || async {
        let confirms = rabbit.publish(JOBS_EXCHANGE, &[message("a", "again")]).await.unwrap();
        (confirms == [Confirm::Confirmed]).then_some(())
    })
    .await;
}

/// The numbers of the channels with confirms on the publisher's connection, once that shows in what the server tells.
async fn channels_become(rabbit: &Rabbit, what: &str, wanted: impl Fn(&[u64]) -> bool) -> Vec<u64> {
    eventually(what, PATIENCE, async || {
        let connections = rabbit.management.connections().await.ok()?;
        let publisher = connections.iter().find(|one| one.client_name() == Some("ackord publisher"))?;
        let on_it = format!("{} (", publisher.name);
        let channels = rabbit.management.channels().await.ok()?;
        let with_confirms = channels.iter().filter(|one| one.confirm && one.name.starts_with(&on_it));
        let numbers: Vec<u64> = with_confirms.map(|one| one.number).collect();
        wanted(&numbers).then_some(numbers)
    })
    .await
}

/// lapin gives each channel of a connection a number that no other one had before.
#[tokio::test]
async fn a_channel_that_nacked_is_not_used_again_and_one_that_confirmed_all_is() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a", "b"])).await.unwrap();
    // As long as its policy says, or a message more.
    rabbit
        .management
        .set_policy("short", "^ackord\\.a$", "queues", json!({ "max-length": 1 }))
        .await
        .unwrap();
    publish(&rabbit, "b", &["1"]).await;
    let first = channels_become(&rabbit, "a window has its channel", |numbers| numbers.len() == 1).await;
    for id in ["2", "3", "4"] {
        publish(&rabbit, "b", &[id]).await;
    }
    let mut number = 0;
    eventually("the queue says no", PATIENCE, || {
        number += 1;
        let (rabbit, id) = (&rabbit, format!("fill-{number}"));
        async move {
            let confirms = rabbit.publish(JOBS_EXCHANGE, &[message("a", &id)]).await.unwrap();
            matches!(confirms[..], [Confirm::Refused(_)]).then_some(())
        }
    })
    .await;
    publish(&rabbit, "b", &["5"]).await;
    let second = channels_become(&rabbit, "another one has taken its place", |numbers| {
        numbers.len() == 1 && numbers != first
    })
    .await;
    // The probe has a channel of its own. Each window before the refusal had the first one: whoever opens one each time is far
    // ahead by now.
    assert!(second[0] > first[0] && second[0] <= first[0] + 2, "{first:?} {second:?}");
}

#[tokio::test]
async fn a_window_that_loses_its_connection_is_unknown_and_the_next_one_is_confirmed() {
    let Some(host) = VirtualHost::new().await else { return };
    let proxy = Proxy::to(host.address()).await;
    let mut patient = options(&host.url_at(proxy.address()));
    patient.heartbeat = Duration::from_secs(600);
    patient.deadline = Duration::from_secs(600);
    let broker = Arc::new(AmqpBroker::connect(patient).await.unwrap());
    filled(&*broker, &["1"]).await;
    let back = tokio::spawn(back(broker.state()));
    proxy.black_hole().await;
    let window = {
        let broker = Arc::clone(&broker);
        tokio::spawn(
            async move { broker.publish(JOBS_EXCHANGE, &[message("a", "2"), message("a", "3")]).await },
        )
    };
    // Taken by the channel, so that the next look at the pool cannot find one idle.
    tokio::task::yield_now().await;
    proxy.drop_connections().await;
    assert_eq!(window.await.unwrap(), Err(BrokerError::Closed));
    proxy.restore().await;
    back.await.unwrap();
    publish(&*broker, "a", &["2", "3"]).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_found_again() {
    let Some(host) = VirtualHost::new().await else { return };
    let proxy = Proxy::to(host.address()).await;
    let broker = through_a_proxy(&host, &proxy).await;
    filled(&broker, &["1"]).await;
    let mut consumer = consume(&broker, "a", 1).await;
    let first = take(&mut consumer, 1).await;
    proxy.black_hole().await;
    let asked = tokio::time::Instant::now();
    // The connection counts as lost when a heartbeat is missed; the deadline may come before that.
    let answer = broker.publish(JOBS_EXCHANGE, &[message("a", "2")]).await;
    assert!(matches!(answer.as_deref(), Err(BrokerError::Closed) | Ok([Confirm::Unanswered])), "{answer:?}");
    assert_eq!(broker.depth(&queue_of("a")).await, Err(BrokerError::Closed));
    assert!(asked.elapsed() < PATIENCE);
    becomes(&broker, BrokerState::Closed).await;
    assert!(consumer.deliveries.recv().await.is_none());
    assert!(!consumer.settler.ack(first[0].tag, false));
    proxy.restore().await;
    becomes(&broker, BrokerState::Open).await;
    publish(&broker, "a", &["2"]).await;
    let mut again = consume(&broker, "a", 1).await;
    assert_eq!(ids(&take(&mut again, 1).await), ["1"]);
}

#[tokio::test]
async fn publishing_goes_on_after_the_server_closed_the_connection() {
    let Some(rabbit) = shared().await else { return };
    filled(&rabbit, &["1"]).await;
    for id in ["2", "3"] {
        rabbit.lose_connection("publisher").await;
        publish(&rabbit, "a", &[id]).await;
    }
    let mut consumer = consume(&rabbit, "a", 9).await;
    assert_eq!(ids(&take(&mut consumer, 3).await), ["1", "2", "3"]);
}

#[tokio::test]
async fn an_exchange_that_is_gone_is_named_and_costs_nobody_the_connection() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    rabbit.management.delete_exchange(JOBS_EXCHANGE).await.unwrap();
    let mut state = rabbit.state();
    state.mark_unchanged();
    let window: Vec<_> = (0..500).map(|number| message("a", &number.to_string())).collect();
    let refused = rabbit.publish(JOBS_EXCHANGE, &window).await;
    assert_eq!(refused.unwrap_err(), BrokerError::NoSuchExchange { exchange: JOBS_EXCHANGE.to_owned() });
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    publish(&rabbit, "a", &["1"]).await;
    assert!(!state.has_changed().unwrap(), "the connection was lost");
}

#[tokio::test]
async fn what_fits_into_no_frame_is_refused_and_the_rest_is_confirmed() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    let large =
        Message { other_headers: [("x".to_owned(), "y".repeat(100_000))].into(), ..message("a", "2") };
    let long = message("a", &"3".repeat(300));
    let body = Message { body: Bytes::from(vec![b' '; 1 << 20]), ..message("a", "4") };
    let window = [message("a", "1"), large, long, body.clone(), message("gone", "5")];
    let confirms = rabbit.publish(JOBS_EXCHANGE, &window).await.unwrap();
    let [
        Confirm::Confirmed,
        Confirm::Refused(large),
        Confirm::Refused(long),
        Confirm::Confirmed,
        Confirm::Refused(gone),
    ] = &confirms[..]
    else {
        panic!("{confirms:?}")
    };
    assert!(
        large.contains("headers") && long.contains("message id") && gone.contains("`gone`"),
        "{large}; {long}; {gone}"
    );
    let mut consumer = consume(&rabbit, "a", 9).await;
    assert_eq!(take(&mut consumer, 2).await[1].message, body);
}

#[tokio::test]
async fn publishers_at_once_do_not_wait_for_each_other_and_keep_their_order() {
    let Some(rabbit) = shared().await else { return };
    let kinds_of = ["a", "b", "c", "d"];
    rabbit.apply(&kinds(&kinds_of)).await.unwrap();
    let windows = kinds_of.map(|kind| {
        let rabbit = &rabbit;
        async move {
            for first in (0..300).step_by(100) {
                let window: Vec<_> =
                    (first..first + 100).map(|number| message(kind, &number.to_string())).collect();
                let confirms = rabbit.publish(JOBS_EXCHANGE, &window).await.unwrap();
                assert_eq!(confirms, vec![Confirm::Confirmed; 100]);
            }
        }
    });
    futures::future::join_all(windows).await;
    for kind in kinds_of {
        let mut consumer = consume(&rabbit, kind, 300).await;
        let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        assert_eq!(ids(&take(&mut consumer, 300).await), expected);
    }
}

#[tokio::test]
async fn notices_reach_whoever_listens() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    rabbit.management.declare_queue("listener", json!({})).await.unwrap();
    rabbit.management.bind("ackord.events", "listener", "job.*.succeeded").await.unwrap();
    let notice = |key: &str| Notice { routing_key: key.to_owned(), body: Bytes::from_static(b"{\"n\":1}") };
    rabbit.announce(&[notice("job.a.succeeded"), notice("job.a.failed")]).await.unwrap();
    let heard = eventually("the notice is there", PATIENCE, || async {
        let heard = rabbit.management.take("listener", 9).await.unwrap();
        (!heard.is_empty()).then_some(heard)
    });
    let heard = heard.await;
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].routing_key.as_str(), heard[0].payload.as_str()), ("job.a.succeeded", "{\"n\":1}"));
}

#[tokio::test]
async fn notices_to_an_exchange_that_is_not_there_harm_nothing() {
    let Some(rabbit) = shared().await else { return };
    let notice = Notice { routing_key: "job.a.succeeded".to_owned(), body: Bytes::from_static(b"{}") };
    // It is not waited for, so the first ones are not known to have failed.
    for _ in 0..3 {
        let _ = rabbit.announce(std::slice::from_ref(&notice)).await;
    }
    filled(&rabbit, &["1"]).await;
    eventually("notices go out again", PATIENCE, || async {
        rabbit.announce(std::slice::from_ref(&notice)).await.ok()
    })
    .await;
}
