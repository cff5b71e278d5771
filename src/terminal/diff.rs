//! What changed from one text to another, line by line.

use std::fmt::Write;

use similar::{ChangeTag, TextDiff};

use super::{bad, dim, good};

/// Both texts as one, with what goes and what comes, for people.
pub(crate) fn whole(before: &str, after: &str) -> String {
    TextDiff::from_lines(&ended(before), &ended(after)).iter_all_changes().map(line).collect()
}

/// What goes and what comes, each with `around` lines before and behind, for people. Empty if nothing changed.
pub(crate) fn changes(before: &str, after: &str, around: usize) -> String {
    let (before, after) = (ended(before), ended(after));
    let diff = TextDiff::from_lines(&before, &after);
    let mut text = String::new();
    for (index, group) in diff.grouped_ops(around).iter().enumerate() {
        if index > 0 {
            let _ = writeln!(text, "{}", dim("  ..."));
        }
        text.extend(group.iter().flat_map(|op| diff.iter_changes(op)).map(line));
    }
    text
}

/// The same for scripts: a unified diff.
pub(crate) fn unified(before: (&str, &str), after: (&str, &str)) -> String {
    TextDiff::from_lines(&ended(before.1), &ended(after.1))
        .unified_diff()
        .context_radius(3)
        .header(before.0, after.0)
        .to_string()
}

fn line(change: similar::Change<&str>) -> String {
    let text = change.value().trim_end_matches('\n');
    match change.tag() {
        ChangeTag::Delete => bad(format!("- {text}")) + "\n",
        ChangeTag::Insert => good(format!("+ {text}")) + "\n",
        ChangeTag::Equal => format!("  {text}\n"),
    }
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
        let text = whole("{\n  \"a\": 1,\n  \"b\": 2\n}", "{\n  \"a\": 1,\n  \"b\": 3\n}");
        assert_eq!(text, "  {\n    \"a\": 1,\n-   \"b\": 2\n+   \"b\": 3\n  }\n");
    }

    #[test]
    fn what_stays_is_left_out_between_changes() {
        console::set_colors_enabled(false);
        let before: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let mut after = before.clone();
        (after[3], after[17]) = ("three".to_owned(), "seventeen".to_owned());
        let text = changes(&before.join("\n"), &after.join("\n"), 1);
        assert_eq!(text, "  2\n- 3\n+ three\n  4\n  ...\n  16\n- 17\n+ seventeen\n  18\n");
        assert_eq!(changes("a", "a", 1), "");
    }
}
