//! What goes wrong with RabbitMQ, in words that say what to do.

use std::path::PathBuf;

use lapin::protocol::AMQPErrorKind;
use lapin::protocol::{AMQPHardError, AMQPSoftError};
use lapin::{Error, ErrorKind};

use super::options::Target;

/// Why no connection to RabbitMQ can be made by trying again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be read. It is not repeated, since it may hold a password.
    #[error(
        "the broker's URL cannot be read: {problem}. It has the form amqp://USER:PASSWORD@HOST:PORT/VHOST, with user, password and virtual host percent-encoded"
    )]
    Url {
        /// What is wrong with it.
        problem: String,
    },
    /// User or password are wrong.
    #[error(
        "{url} refuses the user `{user}` or its password: {reason}. Correct them in the broker's URL (percent-encoded), or add the user with `rabbitmqctl add_user`"
    )]
    Credentials {
        /// The URL without its password.
        url: String,
        /// The user.
        user: String,
        /// The server's words.
        reason: String,
    },
    /// The virtual host is not there or not for this user.
    #[error(
        "{url} does not let `{user}` into the virtual host `{vhost}`: {reason}. Make it with `rabbitmqctl add_vhost {vhost}` and permit it with `rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'`"
    )]
    VirtualHost {
        /// The URL without its password.
        url: String,
        /// The user.
        user: String,
        /// The virtual host.
        vhost: String,
        /// The server's words.
        reason: String,
    },
    /// TLS failed.
    #[error(
        "no TLS connection to {url}: {reason}. Check `broker_tls.ca` (the authority of the server's certificate), and where the server asks for a client certificate `broker_tls.certificate` and `broker_tls.key`"
    )]
    Tls {
        /// The URL without its password.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A file of the TLS options cannot be used.
    #[error("{option} = {path} cannot be used: {problem}", path = path.display())]
    File {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS options that do not go together.
    #[error("{problem}")]
    TlsOptions {
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Whether a failed attempt to connect will fail for ever, and how to say so.
pub(super) fn lasting(error: &Error, target: &Target) -> Option<ConnectError> {
    let (url, user, vhost) = (target.shown.clone(), target.user.clone(), target.vhost.clone());
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => {
            let reason = refusal.get_message().to_string();
            match refusal.kind() {
                AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
                    Some(ConnectError::Credentials { url, user, reason })
                }
                AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED | AMQPHardError::INVALIDPATH) => {
                    Some(ConnectError::VirtualHost { url, user, vhost, reason })
                }
                _ => None,
            }
        }
        // rustls answers every broken handshake so; a connection that is cut has another kind.
        ErrorKind::IOError(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Some(ConnectError::Tls { url, reason: error.to_string() })
        }
        _ => None,
    }
}

/// The code of a channel that the server closed, with its words.
pub(super) fn soft(error: &Error) -> Option<(AMQPSoftError, String)> {
    let ErrorKind::ProtocolError(refusal) = error.kind() else { return None };
    match refusal.kind() {
        AMQPErrorKind::Soft(code) => Some((code.clone(), refusal.get_message().to_string())),
        AMQPErrorKind::Hard(_) => None,
    }
}
