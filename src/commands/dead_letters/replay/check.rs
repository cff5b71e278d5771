//! A patch on many payloads: tried on every one before anything changes.

use std::fmt::Write;

use ackord_entities::database::Database;
use ackord_entities::ids::DeadLetterId;
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::dead_letter;
use ackord_producer::operate::{Edit, Patch, prepare};
use serde::Serialize;

use crate::commands::dead_letters::diff;
use crate::problem::Problem;

/// Letters that are in memory at once.
const AT_ONCE: usize = 50;
/// Diffs that are shown, and letters that are named.
const DIFFS: usize = 3;
const NAMED: usize = 20;

/// What a patch does. The JSON is a stable interface.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checked {
    /// Payloads that it changes.
    pub(super) changed: usize,
    /// Payloads that are the same afterwards.
    pub(super) unchanged: usize,
    /// Letters that it does not fit.
    pub(super) failing: usize,
    /// The first of them.
    pub(super) failures: Vec<Failing>,
    /// The first changes, as unified diffs.
    pub(super) diffs: Vec<Changed>,
    /// The same for people.
    #[serde(skip)]
    pub(super) text: String,
}

/// A letter that the patch does not fit.
#[derive(Debug, Serialize)]
pub(super) struct Failing {
    id: DeadLetterId,
    kind: Option<String>,
    error: String,
}

/// A payload that the patch changes.
#[derive(Debug, Serialize)]
pub(super) struct Changed {
    id: DeadLetterId,
    diff: String,
}

/// Tries `patch` on the payload of each of `ids`, and each result on its kind.
pub(super) async fn check(
    database: &Database,
    patch: &Patch,
    ids: &[DeadLetterId],
) -> anyhow::Result<Checked> {
    let catalogue = catalogue();
    let mut checked = Checked::default();
    for part in ids.chunks(AT_ONCE) {
        for letter in dead_letter::read(database.read(), part).await? {
            match prepare(&catalogue, &letter, Edit::Patch(patch)) {
                Ok(prepared) => match &prepared.edited {
                    Some(edited) => checked.changes(&letter, edited),
                    None => checked.unchanged += 1,
                },
                Err(error) => checked.fails(&letter, error.to_string()),
            }
        }
    }
    Ok(checked)
}

impl Checked {
    fn changes(&mut self, letter: &dead_letter::Model, edited: &str) {
        self.changed += 1;
        if self.diffs.len() < DIFFS {
            let original = String::from_utf8_lossy(&letter.body);
            // Writing to a string cannot fail.
            let _ =
                write!(self.text, "dead letter {}\n{}\n", letter.id, diff::of_payloads(&original, edited));
            self.diffs.push(Changed { id: letter.id, diff: diff::unified(&original, edited) });
        }
    }

    fn fails(&mut self, letter: &dead_letter::Model, error: String) {
        self.failing += 1;
        if self.failures.len() < NAMED {
            self.failures.push(Failing { id: letter.id, kind: letter.kind.clone(), error });
        }
    }

    /// How many, in words.
    pub(super) fn counts(&self) -> String {
        format!(
            "the patch changes {}, leaves {} as they are, and does not fit {}",
            self.changed, self.unchanged, self.failing
        )
    }

    /// Refuses a patch that does not fit every letter.
    ///
    /// # Errors
    /// It names the letters that it does not fit, and what is wrong with each.
    pub(super) fn insist(&self) -> Result<(), Problem> {
        if self.failing == 0 {
            return Ok(());
        }
        let mut text = format!(
            "the patch does not fit {} of {} dead letters, nothing was changed",
            self.failing,
            self.all()
        );
        for failing in &self.failures {
            let kind = failing.kind.as_deref().unwrap_or("unknown kind");
            let _ = write!(text, "\n  {} ({kind}): {}", failing.id, failing.error);
        }
        if self.failing > self.failures.len() {
            let _ = write!(text, "\n  and {} more", self.failing - self.failures.len());
        }
        Err(Problem::usage(text)
            .remedy("narrow the letters, or change the patch; --dry-run shows what it does"))
    }

    fn all(&self) -> usize {
        self.changed + self.unchanged + self.failing
    }
}
