//! What an edit changes.

use super::show::pretty_text;
use crate::terminal::diff;

/// What an edit changes in a payload, line by line: both are JSON in lines.
pub(super) fn of_payloads(before: &str, after: &str) -> String {
    diff::whole(&pretty_text(before), &pretty_text(after))
}

/// The same for scripts: a unified diff.
pub(super) fn unified(before: &str, after: &str) -> String {
    diff::unified(("before", &pretty_text(before)), ("after", &pretty_text(after)))
}
