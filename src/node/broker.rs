//! The broker of the configuration.

use std::sync::Arc;

use ackord_producer::broker::{AmqpBroker, AmqpOptions, AmqpTls, Broker, EmbeddedBroker, EmbeddedOptions};

use crate::config::{AmqpUrl, BrokerChoice, BrokerTls};

/// Opens the broker. A server that is away is none of the errors: it is tried again for ever.
///
/// # Errors
/// What trying again cannot cure: refused credentials, an unknown virtual host, TLS that fails.
pub(crate) async fn open(
    choice: &BrokerChoice,
    tls: &BrokerTls,
    name: &str,
) -> anyhow::Result<Arc<dyn Broker>> {
    match choice {
        BrokerChoice::Embedded => Ok(Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()))),
        BrokerChoice::Amqp(url) => Ok(Arc::new(AmqpBroker::connect(amqp_options(url, tls, name)).await?)),
    }
}

/// How RabbitMQ is connected to.
pub(crate) fn amqp_options(url: &AmqpUrl, tls: &BrokerTls, name: &str) -> AmqpOptions {
    let tls = AmqpTls { ca: tls.ca.clone(), certificate: tls.certificate.clone(), key: tls.key.clone() };
    AmqpOptions { name: format!("ackord {name}"), tls, ..AmqpOptions::new(url.secret()) }
}
