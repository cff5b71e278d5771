//! What an edit changes.

use super::show::pretty_text;
use crate::terminal::diff;

/// What an edit changes in a payload, line by line: both are JSON in lines.
pub(super) fn of_payloads(before: &str, after: &str) -> String {
    diff::whole(&pretty_text(before), &pretty_text(after))
}
