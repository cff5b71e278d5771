//! TLS: the files, read and checked once, and how a connection is made with them.

use std::path::Path;
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, RustlsConnector, RustlsConnectorConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;

use super::error::ConnectError;
use super::options::{AmqpOptions, AmqpTls};

const CA: &str = "broker_tls.ca";
const CERTIFICATE: &str = "broker_tls.certificate";
const KEY: &str = "broker_tls.key";

/// How to reach a server: in the clear, or by TLS with what it takes.
pub(super) struct Tls {
    connector: Option<RustlsConnector>,
    /// How long reaching it may take.
    deadline: Duration,
}

impl Tls {
    /// Reads the files.
    pub(super) fn read(options: &AmqpOptions) -> Result<Self, ConnectError> {
        let is_wanted = options.url.starts_with("amqps:");
        if !is_wanted && options.tls != AmqpTls::default() {
            return Err(ConnectError::TlsOptions {
                problem: "`broker_tls` is set, but the broker's URL begins with amqp://: write amqps://, or take `broker_tls` out".to_owned(),
            });
        }
        let connector = is_wanted.then(|| connector(&options.tls)).transpose()?;
        Ok(Self { connector, deadline: options.deadline })
    }

    /// Connects. The time for reaching the server is bounded where it is reached, on lapin's own thread, which else would stay
    /// behind until the system gives up.
    pub(super) async fn connect(
        &self,
        uri: AMQPUri,
        properties: ConnectionProperties,
    ) -> lapin::Result<Connection> {
        let (connector, deadline) = (self.connector.clone(), self.deadline);
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connector(
            uri,
            runtime,
            async move |uri: AMQPUri, runtime| {
                let host = uri.authority.host;
                let reached = timeout(deadline, async {
                    let addresses = runtime.to_socket_addrs((host.clone(), uri.authority.port));
                    let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                    match &connector {
                        Some(connector) => stream.into_rustls(connector, &host).await,
                        None => Ok(stream),
                    }
                });
                Ok(reached.await.map_err(std::io::Error::from)??)
            },
            properties,
        )
        .await
    }
}

fn connector(options: &AmqpTls) -> Result<RustlsConnector, ConnectError> {
    let roots = match &options.ca {
        Some(ca) => RustlsConnectorConfig::default().with_parsable_certificates(certificates(CA, ca)?),
        None => RustlsConnectorConfig::new_with_native_certs().map_err(|error| {
            let problem = format!(
                "this system's certificates cannot be read ({error}): name the server's authority in `{CA}`"
            );
            ConnectError::TlsOptions { problem }
        })?,
    };
    match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => {
            let (chain, private) = (certificates(CERTIFICATE, certificate)?, private_key(key)?);
            let refused = |error: std::io::Error| {
                unusable(
                    KEY,
                    key,
                    &format!("it does not fit the certificate in {}: {error}", certificate.display()),
                )
            };
            roots.connector_with_single_cert(chain, private).map_err(refused)
        }
        (None, None) => roots
            .connector_with_no_client_auth()
            .map_err(|error| ConnectError::TlsOptions { problem: format!("TLS cannot be used: {error}") }),
        _ => {
            let problem = format!("`{CERTIFICATE}` and `{KEY}` go together: set both or neither");
            Err(ConnectError::TlsOptions { problem })
        }
    }
}

/// The certificates of a PEM file, one at least.
fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let pem = std::fs::read(path).map_err(|error| unusable(option, path, &error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(unusable(option, path, "it holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(option, path, &error.to_string())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ConnectError> {
    let pem = std::fs::read(path).map_err(|error| unusable(KEY, path, &error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        unusable(
            KEY,
            path,
            "it holds no private key in PEM without a password (`-----BEGIN PRIVATE KEY-----`)",
        )
    })
}

fn unusable(option: &'static str, path: &Path, problem: &str) -> ConnectError {
    ConnectError::File { option, path: path.to_owned(), problem: problem.to_owned() }
}
