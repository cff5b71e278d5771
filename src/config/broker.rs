//! Which broker: the one in this process, or a RabbitMQ server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// The broker that the configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum BrokerChoice {
    /// It lives in the process that works, and starts empty with it.
    #[default]
    Embedded,
    /// A RabbitMQ server.
    Amqp(AmqpUrl),
}

/// `amqp://..` or `amqps://..`. It holds the password: show it through `ackord config`'s mask only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AmqpUrl(String);

impl AmqpUrl {
    /// The whole URL, with its password.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    fn is_encrypted(&self) -> bool {
        self.0.starts_with("amqps://")
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AmqpUrl(..)")
    }
}

impl FromStr for BrokerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        if text.starts_with("amqp://") || text.starts_with("amqps://") {
            return Ok(Self::Amqp(AmqpUrl(text.to_owned())));
        }
        // Only what stands before the colon: the rest may hold a password.
        let scheme = text.split(':').next().unwrap_or_default();
        Err(format!(
            "`{scheme}` is no broker ackord knows: give embedded, amqp://USER:PASSWORD@HOST/VHOST or amqps://.."
        ))
    }
}

impl TryFrom<String> for BrokerChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<BrokerChoice> for String {
    fn from(choice: BrokerChoice) -> Self {
        match choice {
            BrokerChoice::Embedded => "embedded".to_owned(),
            BrokerChoice::Amqp(url) => url.0,
        }
    }
}

/// The files of a TLS connection, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BrokerTls {
    /// The authorities that the server's certificate is checked against. Without it: those of this machine.
    pub(crate) ca: Option<PathBuf>,
    /// The certificate of this client. With `key`.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key.
    pub(crate) key: Option<PathBuf>,
}

impl BrokerTls {
    /// Refuses files that would never be read.
    ///
    /// # Errors
    /// TLS without `amqps://`, a certificate without its key, or the other way round.
    pub(crate) fn check(&self, broker: &BrokerChoice) -> Result<(), Problem> {
        let is_encrypted = matches!(broker, BrokerChoice::Amqp(url) if url.is_encrypted());
        if *self != Self::default() && !is_encrypted {
            return Err(Problem::usage("`broker_tls` is set, but the broker is not reached over TLS")
                .remedy("give --broker amqps://.., or remove broker_tls"));
        }
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err(Problem::usage("`broker_tls.certificate` has no key")
                .remedy("name the file of its private key as broker_tls.key")),
            (None, Some(_)) => Err(Problem::usage("`broker_tls.key` has no certificate")
                .remedy("name the file of the certificate as broker_tls.certificate")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_unknown_scheme_is_named_without_what_follows_it() {
        let error = "mqtt://me:s3cret@host".parse::<BrokerChoice>().unwrap_err();
        assert!(error.contains("`mqtt`") && error.contains("amqps://"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_url_is_never_shown() {
        let choice: BrokerChoice = "amqp://me:s3cret@host".parse().unwrap();
        assert!(!format!("{choice:?}").contains("s3cret"));
    }

    #[test]
    fn files_that_nobody_would_read_are_refused() {
        let ca = BrokerTls { ca: Some("ca.pem".into()), ..BrokerTls::default() };
        assert!(ca.check(&"amqps://host".parse().unwrap()).is_ok());
        assert!(ca.check(&"amqp://host".parse().unwrap()).is_err());
        assert!(ca.check(&BrokerChoice::Embedded).is_err());
        let half = BrokerTls { key: Some("key.pem".into()), ..BrokerTls::default() };
        assert!(half.check(&"amqps://host".parse().unwrap()).unwrap_err().message.contains("certificate"));
    }
}
