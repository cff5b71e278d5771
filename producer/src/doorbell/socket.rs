//! The bell of a SQLite file: a Unix socket beside it.

use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

/// Calls `ring` for each ring from another process, until the socket fails.
pub(super) async fn listen(database: &Path, ring: impl Fn()) -> std::io::Result<()> {
    let path = socket_path(database);
    // Left behind by a process that died: the lock on the database says that nobody listens there.
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path)?;
    let mut buffer = [0_u8; 8];
    loop {
        socket.recv(&mut buffer).await?;
        ring();
    }
}

/// Rings for the process that has the SQLite file `database` open, if there is one. Never waits.
pub fn ring_from_outside(database: &Path) {
    // The system's own socket: a first send through the runtime's would find it not ready yet.
    let rung = std::os::unix::net::UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(b"1", socket_path(database))
    });
    // Nobody there, or a full buffer of earlier rings: either way there is nothing to do.
    drop(rung);
}

/// Beside the database: `ackord.db.bell`.
fn socket_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".bell");
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::Doorbell;
    use super::*;

    #[tokio::test]
    async fn another_process_rings_over_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ackord.db");
        let bell = Doorbell::default();
        let listener = tokio::spawn({
            let (bell, database) = (bell.clone(), database.clone());
            async move { bell.listen(&database).await }
        });
        while !socket_path(&database).exists() {
            tokio::task::yield_now().await;
        }
        ring_from_outside(&database);
        bell.rung().await;
        listener.abort();
    }
}
