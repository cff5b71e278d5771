//! A kind as a value: what CLI, topology, metrics and pages read about it.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::Schema;

use super::{Backoff, Job, Notices, OnDuplicate, PayloadError, decode, schema};

/// Everything that is known about a kind without its type.
#[derive(Clone, Copy, Debug)]
pub struct KindSpec {
    /// [`Job::KIND`].
    pub kind: &'static str,
    /// [`Job::VERSION`].
    pub version: u16,
    /// [`Job::MAX_ATTEMPTS`].
    pub max_attempts: u32,
    /// [`Job::TIMEOUT`].
    pub timeout: Duration,
    /// [`Job::BACKOFF`].
    pub backoff: Backoff,
    /// [`Job::HAND_OVER`].
    pub hand_over: bool,
    /// [`Job::MAX_GROUP`].
    pub max_group: usize,
    /// [`Job::CONCURRENCY`].
    pub concurrency: usize,
    /// [`Job::PERFORMS`].
    pub performs: bool,
    /// [`Job::ACCEPTS_DIRECT`].
    pub accepts_direct: bool,
    /// [`Job::MAX_DEFERRED`].
    pub max_deferred: u32,
    /// [`Job::ON_DUPLICATE`].
    pub on_duplicate: OnDuplicate,
    /// [`Job::NOTICES`].
    pub notices: Notices,
    /// [`Job::RETENTION`].
    pub retention: Duration,
    /// [`Job::OLD_SAMPLES`].
    pub old_samples: &'static [(u16, &'static str)],
    schema: fn() -> Schema,
    check: fn(u16, &[u8]) -> Result<Keys, PayloadError>,
}

/// The keys of a payload that was read without its type being known to the reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// [`Job::key`].
    pub subject: Option<String>,
    /// [`Job::dedup_key`].
    pub dedup_key: Option<String>,
}

impl KindSpec {
    /// The description of `J`.
    #[must_use]
    pub const fn of<J: Job>() -> Self {
        Self {
            kind: J::KIND,
            version: J::VERSION,
            max_attempts: J::MAX_ATTEMPTS,
            timeout: J::TIMEOUT,
            backoff: J::BACKOFF,
            hand_over: J::HAND_OVER,
            max_group: J::MAX_GROUP,
            concurrency: J::CONCURRENCY,
            performs: J::PERFORMS,
            accepts_direct: J::ACCEPTS_DIRECT,
            max_deferred: J::MAX_DEFERRED,
            on_duplicate: J::ON_DUPLICATE,
            notices: J::NOTICES,
            retention: J::RETENTION,
            old_samples: J::OLD_SAMPLES,
            schema: schema::of::<J>,
            check: check::<J>,
        }
    }

    /// JSON Schema of the newest payload.
    #[must_use]
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// Reads a payload of this kind and gives its keys: the check at every door where the type is not known.
    ///
    /// # Errors
    /// [`PayloadError`], which names the field.
    pub fn check(&self, version: u16, body: &[u8]) -> Result<Keys, PayloadError> {
        (self.check)(version, body)
    }
}

fn check<J: Job>(version: u16, body: &[u8]) -> Result<Keys, PayloadError> {
    let job: J = decode(version, body)?;
    Ok(Keys { subject: job.key(), dedup_key: job.dedup_key() })
}

/// The kinds a program knows.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    kinds: BTreeMap<&'static str, KindSpec>,
}

/// A kind that is not in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no kind `{kind}`: the kinds are {known}")]
pub struct CatalogueError {
    /// What was asked for.
    pub kind: String,
    /// What there is.
    pub known: String,
}

impl Catalogue {
    /// A catalogue of the given kinds. Of two with one name, the later counts; a test looks for such.
    pub fn new(kinds: impl IntoIterator<Item = KindSpec>) -> Self {
        Self { kinds: kinds.into_iter().map(|spec| (spec.kind, spec)).collect() }
    }

    /// The kind of that name, if there is one.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&KindSpec> {
        self.kinds.get(kind)
    }

    /// The kind of that name.
    ///
    /// # Errors
    /// [`CatalogueError`], which lists what there is.
    pub fn require(&self, kind: &str) -> Result<&KindSpec, CatalogueError> {
        self.get(kind).ok_or_else(|| CatalogueError {
            kind: kind.to_owned(),
            known: self.kinds.keys().copied().collect::<Vec<_>>().join(", "),
        })
    }

    /// All kinds, by name.
    pub fn iter(&self) -> impl Iterator<Item = &KindSpec> {
        self.kinds.values()
    }
}
