//! JSON Patch (RFC 6902) on payloads.

use json_patch::PatchOperation;
use serde_json::Value;

/// A patch: a list of operations, of which either all apply or none.
#[derive(Clone, Debug)]
pub struct Patch {
    operations: json_patch::Patch,
    text: String,
}

/// A patch that cannot be used, or does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// It is no JSON Patch.
    #[error(
        "that is no JSON Patch: {0}. Give a list such as [{{\"op\": \"replace\", \"path\": \"/graph\", \"value\": \"default\"}}]"
    )]
    NotAPatch(String),
    /// It has no operation.
    #[error("the patch has no operation: it would change nothing")]
    Empty,
    /// The body of the letter is not JSON.
    #[error("the patch does not apply: the body is not JSON ({0})")]
    NotJson(String),
    /// One of the operations does not apply.
    #[error("the patch does not apply: operation {number} ({operation}): {reason}")]
    DoesNotApply {
        /// Which operation, from 1.
        number: usize,
        /// What it says.
        operation: String,
        /// Why it does not apply.
        reason: String,
    },
}

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    /// [`PatchError::NotAPatch`], [`PatchError::Empty`].
    pub fn parse(text: &str) -> Result<Self, PatchError> {
        let operations: Vec<PatchOperation> =
            serde_json::from_str(text).map_err(|error| PatchError::NotAPatch(error.to_string()))?;
        if operations.is_empty() {
            return Err(PatchError::Empty);
        }
        let operations = json_patch::Patch(operations);
        let text =
            serde_json::to_string(&operations).map_err(|error| PatchError::NotAPatch(error.to_string()))?;
        Ok(Self { operations, text })
    }

    /// The patch as JSON, the same however it was written.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.text
    }

    /// What becomes of `body`; `None` if nothing does.
    ///
    /// # Errors
    /// [`PatchError::NotJson`], [`PatchError::DoesNotApply`].
    pub fn apply(&self, body: &[u8]) -> Result<Option<String>, PatchError> {
        let before: Value =
            serde_json::from_slice(body).map_err(|error| PatchError::NotJson(error.to_string()))?;
        let mut after = before.clone();
        json_patch::patch(&mut after, &self.operations).map_err(|error| PatchError::DoesNotApply {
            number: error.operation + 1,
            operation: self.operations.get(error.operation).map_or_else(String::new, ToString::to_string),
            reason: error.kind.to_string(),
        })?;
        Ok((after != before).then(|| after.to_string()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_patch_that_applies_gives_the_new_payload_and_one_that_changes_nothing_gives_none() {
        let patch = Patch::parse(r#"[{"op":"replace","path":"/a","value":2}]"#).unwrap();
        assert_eq!(patch.apply(br#"{"a": 1}"#).unwrap().as_deref(), Some(r#"{"a":2}"#));
        assert_eq!(patch.apply(br#"{"a": 2}"#).unwrap(), None);
    }

    #[test]
    fn what_does_not_apply_names_the_operation() {
        let patch = Patch::parse(r#"[{"op":"test","path":"/a","value":1},{"op":"remove","path":"/colour"}]"#)
            .unwrap();
        let error = patch.apply(br#"{"a": 1}"#).unwrap_err().to_string();
        assert!(error.contains("operation 2") && error.contains("/colour"), "{error}");
        let error = patch.apply(b"hello").unwrap_err().to_string();
        assert!(error.contains("not JSON"), "{error}");
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        for text in ["{}", "7", r#"[{"op":"paint","path":"/a"}]"#] {
            assert!(matches!(Patch::parse(text), Err(PatchError::NotAPatch(_))), "{text}");
        }
        assert_eq!(Patch::parse("[]").unwrap_err(), PatchError::Empty);
    }
}
