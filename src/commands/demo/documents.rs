//! Which documents the demo imports.

use std::path::{Path, PathBuf};

use ackord_entities::graph::graphs;

use crate::exit::Exit;
use crate::problem::Problem;

/// The graph of documents that were given: ackord's own are not mixed in.
const GIVEN: &str = "mine";

/// Documents to import.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) paths: Vec<PathBuf>,
    /// The slug of the graph they go into.
    pub(super) graph: &'static str,
    /// Whether they are ackord's own.
    pub(super) own: bool,
}

/// What stands in the repository, in the order in which a reader would take it up.
const OF_REPOSITORY: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"];

/// What is carried along, for a program that runs elsewhere.
const CARRIED: [(&str, &str); 6] = [
    ("README.md", include_str!("../../../README.md")),
    ("ARCHITECTURE.md", include_str!("../../../ARCHITECTURE.md")),
    ("guarantees.md", include_str!("../../../docs/guarantees.md")),
    ("operations.md", include_str!("../../../docs/operations.md")),
    ("state-machine.md", include_str!("../../../docs/state-machine.md")),
    ("adding-a-job-kind.md", include_str!("../../../docs/adding-a-job-kind.md")),
];

/// The given documents; without any, those of the repository around the current folder; elsewhere those that are carried
/// along, written beside the data.
///
/// # Errors
/// A given path that is not there; a folder that cannot be written.
pub(super) fn find(given: Vec<PathBuf>, data: &Path) -> Result<Documents, Problem> {
    if let Some(missing) = given.iter().find(|path| !path.exists()) {
        return Err(Problem::usage(format!("there is no {}", missing.display())));
    }
    if !given.is_empty() {
        return Ok(Documents { paths: given, graph: GIVEN, own: false });
    }
    let paths = match std::env::current_dir().ok().and_then(|folder| repository(&folder)) {
        Some(root) => OF_REPOSITORY.iter().map(|name| root.join(name)).filter(|path| path.exists()).collect(),
        None => vec![unpack(data)?],
    };
    Ok(Documents { paths, graph: graphs::DEFAULT, own: true })
}

/// The folder of ackord's sources at or above `folder`.
fn repository(folder: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| {
        std::fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "name = \"ackord\""))
    };
    folder.ancestors().find(is_root).map(Path::to_owned)
}

/// Writes the documents that are carried along. The same text again is no change to the import.
fn unpack(data: &Path) -> Result<PathBuf, Problem> {
    let folder = data.parent().unwrap_or(Path::new("")).join("demo-documents");
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| CARRIED.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text)));
    written.map_err(|error| {
        Problem::new(
            Exit::Failure,
            format!("the documents cannot be written to {}: {error}", folder.display()),
        )
        .remedy("name another place with --data")
    })?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_repository_is_found_from_a_folder_below_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(repository(&root.join("src/commands")).as_deref(), Some(root));
        assert_eq!(repository(tempfile::tempdir().unwrap().path()), None);
    }

    #[test]
    fn elsewhere_the_carried_documents_are_written_beside_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let unpacked = unpack(&folder.path().join(".ackord/demo.db")).unwrap();
        assert!(unpacked.join("guarantees.md").is_file());
    }

    #[test]
    fn a_given_path_that_is_not_there_is_named() {
        let problem = find(vec!["/nowhere/notes".into()], Path::new("x.db")).unwrap_err();
        assert!(problem.message.contains("/nowhere/notes"), "{problem}");
    }
}
