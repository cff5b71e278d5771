//! A network that a test can cut.

mod connection;
mod listener;
mod trap;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::port::Port;

use self::listener::{Listener, Order};
pub use self::trap::{Direction, Trap};

/// A TCP proxy on loopback between a client and a server. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to the server at `HOST:PORT`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn to(server: impl ToString) -> Self {
        let port = Port::free();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let socket = TcpListener::bind(address).await.expect("a free port can be bound");
        let (orders, queue) = mpsc::channel(1);
        let listener = Listener::new(address, server.to_string(), socket);
        let task = tokio::spawn(listener.run(queue));
        Self { port, orders, task }
    }

    /// Where clients connect to. It stays the same over [`Proxy::cut`] and [`Proxy::restore`].
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// Closes all connections and refuses new ones: the server's port is closed.
    pub async fn cut(&self) {
        self.order(Order::Cut).await;
    }

    /// Closes all connections and takes new ones: a router forgot its table.
    pub async fn drop_connections(&self) {
        self.order(Order::Drop).await;
    }

    /// Nothing passes any more and nobody is told: connections stay open, new ones are taken and lead nowhere. What is
    /// sent meanwhile is held back, as a sender's kernel does that gets no answer, and passes on after [`Proxy::restore`].
    pub async fn black_hole(&self) {
        self.order(Order::BlackHole).await;
    }

    /// Everything passes again, at once.
    pub async fn restore(&self) {
        self.order(Order::Restore).await;
    }

    /// What is sent from now on arrives that much later, in either direction. Throughput stays.
    pub async fn delay(&self, by: Duration) {
        self.order(Order::Delay(by)).await;
    }

    /// Closes the one connection on which the given bytes pass in the given direction, once: they do not arrive. `seen` gets
    /// what passed last, newest at the end, and says whether that is it; bytes that were split over packets are seen
    /// together, with up to 64 of what came before.
    pub async fn cut_after(
        &self,
        direction: Direction,
        seen: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Trap {
        let trap = Trap::new(direction, seen);
        self.order(Order::Set(trap.clone())).await;
        trap
    }

    /// Loses the server's answer to the next `COMMIT` of a Postgres client: it is committed, and the client is not told.
    pub async fn lose_commit(&self) -> Trap {
        // CommandComplete: its letter, its length, its tag.
        const COMMITTED: &[u8] = b"C\x00\x00\x00\x0bCOMMIT\x00";
        self.cut_after(Direction::ToClient, |bytes| {
            bytes.windows(COMMITTED.len()).any(|part| part == COMMITTED)
        })
        .await
    }

    /// It holds when this returns.
    async fn order(&self, order: Order) {
        let (done, answer) = oneshot::channel();
        self.orders.send((order, done)).await.expect("the proxy runs as long as this value");
        answer.await.expect("the proxy runs as long as this value");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
