//! The one task that owns the proxy's socket and connections.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::connection::{self, Flow};
use super::trap::Trap;

pub(super) enum Order {
    Cut,
    Drop,
    BlackHole,
    Restore,
    Delay(Duration),
    Set(Trap),
}

pub(super) struct Listener {
    address: SocketAddr,
    server: String,
    /// `None` while connections are refused.
    socket: Option<TcpListener>,
    connections: JoinSet<()>,
    flow: watch::Sender<Flow>,
}

impl Listener {
    pub(super) fn new(address: SocketAddr, server: String, socket: TcpListener) -> Self {
        let flow = watch::Sender::new(Flow::default());
        Self { address, server, socket: Some(socket), connections: JoinSet::new(), flow }
    }

    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, done)) = order else { return };
                    self.obey(order).await;
                    // Whoever gave it may have gone.
                    let _ = done.send(());
                }
                client = accept(self.socket.as_ref()) => self.connect(client),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Cut => {
                self.socket = None;
                self.connections.shutdown().await;
            }
            Order::Drop => self.connections.shutdown().await,
            Order::BlackHole => self.flow.send_modify(|flow| flow.held = true),
            Order::Delay(by) => self.flow.send_modify(|flow| flow.delay = by),
            Order::Set(trap) => self.flow.send_modify(|flow| flow.traps.push(trap)),
            Order::Restore => {
                self.flow.send_modify(|flow| (flow.held, flow.delay) = (false, Duration::ZERO));
                if self.socket.is_none() {
                    let socket = TcpListener::bind(self.address).await;
                    self.socket = Some(socket.expect("the port is this proxy's while it lives"));
                }
            }
        }
    }

    fn connect(&mut self, client: TcpStream) {
        let (server, flow) = (self.server.clone(), self.flow.subscribe());
        self.connections.spawn(connection::run(client, server, flow));
    }
}

async fn accept(socket: Option<&TcpListener>) -> TcpStream {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        // A client that gave up before it was accepted is not this proxy's trouble.
        if let Ok((client, _)) = socket.accept().await {
            return client;
        }
    }
}
