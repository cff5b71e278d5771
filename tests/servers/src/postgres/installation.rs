//! Where this machine has PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{AtOurDeath, User, command, ordinary_user};
use crate::required::{REQUIRE_PROGRAMS, left_out};

/// The programs of one PostgreSQL and the user they run under.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    folder: PathBuf,
    user: Option<User>,
}

impl Installation {
    pub(super) fn find() -> Option<Self> {
        // Debian keeps the server out of PATH, one folder per version.
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin"))))
            .collect();
        versions.sort();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders =
            versions.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
        let found = folders.into_iter().find(|folder| folder.join("initdb").is_file());
        match found {
            Some(folder) => Some(Self { folder, user: ordinary_user() }),
            None => left_out(REQUIRE_PROGRAMS, "there is no initdb, neither Debian's nor in PATH"),
        }
    }

    /// A name for what is made with this version under this user.
    pub(super) fn name(&self) -> String {
        let version = self.folder.parent().and_then(Path::file_name).unwrap_or_default();
        format!("{}-{}", version.to_string_lossy(), self.user_id())
    }

    pub(super) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    pub(super) fn user_id(&self) -> u32 {
        self.user.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.id)
    }

    /// One of PostgreSQL's programs.
    pub(super) fn program(&self, name: &str) -> Command {
        self.command(&self.folder.join(name))
    }

    /// Any program, under the server's user.
    pub(super) fn command(&self, program: &Path) -> Command {
        command(program, self.user(), AtOurDeath::Quit)
    }

    /// Gives a file or folder to the server's user.
    pub(super) fn give(&self, path: &Path) {
        if let Some(user) = self.user() {
            std::os::unix::fs::chown(path, Some(user.id), Some(user.group))
                .expect("root gives away what it made");
        }
    }

    /// A parent for folders that the server's user can reach: under target/, or for temporary files where a folder above
    /// the checkout is closed to others.
    pub(super) fn parent(&self) -> PathBuf {
        let services = crate::folder::services();
        let reached = self.command(Path::new("test")).arg("-x").arg(&services).status();
        if reached.expect("a command can be started").success() {
            return services;
        }
        let elsewhere = std::env::temp_dir()
            .join(format!("ackord-test-services-{}", rustix::process::geteuid().as_raw()));
        crate::folder::make(&elsewhere, 0o711);
        elsewhere
    }
}
