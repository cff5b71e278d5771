//! The database: there, fitting, durable, with room and with the right time.

use std::time::Duration;

use ackord_entities::clock::machine_now;
use ackord_entities::database::{Database, ServerFacts, facts, try_connecting};
use ackord_entities::queue::process;
use sea_orm::{DbBackend, DbErr};

use super::check::{Check, Checks};
use super::count_processes;
use crate::schema::{self, SchemaState};
use crate::session::Session;
use crate::terminal::length;

/// The oldest PostgreSQL that ackord is tested with.
const OLDEST_POSTGRES: u32 = 15;
/// A difference of clocks that people stumble over when they compare logs.
const CLOCKS_APART: Duration = Duration::from_secs(2);
/// Connections of one process: its pool, and one that listens.
const CONNECTIONS_OF_A_PROCESS: i64 = 11;

/// Opens the database and looks at it. `None`: nothing more can be asked of it.
pub(super) async fn look(session: &Session, checks: &mut Checks) -> Option<Database> {
    let database = match session.open(false).await {
        Ok(database) => database,
        Err(error) => {
            let found = ackord_entities::error_chain(error.as_ref());
            checks.add(Check::failed(
                "database.reachable",
                found,
                "see `ackord config` for where it comes from",
            ));
            return None;
        }
    };
    let looked = look_at(&database, checks).await;
    let fits = looked.unwrap_or_else(|error| {
        let found = ackord_entities::error_chain(&error);
        checks.add(Check::failed("database.reachable", found, "mend the database, then look again"));
        false
    });
    if fits {
        return Some(database);
    }
    database.close().await;
    None
}

/// Answers whether its tables can be read.
async fn look_at(database: &Database, checks: &mut Checks) -> Result<bool, DbErr> {
    let server = facts(database.read()).await?;
    let is_server = database.backend() == DbBackend::Postgres;
    let mut reached = format!("{}, {}", database.location(), server.product);
    if is_server {
        reached.push_str(", ");
        reached.push_str(server.tls.as_deref().unwrap_or("not encrypted"));
    }
    checks.add(Check::ok("database.reachable", reached));
    if is_server && server.major < OLDEST_POSTGRES {
        let remedy = format!("ackord is tested with PostgreSQL {OLDEST_POSTGRES} and newer");
        checks.add(Check::warning("database.version", server.product.clone(), remedy));
    }
    checks.add(durability(&server));
    if is_server {
        checks.add(clocks(database).await?);
        checks.add(listening(database).await);
    }
    let status = schema::status(database).await?;
    let check = "database.schema";
    let fits = status.state() == SchemaState::Current;
    checks.add(match status.state() {
        SchemaState::Current => Check::ok(check, "it fits this program"),
        SchemaState::Missing => Check::failed(
            check,
            "there are no tables",
            "`ackord schema up` makes them; up, work and relay do so too",
        ),
        SchemaState::Older => Check::failed(
            check,
            format!("older than this program: {} missing", status.pending.join(", ")),
            "stop the other ackord processes on it, then run `ackord schema up`",
        ),
        SchemaState::Newer => Check::failed(
            check,
            format!("newer than this program: it has {}", status.unknown.join(", ")),
            "update this program",
        ),
    });
    if fits && is_server {
        checks.add(room(database, &server).await?);
    }
    Ok(fits)
}

fn durability(server: &ServerFacts) -> Check {
    let check = "database.durable";
    if server.not_durable.is_empty() {
        return Check::ok(check, "a commit that was answered survives a power cut");
    }
    Check::failed(
        check,
        server.not_durable.join(", "),
        "switch it on in postgresql.conf: until then a crash of the server may lose jobs that were accepted, and effects that happened",
    )
}

async fn clocks(database: &Database) -> Result<Check, DbErr> {
    let check = "database.clock";
    let before = machine_now();
    let theirs = database.clock().now(database.read()).await?;
    let after = machine_now();
    // The answer was made somewhere between the two.
    let apart = if theirs < before { before - theirs } else { theirs - after };
    let apart = apart.to_std().unwrap_or_default();
    let found = format!("the database's clock and this machine's are {} apart", length(apart));
    Ok(if apart < CLOCKS_APART {
        Check::ok(check, found)
    } else {
        let remedy = "the database's clock decides, so jobs are right; let both follow the same time server, so that logs are too";
        Check::warning(check, found, remedy)
    })
}

/// Whether the relay can be woken, or has to look.
async fn listening(database: &Database) -> Check {
    let check = "database.listen";
    match database.listen_url() {
        Some(url) => match try_connecting(url).await {
            Ok(()) => Check::ok(check, "a direct connection can be listened to: new jobs start at once"),
            Err(error) => Check::warning(
                check,
                ackord_entities::error_chain(&error),
                "correct database_listen; until then new jobs start when the relay next looks",
            ),
        },
        None => Check::warning(
            check,
            "a pooler stands before the database: new jobs start when the relay next looks",
            "give the server's own address as database_listen (ACKORD_DATABASE_LISTEN)",
        ),
    }
}

async fn room(database: &Database, server: &ServerFacts) -> Result<Check, DbErr> {
    let check = "database.connections";
    let Some(connections) = server.connections else { return Ok(Check::ok(check, "not counted")) };
    let now = database.clock().now(database.read()).await?;
    let processes = process::alive(database.read(), now).await?.len();
    let wanted = i64::try_from(processes).unwrap_or(i64::MAX).saturating_mul(CONNECTIONS_OF_A_PROCESS);
    let found = format!(
        "{} open of {} allowed; {} of ackord may want {wanted}",
        connections.open,
        connections.allowed,
        count_processes(processes)
    );
    Ok(if wanted <= connections.allowed && connections.open < connections.allowed {
        Check::ok(check, found)
    } else {
        Check::warning(check, found, "raise max_connections, put a pooler in between, or run fewer processes")
    })
}
