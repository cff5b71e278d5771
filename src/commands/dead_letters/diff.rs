//! What an edit changes.

use similar::{ChangeTag, TextDiff};

use super::show::pretty_text;
use crate::terminal::{bad, good};

/// What an edit changes in a payload, line by line: both are JSON in lines.
pub(super) fn of_payloads(before: &str, after: &str) -> String {
    diff(&pretty_text(before), &pretty_text(after))
}

/// The same for scripts: a unified diff.
pub(super) fn unified(before: &str, after: &str) -> String {
    TextDiff::from_lines(&ended(&pretty_text(before)), &ended(&pretty_text(after)))
        .unified_diff()
        .context_radius(3)
        .header("before", "after")
        .to_string()
}

fn diff(before: &str, after: &str) -> String {
    TextDiff::from_lines(&ended(before), &ended(after))
        .iter_all_changes()
        .map(|change| {
            let line = change.value().trim_end_matches('\n');
            match change.tag() {
                ChangeTag::Delete => bad(format!("- {line}")) + "\n",
                ChangeTag::Insert => good(format!("+ {line}")) + "\n",
                ChangeTag::Equal => format!("  {line}\n"),
            }
        })
        .collect()
}

fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_shown_with_what_goes_and_what_comes() {
        console::set_colors_enabled(false);
        let text = diff("{\n  \"a\": 1,\n  \"b\": 2\n}", "{\n  \"a\": 1,\n  \"b\": 3\n}");
        assert_eq!(text, "  {\n    \"a\": 1,\n-   \"b\": 2\n+   \"b\": 3\n  }\n");
    }
}
