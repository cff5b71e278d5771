//! Where a database is.

use std::path::PathBuf;
use std::str::FromStr;

use super::DatabaseError;

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A server. The URL holds the password: never print it, print the location instead.
    Postgres {
        /// The whole URL.
        url: String,
        /// The URL without its credentials.
        public: String,
    },
}

impl FromStr for Location {
    type Err = DatabaseError;

    fn from_str(url: &str) -> Result<Self, DatabaseError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let path = path.split('?').next().unwrap_or_default();
            if path.is_empty() || path.starts_with(":memory:") {
                return Err(DatabaseError::NoPath);
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", ""));
            let rest = rest.split('?').next().unwrap_or_default();
            let public = rest.rsplit_once('@').map_or(rest, |(_credentials, host)| host);
            return Ok(Self::Postgres { url: url.to_owned(), public: format!("{scheme}://{public}") });
        }
        Err(DatabaseError::UnknownScheme { scheme: url.split(':').next().unwrap_or_default().to_owned() })
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::Postgres { public, .. } => formatter.write_str(public),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_location_never_shows_the_password() {
        for url in [
            "postgres://ackord:s3cr@t@db.example:5432/jobs?sslmode=require",
            "postgres://db.example:5432/jobs?user=ackord&password=s3cr@t",
        ] {
            let location: Location = url.parse().unwrap();
            assert_eq!(location.to_string(), "postgres://db.example:5432/jobs");
        }
    }

    #[test]
    fn an_unknown_scheme_is_named_with_the_remedy() {
        let error = "mysql://localhost/x".parse::<Location>().unwrap_err();
        assert!(error.to_string().contains("mysql") && error.to_string().contains("postgres://"), "{error}");
    }

    #[test]
    fn a_file_is_given_with_or_without_slashes() {
        let plain: Location = "sqlite:data/ackord.db".parse().unwrap();
        let slashes: Location = "sqlite://data/ackord.db".parse().unwrap();
        assert_eq!(plain, slashes);
    }
}
