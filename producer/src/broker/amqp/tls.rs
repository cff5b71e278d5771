//! TLS: the files, read and checked once, and how a connection is made with them.

use std::path::{Path, PathBuf};

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use super::error::ConnectError;
use super::options::{AmqpOptions, AmqpTls};

/// What TLS needs.
pub(super) struct Tls {
    config: OwnedTLSConfig,
}

impl Tls {
    /// Reads the files.
    pub(super) fn read(options: &AmqpOptions) -> Result<Self, ConnectError> {
        let AmqpTls { ca, certificate, key } = &options.tls;
        if !options.url.starts_with("amqps:") {
            if ca.is_some() || certificate.is_some() || key.is_some() {
                return Err(ConnectError::TlsOptions {
                    problem: "`broker_tls` is set, but the broker's URL begins with amqp://: write amqps://, or take `broker_tls` out".to_owned(),
                });
            }
            return Ok(Self { config: OwnedTLSConfig::default() });
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(OwnedIdentity::PKCS8 {
                pem: pem("broker_tls.certificate", certificate, "CERTIFICATE")?.into_bytes(),
                key: pem("broker_tls.key", key, "PRIVATE KEY")?.into_bytes(),
            }),
            (None, None) => None,
            _ => {
                return Err(ConnectError::TlsOptions {
                    problem: "`broker_tls.certificate` and `broker_tls.key` go together: set both or neither"
                        .to_owned(),
                });
            }
        };
        let ca = ca.as_ref().map(|ca| pem("broker_tls.ca", ca, "CERTIFICATE")).transpose()?;
        Ok(Self { config: OwnedTLSConfig { identity, cert_chain: ca } })
    }

    /// Connects.
    pub(super) async fn connect(
        &self,
        uri: AMQPUri,
        properties: ConnectionProperties,
    ) -> lapin::Result<Connection> {
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connect_uri_with_config(uri, properties, self.config.clone(), runtime).await
    }
}

/// A file that holds at least one PEM block of a kind.
fn pem(option: &'static str, path: &Path, block: &str) -> Result<String, ConnectError> {
    let refused = |problem: String| ConnectError::File { option, path: PathBuf::from(path), problem };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let begins =
        |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{block}-----"));
    if text.lines().any(begins) { Ok(text) } else { Err(refused(format!("it holds no PEM block `{block}`"))) }
}
