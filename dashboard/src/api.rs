//! What every route works with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ackord_entities::database::Database;
use ackord_entities::jobs::Catalogue;
use ackord_entities::queue::api_token;
use ackord_producer::Doorbell;
use ackord_producer::health::Health;
use sea_orm::DbErr;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::rate::Rate;

/// Imports that run at once: each holds its document in memory.
const IMPORTS: usize = 4;

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Where it listens.
    pub address: SocketAddr,
    /// Requests a second of one token, or of one address without a token; four times as many at once. 0: no limit.
    pub requests_per_second: u32,
    /// The largest document that can be imported, in bytes. Every other body is at most a payload.
    pub largest_document: usize,
    /// Streams of events that are open at once.
    pub streams: usize,
    /// Whose pages browsers let use it, as they name them: `https://app.example.org`. Nobody's when it is empty.
    pub allowed_origins: Vec<String>,
    /// Graphs that are written in databases of their own, by slug: nothing is imported into them here.
    pub written_elsewhere: Vec<String>,
}

impl ApiOptions {
    /// At `address`, with everything else as usual.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            requests_per_second: 50,
            largest_document: 16 * 1024 * 1024,
            streams: 64,
            allowed_origins: Vec::new(),
            written_elsewhere: Vec::new(),
        }
    }
}

/// Without tokens everybody is admin, so nobody from elsewhere may reach it.
#[derive(Debug, thiserror::Error)]
#[error("{0} can be reached from other machines, and there are no tokens: everybody would be admin")]
pub struct NotLoopback(pub SocketAddr);

/// What every route works with. Clones are the same.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    database: Database,
    catalogue: Catalogue,
    doorbell: Doorbell,
    options: ApiOptions,
    rate: Rate,
    streams: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    stop: CancellationToken,
    health: Health,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Api {
    /// The API on `database`. What is published rings `doorbell`; streams of events end with `stop`.
    #[must_use]
    pub fn new(
        database: Database,
        catalogue: Catalogue,
        doorbell: Doorbell,
        options: ApiOptions,
        stop: CancellationToken,
    ) -> Self {
        let health = Health::new("api");
        health.fails("database", "the database has not been asked yet");
        Self(Arc::new(Inner {
            database,
            catalogue,
            doorbell,
            rate: Rate::per_second(options.requests_per_second),
            streams: Arc::new(Semaphore::new(options.streams)),
            imports: Arc::new(Semaphore::new(IMPORTS)),
            options,
            stop,
            health,
        }))
    }

    /// Refuses an address that other machines reach as long as there are no tokens.
    ///
    /// # Errors
    /// Whatever the database answers; the refusal is the inner error.
    pub async fn check(&self) -> Result<Result<(), NotLoopback>, DbErr> {
        let address = self.0.options.address;
        if address.ip().is_loopback() || api_token::any(self.database().read()).await? {
            return Ok(Ok(()));
        }
        Ok(Err(NotLoopback(address)))
    }

    /// Whether somebody at `peer` may be let in without a token, if there are none.
    pub(crate) fn is_open_to(&self, peer: Option<IpAddr>) -> bool {
        self.0.options.address.ip().is_loopback() && peer.is_some_and(|peer| peer.is_loopback())
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    pub(crate) fn doorbell(&self) -> &Doorbell {
        &self.0.doorbell
    }

    pub(crate) fn options(&self) -> &ApiOptions {
        &self.0.options
    }

    pub(crate) fn rate(&self) -> &Rate {
        &self.0.rate
    }

    pub(crate) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.streams)
    }

    pub(crate) fn imports(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.imports)
    }

    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Ends the streams of events, and [`look_after`](Self::look_after), with another token too.
    pub async fn ends_with(&self, stop: CancellationToken) {
        stop.cancelled().await;
        self.0.stop.cancel();
    }

    /// What the API says about itself: whether the database answers it.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health.clone()
    }

    /// Asks the database from time to time, until the stop.
    pub async fn look_after(self) {
        const LOOK: std::time::Duration = std::time::Duration::from_secs(2);
        loop {
            match api_token::any(self.database().read()).await {
                Ok(_) => self.0.health.holds("database"),
                Err(_) => self.0.health.fails("database", "the database does not answer: requests get 503"),
            }
            tokio::select! {
                () = self.stop().cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}
