//! The bell of a Postgres database: `NOTIFY` and `LISTEN`.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::jobs::Backoff;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions as _};
use sea_orm::{ConnectionTrait, DbErr};
use tracing::{info, warn};

const CHANNEL: &str = "ackord_outbox";
/// Nobody rang for so long: is the connection still there? A server that is silent for ever looks like one that is idle.
const LOOK: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(5);

/// Rings in every process that listens. A transaction of its own, which writes nothing and so waits for no disk.
pub(super) async fn notify(database: &Database) -> Result<(), DbErr> {
    database.write().execute_unprepared(&format!("NOTIFY {CHANNEL}")).await.map(drop)
}

/// Calls `ring` for each ring, and for each new connection: what was rung meanwhile was not heard.
pub(super) async fn listen(url: &str, ring: impl Fn()) {
    let mut failures = 0;
    loop {
        let Err(error) = session(url, &ring, &mut failures).await;
        failures += 1;
        if failures == 1 {
            warn!(error = %error, "other processes cannot ring for now; what they publish starts up to a second later");
        }
        let policy = Backoff {
            initial: Duration::from_millis(100),
            longest: Duration::from_secs(10),
            ..Backoff::DEFAULT
        };
        tokio::time::sleep(policy.delay_after(failures)).await;
    }
}

/// From one connection to its loss.
async fn session(url: &str, ring: &impl Fn(), failures: &mut u32) -> Result<Infallible, sqlx::Error> {
    let options =
        PgConnectOptions::from_str(url)?.application_name("ackord-listen").disable_statement_logging();
    let mut listener = in_time(async {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ANSWER)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    })
    .await?;
    if *failures > 0 {
        info!("other processes can ring again");
        *failures = 0;
    }
    ring();
    loop {
        match tokio::time::timeout(LOOK, listener.try_recv()).await {
            Ok(Ok(Some(_notification))) => ring(),
            Ok(Ok(None)) => return Err(sqlx::Error::Protocol("the connection was lost".to_owned())),
            Ok(Err(error)) => return Err(error),
            Err(_quiet) => {
                in_time(async { sqlx::raw_sql("SELECT 1").execute(&mut listener).await }).await?;
            }
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
