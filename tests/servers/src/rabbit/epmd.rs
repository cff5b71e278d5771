//! Erlang's port mapper, where nodes find each other: one of our own, so that none is left behind as a daemon and nodes
//! of other tests are unknown to ours.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::folder::Folder;
use crate::port::Port;
use crate::process::{AtOurDeath, Process, command, tail};
use crate::wait::eventually;

use super::installation::Installation;

#[derive(Debug)]
pub(super) struct Epmd {
    port: Port,
    _process: Process,
    // Removed after the process has ended.
    _folder: Folder,
}

impl Epmd {
    pub(super) async fn start(installation: &Installation) -> Self {
        let (port, folder) = (Port::free(), Folder::in_target());
        let log = folder.path().join("log");
        let mut command = command(&installation.epmd, None, AtOurDeath::Kill);
        command.args(["-address", "127.0.0.1", "-port", &port.number().to_string()]);
        let process = Process::start(command, &log);
        let number = port.number();
        eventually(
            &format!("epmd answers; it said {}", tail(&log)),
            Duration::from_secs(30),
            || async move { answers(number).ok() },
        )
        .await;
        Self { port, _process: process, _folder: folder }
    }

    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }
}

/// Asks for the names it knows: a length of one byte and the letter n. It answers with its port first.
fn answers(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&[0, 1, b'n'])?;
    stream.read_exact(&mut [0; 4])
}
