//! What a patch on many payloads does, for people.

use std::fmt::Write;

use ackord_producer::operate::Checked;

use crate::commands::dead_letters::diff;
use crate::problem::Problem;

/// The first changes.
pub(super) fn changes(checked: &Checked) -> String {
    let mut text = String::new();
    for change in &checked.diffs {
        // Writing to a string cannot fail.
        let _ =
            write!(text, "dead letter {}\n{}\n", change.id, diff::of_payloads(&change.before, &change.after));
    }
    text
}

/// How many, in words.
pub(super) fn counts(checked: &Checked) -> String {
    format!(
        "the patch changes {}, leaves {} as they are, and does not fit {}",
        checked.changed, checked.unchanged, checked.failing
    )
}

/// Refuses a patch that does not fit every letter.
///
/// # Errors
/// It names the letters that it does not fit, and what is wrong with each.
pub(super) fn insist(checked: &Checked) -> Result<(), Problem> {
    if checked.failing == 0 {
        return Ok(());
    }
    let mut text = format!(
        "the patch does not fit {} of {} dead letters, nothing was changed",
        checked.failing,
        checked.all()
    );
    for failing in &checked.failures {
        let kind = failing.kind.as_deref().unwrap_or("unknown kind");
        let _ = write!(text, "\n  {} ({kind}): {}", failing.id, failing.error);
    }
    if checked.failing > checked.failures.len() {
        let _ = write!(text, "\n  and {} more", checked.failing - checked.failures.len());
    }
    Err(Problem::usage(text).remedy("narrow the letters, or change the patch; --dry-run shows what it does"))
}
