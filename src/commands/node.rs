//! `ackord up`, `ackord work` and `ackord relay`: processes that go on until they are told to stop.

use ackord_entities::queue::process::Role;
use tokio_util::sync::CancellationToken;

use super::up::{check, known};
use crate::exit::Exit;
use crate::node::{Node, NodeOptions, Verb};
use crate::places;
use crate::registry::registry;
use crate::session::Session;
use crate::signals::stop_on_signal;

/// Runs the node of `verb` until a signal.
pub(super) async fn run(session: &Session, verb: Verb) -> anyhow::Result<Exit> {
    let config = session.config();
    check(&config.worker.concurrency)?;
    known("worker.notices", config.worker.notices.0.iter())?;
    let options = NodeOptions::of(verb, config);
    options.check()?;
    let registry = registry(config)?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let database = session.open(true).await?;
    let location = database.location().to_string();
    let start = async {
        if verb.roles().contains(&Role::Work) {
            places::bring_up_all(config).await?;
        }
        Node::start(database, registry, options).await
    };
    let started = tokio::select! {
        started = start => started?,
        // It may wait for another process, or for a server.
        () = stop.cancelled() => return Ok(Exit::Success),
    };
    let broker = started.broker().url.clone();
    let roles: Vec<&str> = verb.roles().into_iter().map(Role::name).collect();
    let ready = serde_json::json!({
        "ready": true,
        "database": location,
        "broker": broker,
        "roles": roles,
        "name": started.identity().name,
        "listen": started.listens(),
        "api": started.serves_api(),
        "process": std::process::id(),
    });
    session.terminal.answer(&ready, || {
        format!("ackord {} works on {location} with the broker {broker}. Ctrl-C stops it.", verb.name())
    })?;
    started.run(stop).await?;
    Ok(Exit::Success)
}
