//! Opening a Postgres server: its limits, and whether a pooler stands before it.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions as _, Connection as _, Row};

use super::options::{DatabaseOptions, Limits, STATEMENT_CACHE};
use super::pool::{PoolOptions, PostgresPool};
use super::{DatabaseError, Location, tls};

/// A pooler that knows the protocol but not what was asked for.
const PROTOCOL_VIOLATION: &str = "08P01";

/// Connects once, finds out what stands there, and prepares the pool.
pub(super) async fn open(
    url: &str,
    options: &DatabaseOptions,
    location: &Location,
) -> Result<PostgresPool, DatabaseError> {
    let limits = &options.limits;
    let plain = parse(url, location)?.application_name("ackord").disable_statement_logging();
    if let Some(listen_url) = &options.listen_url {
        parse(listen_url, &listen_url.parse()?)?;
    }
    let direct = with_settings(plain.clone(), limits).statement_cache_capacity(STATEMENT_CACHE);
    let shared = plain.statement_cache_capacity(0).extra_float_digits(None);
    let has_pooler = options.listen_url.is_some() || is_pooler(&direct, limits, location).await?;
    let (connect, preamble) = if has_pooler {
        let connection = connect(&shared, limits.connect).await;
        close(connection.map_err(|source| DatabaseError::postgres(location, source))?).await;
        (shared, Some(preamble(limits)))
    } else {
        (direct, None)
    };
    Ok(PostgresPool::new(PoolOptions {
        connect,
        max_connections: options.max_connections,
        acquire_timeout: limits.acquire,
        answer_timeout: limits.answer,
        preamble,
    }))
}

/// Reads a URL. What it says about TLS is looked at here, before anything is sent.
fn parse(url: &str, location: &Location) -> Result<PgConnectOptions, DatabaseError> {
    let options =
        PgConnectOptions::from_str(url).map_err(|source| DatabaseError::postgres(location, source))?;
    tls::check(&options)
        .map_err(|source| DatabaseError::TlsOptions { location: location.to_string(), source })?;
    Ok(options)
}

/// Connects to the server at `url` once, and leaves again: whether it can be listened to there.
///
/// # Errors
/// [`DatabaseError`], which names the server and the remedy.
pub async fn try_connecting(url: &str) -> Result<(), DatabaseError> {
    let location: Location = url.parse()?;
    let options = parse(url, &location)?.disable_statement_logging();
    let connection = connect(&options, Limits::default().connect).await;
    close(connection.map_err(|source| DatabaseError::postgres(&location, source))?).await;
    Ok(())
}

/// A server takes our settings with the first message. A pooler refuses them, or drops them without a word.
async fn is_pooler(
    direct: &PgConnectOptions,
    limits: &Limits,
    location: &Location,
) -> Result<bool, DatabaseError> {
    let fault = |source| DatabaseError::postgres(location, source);
    let mut connection = match connect(direct, limits.connect).await {
        Ok(connection) => connection,
        Err(sqlx::Error::Database(error))
            if error.code().as_deref() == Some(PROTOCOL_VIOLATION)
                && error.message().contains("startup parameter") =>
        {
            return Ok(true);
        }
        Err(source) => return Err(fault(source)),
    };
    // Without parameters: a pooler might give the second half of a prepared statement to another server.
    let sql = format!("SELECT current_setting('{MARK}', true)");
    let asked = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut connection);
    let row = tokio::time::timeout(limits.connect, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let mark: Option<String> = row.and_then(|row| row.try_get(0)).map_err(fault)?;
    close(connection).await;
    Ok(mark.as_deref() != Some(MARKED))
}

async fn connect(options: &PgConnectOptions, wait: Duration) -> Result<PgConnection, sqlx::Error> {
    tokio::time::timeout(wait, PgConnection::connect_with(options))
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

async fn close(connection: PgConnection) {
    // Not closed in time is as good as closed.
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
}

/// A setting that means nothing to the server: by it we see whether ours arrive.
const MARK: &str = "ackord.direct";
const MARKED: &str = "yes";

/// Settings for the length of a connection. The server watches its side of the network too: what is left of a machine that
/// vanished, its locks above all, is gone within a minute.
fn with_settings(options: PgConnectOptions, limits: &Limits) -> PgConnectOptions {
    let millis = |limit: Duration| limit.as_millis().to_string();
    let settings = [
        ("statement_timeout", millis(limits.statement)),
        ("lock_timeout", millis(limits.lock)),
        ("idle_in_transaction_session_timeout", millis(limits.idle_in_transaction)),
        ("tcp_keepalives_idle", "30".to_owned()),
        ("tcp_keepalives_interval", "10".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
        ("tcp_user_timeout", "60000".to_owned()),
        // What the engine's statements count on, whatever the server's default is.
        ("default_transaction_isolation", "read committed".to_owned()),
        // Compiling a plan takes a hundred times as long as running one of ours; a wrong estimate would have it done.
        ("jit", "off".to_owned()),
        // A table of a queue is almost empty at one moment and holds a million rows at the next, and Postgres keeps the plans of
        // prepared statements. One that was made at the first moment would read the million, for each group.
        ("enable_seqscan", "off".to_owned()),
        (MARK, MARKED.to_owned()),
    ];
    let given = options.get_options().unwrap_or_default().to_owned();
    options.options(settings.into_iter().filter(|(name, _)| !given.contains(name)))
}

/// The same for the length of a transaction. Statements that another client has left prepared on the server connection go first:
/// the driver numbers its own from 1 on every connection.
fn preamble(limits: &Limits) -> String {
    format!(
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; DEALLOCATE ALL; SET LOCAL jit = off; SET LOCAL enable_seqscan = off; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
         SET LOCAL idle_in_transaction_session_timeout = {}",
        limits.statement.as_millis(),
        limits.lock.as_millis(),
        limits.idle_in_transaction.as_millis()
    )
}
