//! Where graphs are read, and where some of them are written and read elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ackord_entities::database::Location;
use ackord_graph::text::slug;
use serde::{Deserialize, Serialize, Serializer};

use crate::problem::Problem;

/// Copying graphs to their read sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SyncConfig {
    /// When all graphs are copied, as a cron expression: the schedule `sync` is made with it where there is none. `off` makes none.
    pub(crate) schedule: String,
    /// Where graphs are read; in the jobs' own database, unless it is given.
    pub(crate) read_database: Option<DatabaseUrl>,
    /// The provider `mirror`.
    pub(crate) mirror: MirrorConfig,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self { schedule: "* * * * *".to_owned(), read_database: None, mirror: MirrorConfig::default() }
    }
}

impl SyncConfig {
    /// The cron expression of the schedule `sync`; `None` if there is to be none.
    pub(crate) fn expression(&self) -> Option<String> {
        Some(self.schedule.clone()).filter(|expression| expression != "off")
    }
}

/// The provider `mirror`: there is one where it has a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MirrorConfig {
    /// Each graph that is mirrored gets a folder in it.
    pub(crate) folder: Option<PathBuf>,
}

/// A graph that is not where the others are. What is not given is as for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GraphConfig {
    /// Where it is written.
    pub(crate) write_database: Option<DatabaseUrl>,
    /// Where it is read.
    pub(crate) read_database: Option<DatabaseUrl>,
}

/// A database that is not the jobs', and what it is configured as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherDatabase {
    /// The keys that name it.
    pub(crate) keys: Vec<String>,
    pub(crate) url: DatabaseUrl,
}

/// The URL of a database. It shows its password to nobody.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The whole URL, with its password.
    pub(crate) fn whole(&self) -> &str {
        &self.0
    }

    /// Where it leads.
    pub(crate) fn location(&self) -> Option<Location> {
        self.0.parse().ok()
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Location>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location() {
            Some(location) => location.fmt(formatter),
            None => formatter.write_str("***"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Refuses a name that no graph can have.
///
/// # Errors
/// The name, and what would be one.
pub(super) fn check(graphs: &BTreeMap<String, GraphConfig>) -> Result<(), Problem> {
    match graphs.keys().find(|name| slug(name) != **name || name.is_empty()) {
        None => Ok(()),
        Some(name) => {
            Err(Problem::usage(format!("configuration: `graphs.{name}`: no graph can be called so"))
                .remedy("a graph's name has lowercase letters, digits and single dashes"))
        }
    }
}

/// The databases that are named beside the jobs' own, each once.
pub(crate) fn others(
    jobs: &str,
    sync: &SyncConfig,
    graphs: &BTreeMap<String, GraphConfig>,
) -> Vec<OtherDatabase> {
    let own = jobs.parse::<Location>().ok();
    let mut named = vec![("sync.read_database".to_owned(), &sync.read_database)];
    for (slug, graph) in graphs {
        named.push((format!("graphs.{slug}.write_database"), &graph.write_database));
        named.push((format!("graphs.{slug}.read_database"), &graph.read_database));
    }
    let mut found: Vec<OtherDatabase> = Vec::new();
    for (key, url) in named {
        let Some(url) = url else { continue };
        let location = url.location();
        if location == own {
            continue;
        }
        match found.iter_mut().find(|other| other.url.location() == location) {
            Some(other) => other.keys.push(key),
            None => found.push(OtherDatabase { keys: vec![key], url: url.clone() }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn each_database_beside_the_jobs_own_is_named_once_with_all_its_keys() {
        let sync = SyncConfig { read_database: Some(url("sqlite:read.db")), ..SyncConfig::default() };
        let graphs = BTreeMap::from([
            (
                "a".to_owned(),
                GraphConfig {
                    write_database: Some(url("sqlite:a.db")),
                    read_database: Some(url("sqlite://read.db")),
                },
            ),
            (
                "b".to_owned(),
                GraphConfig { write_database: Some(url("sqlite:jobs.db")), read_database: None },
            ),
        ]);
        let found = others("sqlite:jobs.db", &sync, &graphs);
        let told: Vec<(Vec<&str>, &str)> = found
            .iter()
            .map(|other| (other.keys.iter().map(String::as_str).collect(), other.url.whole()))
            .collect();
        assert_eq!(
            told,
            [
                (vec!["sync.read_database", "graphs.a.read_database"], "sqlite:read.db"),
                (vec!["graphs.a.write_database"], "sqlite:a.db"),
            ]
        );
    }

    #[test]
    fn a_url_keeps_its_password_and_shows_it_to_nobody() {
        let url: DatabaseUrl = "postgres://me:s3cret@db/graphs".parse().unwrap();
        assert!(url.whole().contains("s3cret"));
        for shown in [format!("{url}"), format!("{url:?}"), serde_json::to_string(&url).unwrap()] {
            assert!(!shown.contains("s3cret") && shown.contains("db/graphs"), "{shown}");
        }
        assert!("mysql://x".parse::<DatabaseUrl>().unwrap_err().contains("mysql"));
    }
}
