//! The documents: what they link to is there, and each test that a promise names.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the repository's root and of `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/adr"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    assert!(found.len() > 10, "only {} documents were found", found.len());
    found
}

/// Text and target of each link that leads to a file.
fn links(text: &str) -> Vec<(&str, &str)> {
    text.match_indices("](")
        .filter_map(|(end, mark)| {
            let (target, _) = text[end + mark.len()..].split_once(')')?;
            let start = text[..end].rfind('[')? + 1;
            Some((&text[start..end], target))
        })
        .filter(|(_, target)| !target.contains("://") && !target.contains(char::is_whitespace))
        .collect()
}

/// The name that a heading has in a link: lowercase, without signs, blanks as hyphens.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let name = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter)).collect::<String>()
    };
    headings.map(|heading| name(heading).replace(' ', "-")).collect()
}

#[test]
fn what_the_documents_link_to_is_there() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for (_, target) in links(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            assert!(path.exists(), "{} links to {target}, which is not there", document.display());
            if !anchor.is_empty() {
                let anchors = anchors(&std::fs::read_to_string(&path).unwrap());
                assert!(anchors.iter().any(|one| one == anchor), "{} links to {target}", document.display());
            }
        }
    }
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let document = root().join("docs/guarantees.md");
    let text = std::fs::read_to_string(&document).unwrap();
    let mut promises = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise |")) {
        promises += 1;
        let tests = links(row);
        assert!(!tests.is_empty(), "a promise without a test: {row}");
        for (name, target) in tests {
            let name = name.trim_matches('`');
            let source = std::fs::read_to_string(document.parent().unwrap().join(target)).unwrap();
            assert!(source.contains(&format!("fn {name}(")), "{target} has no test `{name}`");
        }
    }
    assert!(promises > 20, "only {promises} promises were found");
}
