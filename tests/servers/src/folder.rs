//! Folders for what a server stores.

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

const PREFIX: &str = "server.";

/// A folder that is removed with this value. It holds a lock while its process lives: what a killed process left is
/// removed by the next one that makes a folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new folder under `target/test-services`.
    pub fn in_target() -> Self {
        Self::under(&services())
    }

    /// A new folder in the given one.
    pub fn under(parent: &Path) -> Self {
        make(parent, 0o711);
        remove_left_overs(parent);
        // It gets its name when the lock is held, so nobody takes it for a left-over.
        let id = Uuid::now_v7().simple();
        let starting = parent.join(format!("starting.{id}"));
        make(&starting, 0o711);
        let lock = File::create(starting.join("lock")).expect("a lock file can be made");
        lock.try_lock().expect("nobody knows this lock yet");
        let path = parent.join(format!("{PREFIX}{id}"));
        std::fs::rename(&starting, &path).expect("the folder gets its name");
        Self { path, _lock: lock }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it, as text.
    pub fn join(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.join(name);
        std::fs::write(&path, content).expect("a server's file can be written");
        path
    }

    /// Writes a file that only its owner may read, as some programs insist on, and returns its path.
    pub fn write_secret(&self, name: &str, content: &str) -> String {
        let path = self.write(name, content);
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("its mode can be set");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}

/// `target/test-services`, where tests/run keeps its servers too.
pub(crate) fn services() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let services = target.join("test-services");
    make(&services, 0o711);
    services.canonicalize().expect("the folder was made")
}

pub(crate) fn make(path: &Path, mode: u32) {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .unwrap_or_else(|error| panic!("{} can be made: {error}", path.display()));
}

fn remove_left_overs(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if ours && File::open(path.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok()) {
            // Another process may be removing the same one.
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_removed_with_its_value_and_a_left_over_by_the_next_one() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let first = Folder::under(parent.path());
        let left_over = parent.path().join("server.of-a-killed-process");
        make(&left_over, 0o700);
        std::fs::write(left_over.join("lock"), "").expect("written");

        let second = Folder::under(parent.path());
        assert!(first.path().exists() && second.path().exists());
        assert!(!left_over.exists(), "nobody holds its lock");

        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
    }
}
