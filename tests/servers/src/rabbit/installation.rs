//! Where this machine has RabbitMQ.

use std::path::{Path, PathBuf};

use crate::required::{REQUIRE_PROGRAMS, left_out};

/// The folder of a RabbitMQ that tests/services/rabbitmq4 has unpacked; unset means the distribution's.
pub const HOME: &str = "ACKORD_TEST_RABBITMQ_HOME";

/// The programs of one RabbitMQ.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    pub(super) server: PathBuf,
    pub(super) ctl: PathBuf,
    pub(super) epmd: PathBuf,
}

impl Installation {
    /// The one in the given folder, else that of [`HOME`], else the distribution's.
    pub(super) fn find(home: Option<&Path>) -> Option<Self> {
        let home = home.map(Path::to_owned).or_else(|| std::env::var_os(HOME).map(PathBuf::from));
        let folders = match home {
            Some(home) => vec![home.join("bin")],
            // Debian's, of which those in PATH are wrappers that want to be root and write to /var; then anybody's.
            None => std::iter::once(PathBuf::from("/usr/lib/rabbitmq/bin")).chain(path()).collect(),
        };
        let found = folders.iter().find_map(|folder| Self::in_folder(folder));
        found.or_else(|| left_out(REQUIRE_PROGRAMS, &format!("there is no rabbitmq-server in {folders:?}")))
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let (server, ctl) = (folder.join("rabbitmq-server"), folder.join("rabbitmqctl"));
        let epmd = std::iter::once(folder.to_owned()).chain(path()).map(|folder| folder.join("epmd"));
        let epmd = epmd.into_iter().find(|program| program.is_file())?;
        (server.is_file() && ctl.is_file()).then_some(Self { server, ctl, epmd })
    }
}

fn path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}
