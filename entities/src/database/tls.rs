//! TLS to a Postgres server: what the URL says about it has to be usable and has to mean something.
//!
//! The driver encrypts and checks certificates. It takes a certificate of an authority without a word where it will not look at
//! it, and reports a file that is missing and a certificate that is refused as a network that failed: here they get their names.

use std::fmt;
use std::path::PathBuf;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use sea_orm::sqlx::{self, ConnectOptions as _};

/// What the URL says about TLS that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsOptionsError {
    /// A file cannot be read.
    #[error("the file {} that {parameter} names cannot be read: correct its path or its rights", path.display())]
    File {
        /// The parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that holds no certificate or key.
    #[error("the file {} that {parameter} names holds no PEM: give it a {what} between BEGIN and END lines", path.display())]
    NotPem {
        /// The parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What it has to hold.
        what: &'static str,
    },
    /// An authority to trust, and nobody who asks it.
    #[error(
        "sslrootcert names an authority, but with sslmode={mode} no certificate is checked: give sslmode=verify-full, or leave sslrootcert out"
    )]
    Unchecked {
        /// The mode.
        mode: &'static str,
    },
    /// Half of what a client shows.
    #[error("{given} is given without {missing}: a certificate of our own needs both")]
    Half {
        /// The parameter that is there.
        given: &'static str,
        /// The other one.
        missing: &'static str,
    },
}

/// What the parameters of TLS are, with the variables `PGSSL..` behind those of the URL.
struct Parameters {
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// Whether what is said about TLS can be done.
pub(super) fn check(options: &PgConnectOptions) -> Result<(), TlsOptionsError> {
    let given = parameters(options);
    if given.root.is_some() && !matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
    {
        return Err(TlsOptionsError::Unchecked { mode: name(options.get_ssl_mode()) });
    }
    match (&given.certificate, &given.key) {
        (Some(_), None) => return Err(TlsOptionsError::Half { given: "sslcert", missing: "sslkey" }),
        (None, Some(_)) => return Err(TlsOptionsError::Half { given: "sslkey", missing: "sslcert" }),
        _ => {}
    }
    readable("sslrootcert", "certificate", given.root.as_deref())?;
    readable("sslcert", "certificate", given.certificate.as_deref())?;
    readable("sslkey", "private key", given.key.as_deref())?;
    if matches!(options.get_ssl_mode(), PgSslMode::VerifyCa) {
        choose_cryptography();
    }
    Ok(())
}

/// For this mode alone the driver takes the cryptography that the process has chosen, and panics where there are several and nobody
/// has.
fn choose_cryptography() {
    // Where somebody has, that is it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The driver tells them in a URL only. Who and where is of no interest here, and might not fit into one.
fn parameters(options: &PgConnectOptions) -> Parameters {
    let url = options.clone().username("nobody").host("localhost").to_url_lossy();
    let value =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    Parameters { root: value("sslrootcert"), certificate: value("sslcert"), key: value("sslkey") }
}

fn readable(parameter: &'static str, what: &'static str, value: Option<&str>) -> Result<(), TlsOptionsError> {
    // Anything else is a text of PEM itself.
    let Some(path) = value.and_then(|value| value.strip_prefix("file: ")) else { return Ok(()) };
    let path = PathBuf::from(path);
    match std::fs::read(&path) {
        Ok(content) if content.windows(10).any(|part| part == b"-----BEGIN") => Ok(()),
        Ok(_) => Err(TlsOptionsError::NotPem { parameter, path, what }),
        Err(source) => Err(TlsOptionsError::File { parameter, path, source }),
    }
}

fn name(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}

/// Why there is no TLS with a server that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// It speaks none.
    NotOffered,
    /// Nobody we trust has signed its certificate.
    UnknownAuthority,
    /// Its certificate is for others.
    OtherHost,
    /// It does not take us without a certificate, or not with ours.
    ClientCertificate,
    /// Anything else.
    Other,
}

impl TlsFault {
    /// What the driver's error means, if it is about TLS.
    pub(super) fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Tls(cause) => {
                let is_offered = !cause.to_string().contains("server does not support TLS");
                Some(if is_offered { Self::Other } else { Self::NotOffered })
            }
            // The handshake is part of reading and writing, and this kind is what the TLS library gives its own errors.
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Some(Self::of_handshake(&error.to_string()))
            }
            _ => None,
        }
    }

    /// The library's errors are enums of a version that the driver chose: their texts are all that can be relied on.
    fn of_handshake(text: &str) -> Self {
        if text.contains("UnknownIssuer") {
            Self::UnknownAuthority
        } else if text.contains("not valid for name") || text.contains("NotValidForName") {
            Self::OtherHost
        } else if text.contains("CertificateRequired") || text.contains("received fatal alert") {
            Self::ClientCertificate
        } else {
            Self::Other
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotOffered => "offers no TLS, which sslmode asks for: switch `ssl` on in its postgresql.conf",
            Self::UnknownAuthority => {
                "shows a certificate of an authority that is not trusted: name the right authority's file with sslrootcert"
            }
            Self::OtherHost => {
                "shows a certificate for another host: give the host as the certificate names it, or sslmode=verify-ca if any host of that authority will do"
            }
            Self::ClientCertificate => {
                "does not accept us over TLS: give a certificate that it trusts with sslcert and sslkey"
            }
            Self::Other => {
                "cannot be reached over TLS: check sslmode and sslrootcert in the URL, and the server's certificate"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::str::FromStr;

    use super::*;

    fn checked(parameters: &str) -> Result<(), TlsOptionsError> {
        check(
            &PgConnectOptions::from_str(&format!("postgres://me:secret@db.example/jobs?{parameters}"))
                .unwrap(),
        )
    }

    #[test]
    fn an_authority_that_nobody_would_ask_is_refused() {
        for mode in ["disable", "allow", "prefer", "require"] {
            let refused = checked(&format!("sslmode={mode}&sslrootcert=/ca.pem")).unwrap_err().to_string();
            assert!(refused.contains("sslrootcert") && refused.contains("sslmode=verify-full"), "{refused}");
            assert!(refused.contains(&format!("sslmode={mode}")), "{refused}");
        }
        checked("sslmode=verify-full").unwrap();
        checked("sslmode=require").unwrap();
        checked("").unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_parameter() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem").display().to_string();
        std::fs::write(&empty, "").unwrap();
        for (parameters, expected) in [
            ("sslmode=verify-ca&sslrootcert=/not/there.pem".to_owned(), ["sslrootcert", "/not/there.pem"]),
            (format!("sslmode=verify-ca&sslrootcert={empty}"), ["sslrootcert", &empty]),
            (format!("sslmode=require&sslcert={empty}&sslkey={empty}"), ["sslcert", &empty]),
            ("sslmode=require&sslcert=/there.pem".to_owned(), ["sslcert", "sslkey"]),
            ("sslmode=require&sslkey=/there.pem".to_owned(), ["sslkey", "sslcert"]),
        ] {
            let refused = checked(&parameters).unwrap_err().to_string();
            assert!(expected.iter().all(|part| refused.contains(part)), "{parameters}: {refused}");
        }
    }

    #[test]
    fn strange_names_of_users_are_no_trouble() {
        check(&PgConnectOptions::new_without_pgpass().username("[/@:").host("/var/run")).unwrap();
    }
}
