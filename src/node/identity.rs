//! Who this process is, among all processes of all machines.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The name of this process.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The machine.
    pub(crate) host: String,
    /// Machine, process and a random part: in containers both of the others may be the same everywhere.
    pub(crate) name: String,
}

impl Identity {
    /// A new name for this process.
    pub(crate) fn new() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let random = RandomState::new().build_hasher().finish() & 0xffff;
        let name = format!("{host}-{}-{random:04x}", std::process::id());
        Self { host, name }
    }
}
