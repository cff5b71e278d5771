//! Data folders for new servers: initdb takes seconds, a copy of what it made a fraction of one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use uuid::Uuid;

use super::installation::Installation;

pub(super) const ADMINISTRATOR: &str = "ackord";

/// A cluster that was made once and is kept beside the servers' folders.
#[derive(Debug)]
pub(super) struct Template {
    data: PathBuf,
    pub(super) password: String,
}

impl Template {
    /// The one in this parent; the first process that needs it makes it.
    pub(super) fn find(installation: &Installation, parent: &Path) -> Self {
        let folder = parent.join(format!("postgres-template-{}", installation.name()));
        crate::folder::make(&folder, 0o711);
        let lock = File::create(folder.join("lock")).expect("a lock file can be made");
        lock.lock().expect("a lock can be waited for");
        let (data, password) = (folder.join("data"), folder.join("password"));
        if !data.is_dir() {
            make(installation, &folder, &data);
        }
        let password =
            std::fs::read_to_string(password).expect("it was made with the data").trim().to_owned();
        Self { data, password }
    }

    /// Copies the cluster to a folder that does not exist yet.
    pub(super) fn copy(&self, installation: &Installation, to: &Path) {
        let mut copy = installation.command(Path::new("cp"));
        run(copy.args(["--archive", "--reflink=auto"]).arg(&self.data).arg(to));
    }
}

/// The data gets its name when it is complete.
fn make(installation: &Installation, folder: &Path, data: &Path) {
    let work = folder.join("work");
    // What an interrupted process left.
    let _ = std::fs::remove_dir_all(&work);
    crate::folder::make(&work, 0o700);
    let password = work.join("password");
    std::fs::write(&password, format!("{}\n", Uuid::now_v7().simple())).expect("a file can be written");
    installation.give(&work);
    installation.give(&password);
    // The password is sent as it is: it goes no further than the loopback, and a hashed login costs an unoptimised client
    // tens of milliseconds.
    let mut initdb = installation.program("initdb");
    initdb.arg("--pgdata").arg(work.join("data")).arg("--pwfile").arg(&password);
    initdb.args([
        "--username",
        ADMINISTRATOR,
        "--auth=password",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    run(&mut initdb);
    std::fs::rename(&password, folder.join("password")).expect("the password gets its place");
    std::fs::rename(work.join("data"), data).expect("the data gets its place");
}

fn run(command: &mut Command) {
    let output = command.output().expect("a command can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {said}");
}
