//! One thing that was looked at, and what was found.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finding {
    /// As it should be.
    Ok,
    /// Jobs are done, but somebody should know.
    Warning,
    /// Jobs are not done, or may be lost.
    Failed,
}

/// A check. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    /// Its name: what it is about, a dot, which question.
    pub(super) check: &'static str,
    result: Finding,
    /// What was found.
    pub(super) found: String,
    /// What to do about it. Set exactly when it is not ok.
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, result: Finding::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, result: Finding::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn failed(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, result: Finding::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn finding(&self) -> Finding {
        self.result
    }
}

/// All checks of a run, in order.
#[derive(Debug, Default)]
pub(super) struct Checks(pub(super) Vec<Check>);

impl Checks {
    pub(super) fn add(&mut self, check: Check) {
        self.0.push(check);
    }
}
