//! Ports for servers that keep theirs over a restart.

use std::fs::File;
use std::net::TcpListener;

use uuid::Uuid;

use crate::folder;

/// Below the range from which the kernel takes ports for clients, and beside the one of tests/run.
const FIRST: u16 = 12_000;
const COUNT: u16 = 8_000;

/// A port of 127.0.0.1 that no other test takes while this value lives, whether or not somebody listens on it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// A free port.
    pub fn free() -> Self {
        let folder = folder::services().join("ports");
        folder::make(&folder, 0o700);
        let start = u16::try_from(Uuid::now_v7().as_u128() % u128::from(COUNT)).expect("below the count");
        (0..COUNT)
            .map(|step| FIRST + (start + step) % COUNT)
            .find_map(|number| {
                let lock = File::create(folder.join(number.to_string())).expect("a lock file can be made");
                let free = lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok();
                free.then_some(Self { number, _lock: lock })
            })
            .expect("one of thousands of ports is free")
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_to_one_at_a_time() {
        let ports: Vec<Port> = (0..50).map(|_| Port::free()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }
}
