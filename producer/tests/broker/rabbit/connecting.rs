//! The first connection, and TLS.

use std::path::PathBuf;

use ackord_producer::broker::conformance::steps::{consume_of, kinds, next};
use ackord_producer::broker::{
    AmqpBroker, AmqpOptions, AmqpTls, Broker, BrokerError, BrokerState, ConnectError,
};
use ackord_test_servers::{Proxy, RabbitNode, RabbitOptions, VirtualHost};

use super::fixture::{PATIENCE, options};

async fn refused(options: AmqpOptions) -> ConnectError {
    AmqpBroker::connect(options).await.err().expect("a refusal")
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_a_remedy_and_shown_nowhere() {
    let Some(host) = VirtualHost::new().await else { return };
    let error = refused(options(&host.url_as("nobody", "s3cret"))).await;
    assert!(matches!(&error, ConnectError::Credentials { user, .. } if user == "nobody"), "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("rabbitmqctl") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn an_unknown_virtual_host_is_refused_with_a_remedy() {
    let Some(host) = VirtualHost::new().await else { return };
    let error = refused(options(&format!("{}-gone", host.url()))).await;
    assert!(matches!(&error, ConnectError::VirtualHost { vhost, .. } if vhost.ends_with("-gone")), "{error}");
    assert!(error.to_string().contains("rabbitmqctl add_vhost"), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let Some(host) = VirtualHost::new().await else { return };
    let proxy = Proxy::to(host.address()).await;
    proxy.cut().await;
    let broker = AmqpBroker::connect(options(&host.url_at(proxy.address()))).await.unwrap();
    let mut state = broker.state();
    assert_eq!(*state.borrow_and_update(), BrokerState::Closed);
    assert_eq!(broker.apply(&kinds(&["a"])).await, Err(BrokerError::Closed));
    proxy.restore().await;
    let open = tokio::time::timeout(PATIENCE, state.wait_for(|state| *state == BrokerState::Open)).await;
    open.expect("a connection in time").unwrap();
    broker.apply(&kinds(&["a"])).await.unwrap();
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_tried_in_turn() {
    let Some(host) = VirtualHost::new().await else { return };
    let dead = Proxy::to(host.address()).await;
    dead.cut().await;
    let both = host.url().replacen('@', &format!("@{},", dead.address()), 1);
    let broker = AmqpBroker::connect(options(&both)).await.unwrap();
    assert_eq!(*broker.state().borrow(), BrokerState::Open);
    assert!(!broker.description().url.contains("guest:guest"), "{:?}", broker.description());
}

#[tokio::test]
async fn dropping_the_broker_closes_its_connections() {
    let Some(host) = VirtualHost::new().await else { return };
    let broker = AmqpBroker::connect(options(host.url())).await.unwrap();
    let mut consumer = consume_of(&broker, &["1"], 1).await;
    let held = next(&mut consumer).await;
    drop(broker);
    let end = tokio::time::timeout(PATIENCE, consumer.deliveries.recv()).await;
    assert!(end.expect("an end in time").is_none());
    assert!(!consumer.settler.ack(held.tag, false));
    ackord_test_servers::eventually("the server lists no connection", PATIENCE, || async {
        host.management().connections().await.ok()?.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn tls_works_with_both_certificates_and_every_mistake_is_named() {
    let Some(node) = RabbitNode::start(RabbitOptions { tls: true, ..RabbitOptions::default() }).await else {
        return;
    };
    let files = node.certificates();
    let path = |file: &String| Some(PathBuf::from(file));
    let right = AmqpTls {
        ca: path(&files.ca),
        certificate: path(&files.client_certificate),
        key: path(&files.client_key),
    };
    let with = |tls: AmqpTls| AmqpOptions { tls, ..options(&node.tls_url()) };

    let broker = AmqpBroker::connect(with(right.clone())).await.unwrap();
    let mut consumer = consume_of(&broker, &["1"], 1).await;
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.ack(tag, false));

    let stranger_ca = AmqpTls { ca: path(&files.stranger_ca), ..right.clone() };
    let no_ca = AmqpTls { ca: None, ..right.clone() };
    let no_certificate = AmqpTls { certificate: None, key: None, ..right.clone() };
    let stranger = AmqpTls {
        certificate: path(&files.stranger_certificate),
        key: path(&files.stranger_key),
        ..right.clone()
    };
    for tls in [stranger_ca, no_ca, no_certificate, stranger] {
        let error = refused(with(tls.clone())).await;
        assert!(matches!(error, ConnectError::Tls { .. }), "{tls:?}: {error}");
        assert!(error.to_string().contains("broker_tls.ca"), "{error}");
    }

    let missing = AmqpTls { ca: Some(PathBuf::from("/nowhere/ca.pem")), ..right.clone() };
    let no_pem = AmqpTls { certificate: path(&files.client_key), ..right.clone() };
    let no_key = AmqpTls { key: path(&files.client_certificate), ..right.clone() };
    let another = AmqpTls { key: path(&files.stranger_key), ..right.clone() };
    for (tls, option, file) in [
        (missing, "broker_tls.ca", "/nowhere/ca.pem"),
        (no_pem, "broker_tls.certificate", files.client_key.as_str()),
        (no_key, "broker_tls.key", files.client_certificate.as_str()),
        (another, "broker_tls.key", files.stranger_key.as_str()),
    ] {
        let error = refused(with(tls)).await;
        assert!(matches!(error, ConnectError::File { .. }), "{error}");
        assert!(error.to_string().contains(option) && error.to_string().contains(file), "{error}");
    }

    let half = refused(with(AmqpTls { key: None, ..right.clone() })).await;
    assert!(matches!(half, ConnectError::TlsOptions { .. }), "{half}");
    let plain = refused(AmqpOptions { tls: right, ..options(&node.url()) }).await;
    assert!(plain.to_string().contains("amqps://"), "{plain}");
}
