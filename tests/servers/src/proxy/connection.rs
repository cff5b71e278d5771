//! One client's way through the proxy.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::trap::{Direction, Trap};

/// Of what has passed a trap sees that much beside the newest bytes.
const REMEMBERED: usize = 64;

/// How bytes pass now.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    pub(super) held: bool,
    pub(super) delay: Duration,
    pub(super) traps: Vec<Trap>,
}

type Late = (Instant, Vec<u8>);

/// Carries bytes until both sides have said all, one is gone or a trap springs.
pub(super) async fn run(client: TcpStream, server: String, flow: watch::Receiver<Flow>) {
    if passes(&mut flow.clone()).await.is_break() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    // The proxy adds no latency of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either way that breaks off takes the other with it; one that just ends does not.
    let _ = tokio::try_join!(
        carry(from_client, to_server, Direction::ToServer, flow.clone()),
        carry(from_server, to_client, Direction::ToClient, flow),
    );
}

/// `Err` means that the connection is over.
async fn carry(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    direction: Direction,
    flow: watch::Receiver<Flow>,
) -> Result<(), ()> {
    // A bound in chunks: a slow reader slows the sender down, as the real network does.
    let (late, due) = mpsc::channel(256);
    tokio::try_join!(read(from, late, direction, flow.clone()), write(due, to, flow)).map(|_| ())
}

async fn read(
    mut from: OwnedReadHalf,
    late: mpsc::Sender<Late>,
    direction: Direction,
    mut flow: watch::Receiver<Flow>,
) -> Result<(), ()> {
    let (mut buffer, mut recent) = (vec![0; 16 * 1024], VecDeque::new());
    loop {
        if passes(&mut flow).await.is_break() {
            return Err(());
        }
        let length = from.read(&mut buffer).await.map_err(|_| ())?;
        if length == 0 {
            return Ok(());
        }
        let chunk = &buffer[..length];
        let (delay, traps) = {
            let flow = flow.borrow();
            (flow.delay, flow.traps.clone())
        };
        recent.extend(chunk);
        if traps.iter().any(|trap| trap.springs(direction, recent.make_contiguous())) {
            return Err(());
        }
        recent.drain(..recent.len().saturating_sub(REMEMBERED));
        late.send((Instant::now() + delay, chunk.to_vec())).await.map_err(|_| ())?;
    }
}

async fn write(
    mut due: mpsc::Receiver<Late>,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
) -> Result<(), ()> {
    while let Some((when, chunk)) = due.recv().await {
        tokio::time::sleep_until(when).await;
        // The network may have gone since it was read.
        if passes(&mut flow).await.is_break() {
            return Err(());
        }
        to.write_all(&chunk).await.map_err(|_| ())?;
    }
    to.shutdown().await.map_err(|_| ())
}

/// Waits while everything is held.
async fn passes(flow: &mut watch::Receiver<Flow>) -> ControlFlow<()> {
    match flow.wait_for(|flow| !flow.held).await {
        Ok(_) => ControlFlow::Continue(()),
        // The proxy is gone.
        Err(_) => ControlFlow::Break(()),
    }
}
