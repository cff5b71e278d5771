//! One connection for ever: a supervisor that opens it, watches it, and opens the next one when it is lost.
//!
//! lapin can recover a connection by itself; that stays off. It would replay declarations and consumers behind the back of
//! those who hold tags of the old channels, and gives up after a number of attempts.
//!
//! What lapin 4.12 does, and what follows from it here:
//!
//! - A call on a connection that died fails at once, and so does one that was waiting. A call on a connection whose peer says
//!   nothing any more waits until the heartbeat is missed, which takes lapin twice the interval, and for ever while the server
//!   has it blocked, since lapin then writes nothing at all. So every call has a deadline of its own.
//! - Losing the connection sends an event; being closed in order sends none. The supervisor looks at the state at every event
//!   and now and then.
//! - Frames wait in lapin without a bound until the socket takes them. What bounds them here is the window of a publisher and
//!   the prefetch of a consumer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties, Event};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::error::{self, ConnectError};
use super::options::{AmqpOptions, Target};
use super::tls::Tls;
use crate::broker::BrokerError;
use crate::broker::topology::JOBS_EXCHANGE;

/// How often the state of a connection is looked at when no event tells of it.
const LOOK: Duration = Duration::from_millis(500);
/// How often a connection that publishes finds out whether it may.
const PROBE: Duration = Duration::from_secs(2);
/// The same after the server closed the channel over it.
const PROBE_AGAIN: Duration = Duration::from_secs(10);
/// How long an orderly close may take.
const CLOSING: Duration = Duration::from_secs(2);

/// The connection that publishes.
pub(super) const PUBLISHER: &str = "publisher";
/// The connection that consumes, settles, declares and asks.
pub(super) const CONSUMER: &str = "consumer";

/// Numbers the connections of this process.
static LAST_EPOCH: AtomicU64 = AtomicU64::new(0);

/// A connection that is open, or was.
pub(super) struct Live {
    connection: Connection,
    /// Which connection of this process it is. A channel of another epoch is dead.
    pub(super) epoch: u64,
    /// How long any call may take.
    pub(super) deadline: Duration,
    /// How long a window waits for another confirm.
    pub(super) unanswered_after: Duration,
    /// Woken when somebody has found out that nothing comes back from the server.
    condemned: Notify,
}

impl LinkState {
    /// Whether this is the connection of that number.
    pub(super) fn is(&self, epoch: u64) -> bool {
        matches!(self, Self::Open { live, .. } if live.epoch == epoch)
    }
}

/// What a link is at the moment.
#[derive(Clone)]
pub(super) enum LinkState {
    /// There is no connection; the supervisor is at it.
    Closed,
    /// There is one.
    Open {
        live: Arc<Live>,
        /// Why the server takes nothing from this connection, while it does not.
        blocked: Option<String>,
    },
}

/// A connection that is opened again whenever it is lost, until it is dropped.
pub(super) struct Link {
    state: watch::Sender<LinkState>,
    stop: CancellationToken,
}

impl Link {
    /// Tries once to connect, and leaves a supervisor behind that goes on for ever.
    ///
    /// # Errors
    /// What trying again cannot cure. A server that cannot be reached is none.
    pub(super) async fn open(
        options: Arc<AmqpOptions>,
        target: Arc<Target>,
        tls: Arc<Tls>,
        role: &'static str,
    ) -> Result<Arc<Self>, ConnectError> {
        let (state, stop) = (watch::Sender::new(LinkState::Closed), CancellationToken::new());
        let link = Arc::new(Self { state, stop });
        let dialler = Dialler { options, target, tls, role };
        let first = match dialler.dial().await {
            Ok(live) => {
                link.show(LinkState::Open { live: Arc::clone(&live), blocked: None });
                Some(live)
            }
            Err(DialError::Lasting(error)) => return Err(error),
            Err(DialError::Passing(reason)) => {
                warn!(
                    broker.url = dialler.target.shown,
                    "the broker cannot be reached, ackord goes on trying: {reason}"
                );
                None
            }
        };
        let supervisor = Supervisor { dialler, state: link.state.clone(), stop: link.stop.clone() };
        tokio::spawn(supervisor.run(first));
        Ok(link)
    }

    fn show(&self, state: LinkState) {
        self.state.send_replace(state);
    }

    /// The state now and whenever it changes.
    pub(super) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// The connection.
    pub(super) fn live(&self) -> Result<Arc<Live>, BrokerError> {
        match &*self.state.borrow() {
            LinkState::Open { live, .. } => Ok(Arc::clone(live)),
            LinkState::Closed => Err(BrokerError::Closed),
        }
    }

    /// Returns when the server has taken nothing from the connection for a while.
    pub(super) async fn held_up(&self, patience: Duration) {
        let mut state = self.watch();
        loop {
            let is_blocked = |state: &LinkState| matches!(state, LinkState::Open { blocked: Some(_), .. });
            if state.wait_for(is_blocked).await.is_err() {
                return std::future::pending().await;
            }
            if timeout(patience, state.wait_for(|state| !is_blocked(state))).await.is_err() {
                return;
            }
        }
    }

    /// Returns when the connection of that number is no longer the one to use.
    pub(super) async fn replaced(&self, epoch: u64) {
        // There is none at all when this ends with an error.
        let _ = self.watch().wait_for(|state| !state.is(epoch)).await;
    }

    /// The connection, if the server takes messages from it.
    pub(super) fn unblocked(&self) -> Result<Arc<Live>, BrokerError> {
        match &*self.state.borrow() {
            LinkState::Open { live, blocked: None } => Ok(Arc::clone(live)),
            LinkState::Open { blocked: Some(reason), .. } => {
                Err(BrokerError::Blocked { reason: reason.clone() })
            }
            LinkState::Closed => Err(BrokerError::Closed),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Live {
    /// Opens a channel.
    pub(super) async fn channel(&self) -> Result<lapin::Channel, BrokerError> {
        self.call(self.connection.create_channel()).await?.map_err(|_| BrokerError::Closed)
    }

    /// Waits for a call to the server, but not for ever: a connection over which nothing comes back is given up.
    pub(super) async fn call<T>(&self, call: impl Future<Output = T>) -> Result<T, BrokerError> {
        timeout(self.deadline, call).await.map_err(|_| {
            self.condemn();
            BrokerError::Closed
        })
    }

    /// Lets the supervisor replace this connection. One that the server has blocked is left alone: it has a reason to say
    /// nothing.
    pub(super) fn condemn(&self) {
        if !self.connection.status().blocked() {
            self.condemned.notify_one();
        }
    }

    /// Whether it is open and the server has not stopped reading it for an alarm.
    pub(super) fn takes_messages(&self) -> bool {
        self.is_open() && !self.connection.status().blocked()
    }

    fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// Publishes a message that goes nowhere. A server with an alarm says so only to a connection that publishes, so an idle
    /// one would show it to nobody until there is something to send. Answers `false` where the server did not let us: there is
    /// no topology yet, or no permission.
    async fn probe(&self, prober: &mut Option<lapin::Channel>) -> bool {
        if self.connection.status().blocked() {
            return true;
        }
        if prober.take_if(|channel| !channel.status().connected()).is_some() {
            return false;
        }
        if prober.is_none() {
            *prober = self.channel().await.ok();
        }
        if let Some(channel) = prober {
            let (nowhere, options) = ("ackord.probe".into(), BasicPublishOptions::default());
            let publish = channel.basic_publish(
                JOBS_EXCHANGE.into(),
                nowhere,
                options,
                b"{}",
                BasicProperties::default(),
            );
            let _ = timeout(PROBE, publish).await;
        }
        true
    }

    /// Closes in order as far as the server answers. Dropping the connection does the rest.
    async fn close(&self) {
        if self.is_open() && !self.connection.status().blocked() {
            let _ = timeout(CLOSING, self.connection.close(200, "ackord closes".into())).await;
        }
    }
}

/// Why an attempt to connect failed.
enum DialError {
    /// For ever.
    Lasting(ConnectError),
    /// For now.
    Passing(String),
}

/// Opens connections.
struct Dialler {
    options: Arc<AmqpOptions>,
    target: Arc<Target>,
    tls: Arc<Tls>,
    role: &'static str,
}

impl Dialler {
    /// Tries each node once.
    async fn dial(&self) -> Result<Arc<Live>, DialError> {
        let mut reasons = Vec::new();
        for uri in &self.target.nodes {
            let node = format!("{}:{}", uri.authority.host, uri.authority.port);
            let properties = ConnectionProperties::default()
                .with_connection_name(format!("{} {}", self.options.name, self.role).into())
                .with_client_property("product".into(), "ackord".into())
                .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
            match timeout(self.options.deadline, self.tls.connect(uri.clone(), properties)).await {
                Ok(Ok(connection)) => return Ok(Arc::new(self.live(connection))),
                Ok(Err(error)) => match error::lasting(&error, &self.target) {
                    Some(lasting) => return Err(DialError::Lasting(lasting)),
                    None => reasons.push(format!("{node}: {error}")),
                },
                Err(_) => reasons.push(format!("{node}: no answer within {:?}", self.options.deadline)),
            }
        }
        Err(DialError::Passing(reasons.join("; ")))
    }

    fn live(&self, connection: Connection) -> Live {
        let epoch = LAST_EPOCH.fetch_add(1, Ordering::Relaxed) + 1;
        let AmqpOptions { deadline, unanswered_after, .. } = *self.options;
        Live { connection, epoch, deadline, unanswered_after, condemned: Notify::new() }
    }
}

/// Keeps one connection open.
struct Supervisor {
    dialler: Dialler,
    state: watch::Sender<LinkState>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self, first: Option<Arc<Live>>) {
        let stop = self.stop.clone();
        let mut live = first;
        loop {
            let current = match live.take() {
                Some(live) => live,
                None => match stop.run_until_cancelled(self.dial()).await {
                    Some(live) => live,
                    None => break,
                },
            };
            let stopped = stop.run_until_cancelled(self.watch(&current)).await.is_none();
            self.state.send_replace(LinkState::Closed);
            if stopped {
                current.close().await;
                break;
            }
            warn!(
                broker.url = self.dialler.target.shown,
                connection = self.dialler.role,
                "the connection to the broker is lost, ackord goes on trying"
            );
            // Not awaited: a peer that says nothing takes its time.
            tokio::spawn(async move { current.close().await });
        }
        self.state.send_replace(LinkState::Closed);
    }

    /// Tries for ever.
    async fn dial(&self) -> Arc<Live> {
        let mut failures = 0_u32;
        loop {
            match self.dialler.dial().await {
                Ok(live) => {
                    info!(
                        broker.url = self.dialler.target.shown,
                        connection = self.dialler.role,
                        failures,
                        "connected to the broker"
                    );
                    self.state.send_replace(LinkState::Open { live: Arc::clone(&live), blocked: None });
                    return live;
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.report(error, failures);
                }
            }
            tokio::time::sleep(self.dialler.options.reconnect.delay_after(failures)).await;
        }
    }

    /// Aloud when it begins and as often as somebody would want to be reminded.
    fn report(&self, error: DialError, failures: u32) {
        let (url, connection) = (&self.dialler.target.shown, self.dialler.role);
        match error {
            DialError::Lasting(error) if failures == 1 || failures.is_multiple_of(60) => {
                tracing::error!(broker.url = url, connection, failures, "the broker refuses: {error}");
            }
            DialError::Passing(reason) if failures.is_multiple_of(60) => {
                warn!(broker.url = url, connection, failures, "the broker still cannot be reached: {reason}");
            }
            DialError::Lasting(error) => {
                debug!(broker.url = url, connection, failures, "the broker refuses: {error}");
            }
            DialError::Passing(reason) => {
                debug!(broker.url = url, connection, failures, "no connection: {reason}");
            }
        }
    }

    /// Returns when the connection is lost or condemned.
    async fn watch(&self, live: &Arc<Live>) {
        let mut events = pin!(live.connection.events_listener());
        let mut look = tokio::time::interval(LOOK);
        // Not at once: the topology is applied by then.
        let mut probe = tokio::time::interval_at(tokio::time::Instant::now() + PROBE, PROBE);
        let mut prober = None;
        while live.is_open() {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => self.blocked(live, Some(reason)),
                    Some(Event::ConnectionUnblocked) => self.blocked(live, None),
                    // So that those with a channel look whether it is still open.
                    Some(Event::Error(_)) => self.state.send_modify(|_| {}),
                    Some(_) => {}
                    None => return,
                },
                () = live.condemned.notified() => return,
                _ = look.tick() => self.look(live),
                _ = probe.tick(), if self.dialler.role == PUBLISHER => {
                    if !live.probe(&mut prober).await {
                        probe.reset_after(PROBE_AGAIN);
                    }
                }
            }
        }
    }

    /// A connection that was blocked before anybody listened to its events sends none.
    fn look(&self, live: &Arc<Live>) {
        let known = matches!(&*self.state.borrow(), LinkState::Open { blocked: Some(_), .. });
        match (live.connection.status().blocked(), known) {
            (true, false) => self.blocked(live, Some("the server gave no reason".to_owned())),
            (false, true) => self.blocked(live, None),
            _ => {}
        }
    }

    fn blocked(&self, live: &Arc<Live>, blocked: Option<String>) {
        self.state.send_replace(LinkState::Open { live: Arc::clone(live), blocked });
    }
}
