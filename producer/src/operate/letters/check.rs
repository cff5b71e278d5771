//! A patch on many payloads: tried on every one before anything changes.

use ackord_entities::database::Database;
use ackord_entities::ids::DeadLetterId;
use ackord_entities::jobs::Catalogue;
use ackord_entities::queue::dead_letter;
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use super::{Edit, Patch, prepare};

/// Letters that are in memory at once.
const AT_ONCE: usize = 50;
/// Diffs that are shown, and letters that are named.
const DIFFS: usize = 3;
const NAMED: usize = 20;

/// What a patch does. The JSON is a stable interface.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PatchCheck))]
pub struct Checked {
    /// Payloads that it changes.
    pub changed: usize,
    /// Payloads that are the same afterwards.
    pub unchanged: usize,
    /// Letters that it does not fit.
    pub failing: usize,
    /// The first of them.
    pub failures: Vec<Failing>,
    /// The first changes.
    pub diffs: Vec<Changed>,
}

/// A letter that the patch does not fit.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PatchFailure))]
pub struct Failing {
    /// The letter.
    pub id: DeadLetterId,
    /// Its kind.
    pub kind: Option<String>,
    /// What is wrong.
    pub error: String,
}

/// A payload that the patch changes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PatchChange))]
pub struct Changed {
    /// The letter.
    pub id: DeadLetterId,
    /// What changes, as a unified diff.
    pub diff: String,
    /// The payload before.
    #[serde(skip)]
    pub before: String,
    /// The payload afterwards.
    #[serde(skip)]
    pub after: String,
}

/// Tries `patch` on the payload of each of `ids`, and each result on its kind.
///
/// # Errors
/// Whatever the database answers.
pub async fn check_patch(
    database: &Database,
    catalogue: &Catalogue,
    patch: &Patch,
    ids: &[DeadLetterId],
) -> Result<Checked, DbErr> {
    let mut checked = Checked::default();
    for part in ids.chunks(AT_ONCE) {
        for letter in dead_letter::read(database.read(), part).await? {
            match prepare(catalogue, &letter, Edit::Patch(patch)) {
                Ok(prepared) => match prepared.edited {
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
    fn changes(&mut self, letter: &dead_letter::Model, after: String) {
        self.changed += 1;
        if self.diffs.len() < DIFFS {
            let before = String::from_utf8_lossy(&letter.body).into_owned();
            let diff = payload_diff(&before, &after);
            self.diffs.push(Changed { id: letter.id, diff, before, after });
        }
    }

    fn fails(&mut self, letter: &dead_letter::Model, error: String) {
        self.failing += 1;
        if self.failures.len() < NAMED {
            self.failures.push(Failing { id: letter.id, kind: letter.kind.clone(), error });
        }
    }

    /// All letters that it was tried on.
    #[must_use]
    pub fn all(&self) -> usize {
        self.changed + self.unchanged + self.failing
    }
}

/// What an edit changes in a payload, as a unified diff of both as JSON in lines.
#[must_use]
pub fn payload_diff(before: &str, after: &str) -> String {
    TextDiff::from_lines(&in_lines(before), &in_lines(after))
        .unified_diff()
        .context_radius(3)
        .header("before", "after")
        .to_string()
}

/// JSON in lines; anything else as it is.
fn in_lines(text: &str) -> String {
    let pretty = serde_json::from_str::<Value>(text).ok();
    let pretty = pretty.and_then(|value| serde_json::to_string_pretty(&value).ok());
    format!("{}\n", pretty.as_deref().unwrap_or(text).trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_of_the_json_and_not_of_how_it_was_written() {
        let diff = payload_diff(r#"{"a":1,"b":2}"#, "{\"b\": 3, \"a\": 1}");
        assert!(diff.contains("-  \"b\": 2\n+  \"b\": 3\n"), "{diff}");
        assert!(diff.contains("   \"a\": 1,\n"), "{diff}");
    }
}
