//! A letter, read and checked: what its job will get.

use ackord_entities::envelope::VERSION_HEADER;
use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::jobs::{Catalogue, Keys, KindSpec};
use ackord_entities::queue::dead_letter;

use super::{Patch, ReplayError};

/// What a replay does to the payload.
#[derive(Clone, Copy, Debug)]
pub enum Edit<'a> {
    /// Nothing.
    None,
    /// This payload takes its place. It has the newest shape.
    Payload(&'a str),
    /// It is patched, and keeps the version of its shape.
    Patch(&'a Patch),
}

/// A letter that may be replayed, as far as its message tells.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The letter.
    pub letter: DeadLetterId,
    /// The payload that takes the place of the original, if one does.
    pub edited: Option<String>,
    pub(super) spec: KindSpec,
    pub(super) job: JobId,
    pub(super) named_a_job: bool,
    pub(super) version: u16,
    pub(super) body: Vec<u8>,
    pub(super) keys: Keys,
    pub(super) seq: Option<i32>,
}

impl Prepared {
    /// The payload that the job will have.
    #[must_use]
    pub fn payload(&self) -> std::borrow::Cow<'_, str> {
        self.edited.as_deref().map_or_else(|| String::from_utf8_lossy(&self.body), Into::into)
    }
}

/// Reads a letter and checks the payload that its job will have against its kind.
///
/// # Errors
/// What is wrong with the message, its payload or the edit.
pub fn prepare(
    catalogue: &Catalogue,
    letter: &dead_letter::Model,
    edit: Edit<'_>,
) -> Result<Prepared, ReplayError> {
    let spec = catalogue.require(letter.kind.as_deref().ok_or(ReplayError::NoKind)?)?;
    let (version, edited) = match edit {
        Edit::None => (version_of(letter), None),
        Edit::Payload(payload) => (spec.version, Some(payload.to_owned())),
        Edit::Patch(patch) => (version_of(letter), patch.apply(&letter.body)?),
    };
    let keys = spec.check(version, edited.as_deref().map_or(letter.body.as_slice(), str::as_bytes))?;
    Ok(Prepared {
        letter: letter.id,
        edited,
        spec: *spec,
        job: letter.job_id.unwrap_or_else(JobId::new),
        named_a_job: letter.job_id.is_some(),
        version,
        body: letter.body.clone(),
        keys,
        seq: letter.seq,
    })
}

/// The version that the dead message carried.
fn version_of(letter: &dead_letter::Model) -> u16 {
    serde_json::from_str::<serde_json::Value>(&letter.headers)
        .ok()
        .and_then(|headers| headers.get(VERSION_HEADER)?.as_u64())
        .and_then(|version| u16::try_from(version).ok())
        .unwrap_or(1)
}
