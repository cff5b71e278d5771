//! Which files an import looks at.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ignore::overrides::{Override, OverrideBuilder};
use ignore::{DirEntry, WalkBuilder};

use super::error::ImportError;
use super::refusal::Refusal;

/// Ignore files of our own, written like a `.gitignore`.
const IGNORE_FILE: &str = ".ackordignore";

/// How a file's content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileType {
    Markdown,
    Plain,
    Jsonl,
}

impl FileType {
    /// By the file's ending; files without one by the names that stand in every repository.
    fn of(path: &Path) -> Option<Self> {
        let Some(extension) = path.extension() else {
            let name = path.file_name()?.to_str()?.to_ascii_uppercase();
            let known = [
                "AUTHORS",
                "CHANGELOG",
                "CHANGES",
                "CONTRIBUTING",
                "COPYING",
                "HISTORY",
                "LICENSE",
                "NEWS",
                "NOTICE",
                "README",
                "TODO",
            ];
            return known
                .iter()
                .any(|known| name == *known || name.starts_with(&format!("{known}-")))
                .then_some(Self::Plain);
        };
        match extension.to_str()?.to_ascii_lowercase().as_str() {
            "md" | "markdown" | "mdown" | "mkd" => Some(Self::Markdown),
            "txt" | "text" => Some(Self::Plain),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown",
            Self::Plain => "text/plain",
            Self::Jsonl => "application/jsonl",
        }
    }
}

/// What the walk came across.
#[derive(Debug)]
pub(super) enum Found {
    /// A file to read, by its absolute path, and its size in bytes.
    File { path: PathBuf, file_type: FileType, bytes: u64 },
    /// Something that was named, or that should be readable, and is not.
    Refused { path: PathBuf, refusal: Refusal },
    /// A file in a folder that nothing here reads.
    PassedOver,
}

/// The paths of an import, made absolute, with what is to be left out.
pub(super) struct Roots {
    roots: Vec<(PathBuf, Override)>,
    missing: Vec<(PathBuf, Refusal)>,
}

impl Roots {
    pub(super) fn new(paths: &[PathBuf], excludes: &[String]) -> Result<Self, ImportError> {
        let mut roots = Vec::new();
        let mut missing = Vec::new();
        for path in paths {
            match path.canonicalize() {
                Ok(root) => {
                    let overrides = exclude(&root, excludes)?;
                    roots.push((root, overrides));
                }
                Err(error) => {
                    missing.push((path.clone(), Refusal::Unreadable { message: error.to_string() }));
                }
            }
        }
        Ok(Self { roots, missing })
    }

    /// The folders among the paths.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        self.roots.iter().map(|(root, _)| root.clone()).filter(|root| root.is_dir()).collect()
    }

    /// Calls `found` for everything under the paths, each file once, in the order of their names; stops when it returns `false`.
    pub(super) fn walk(self, mut found: impl FnMut(Found) -> bool) {
        for (path, refusal) in self.missing {
            if !found(Found::Refused { path, refusal }) {
                return;
            }
        }
        let several = self.roots.len() > 1;
        let mut seen = HashSet::new();
        for (root, overrides) in self.roots {
            for entry in walker(&root, overrides).build() {
                let Some(item) = classify(entry) else { continue };
                // Only paths that overlap can meet a file twice.
                if let Found::File { path, .. } = &item
                    && several
                    && !seen.insert(path.clone())
                {
                    continue;
                }
                if !found(item) {
                    return;
                }
            }
        }
    }
}

fn exclude(root: &Path, patterns: &[String]) -> Result<Override, ImportError> {
    let wrong = |pattern: &str, error: &ignore::Error| ImportError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    };
    let mut builder = OverrideBuilder::new(root);
    for pattern in patterns {
        // In an override a plain pattern includes; `!` excludes.
        builder.add(&format!("!{pattern}")).map_err(|error| wrong(pattern, &error))?;
    }
    builder.build().map_err(|error| wrong(&patterns.join(" "), &error))
}

fn walker(root: &Path, overrides: Override) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder
        .overrides(overrides)
        .add_custom_ignore_filename(IGNORE_FILE)
        // .gitignore counts in a folder that is no repository too; the user's own global one does not: what an import
        // takes is decided by the folder alone.
        .require_git(false)
        .git_global(false)
        .follow_links(false)
        .sort_by_file_name(Ord::cmp);
    builder
}

fn classify(entry: Result<DirEntry, ignore::Error>) -> Option<Found> {
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => return Some(unreadable(error)),
    };
    let named = entry.depth() == 0;
    let file_type = entry.file_type()?;
    if file_type.is_dir() {
        return None;
    }
    let path = entry.path().to_owned();
    let kind = FileType::of(&path);
    match (file_type.is_file(), kind) {
        (false, _) if named => Some(Found::Refused { path, refusal: Refusal::NotAFile }),
        (true, None) if named => Some(Found::Refused { path, refusal: Refusal::UnknownType }),
        (false, _) | (true, None) => Some(Found::PassedOver),
        (true, Some(file_type)) => {
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            Some(Found::File { path, file_type, bytes })
        }
    }
}

fn unreadable(error: ignore::Error) -> Found {
    let (path, message) = match error {
        ignore::Error::WithPath { path, err } => (path, err.to_string()),
        ignore::Error::WithDepth { err, .. } => return unreadable(*err),
        other => (PathBuf::new(), other.to_string()),
    };
    Found::Refused { path, refusal: Refusal::Unreadable { message } }
}
