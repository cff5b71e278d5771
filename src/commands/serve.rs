//! `ackord serve`.

use std::net::SocketAddr;

use ackord_dashboard::{Api, ApiOptions};
use ackord_entities::database::Database;
use ackord_entities::jobs::catalogue;
use ackord_producer::Doorbell;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::exit::Exit;
use crate::http::{self, Served};
use crate::node::Identity;
use crate::problem::Problem;
use crate::schema;
use crate::session::Session;
use crate::signals::stop_on_signal;
use crate::telemetry::metrics;

/// Where it listens when nothing else is said: this machine only.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9470);

/// Serve the HTTP API, with health and metrics beside it; makes and migrates the database
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It needs the database only: what is published waits there for `up`, `work` and `relay`, and a broker that is down changes nothing.
The OpenAPI document is at /api/v1/openapi.json, a page to browse it at /api/v1/docs/. Without a token (`ackord tokens create`) it
answers this machine only, and lets everybody on it do everything.

Examples:
  ackord serve
  ackord serve --listen 0.0.0.0:9470 --database postgres://ackord@db/jobs
  curl -H \"authorization: Bearer $TOKEN\" http://127.0.0.1:9470/api/v1/jobs")]
pub(crate) struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:9470]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
}

impl ServeArgs {
    #[allow(clippy::unused_self, reason = "its flag is read with the configuration")]
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let config = session.config();
        let address = config.listen.map_or(HERE, |listen| listen.0);
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let database = session.open(true).await?;
        let migrated = schema::bring_up(&database).await?;
        if !migrated.is_empty() {
            info!(migrations = migrated.join(", "), "the schema was brought up");
        }
        let options = options(config, address);
        let api =
            Api::new(database.clone(), catalogue(), Doorbell::outside(&database), options, stop.clone());
        check(&api).await?;
        let door = http::open(address).await?;
        let served = Served {
            parts: vec![api.health()],
            elsewhere: Vec::new(),
            metrics: door.metrics.clone(),
            broker: None,
            name: Identity::new().name,
            roles: vec!["serve"],
        };
        announce(session, &database, door.address)?;
        let router = ackord_dashboard::router(api.clone());
        let upkeep = metrics::upkeep(door.metrics.clone(), stop.clone());
        tokio::join!(http::serve(door, served, Some(router), stop), api.look_after(), upkeep);
        database.close().await;
        Ok(Exit::Success)
    }
}

fn announce(session: &Session, database: &Database, address: SocketAddr) -> anyhow::Result<()> {
    let location = database.location().to_string();
    let ready = serde_json::json!({
        "ready": true,
        "database": location,
        "listen": address,
        "process": std::process::id(),
    });
    session.terminal.answer(&ready, || {
        format!("ackord serves {location} at http://{address}/api/v1/docs/. Ctrl-C stops it.")
    })?;
    Ok(())
}

/// How the API behaves by the configuration.
pub(crate) fn options(config: &crate::config::Config, address: SocketAddr) -> ApiOptions {
    let elsewhere = config.graphs.keys().filter(|slug| config.written_elsewhere(slug).is_some());
    ApiOptions {
        requests_per_second: config.api.requests_per_second.0,
        allowed_origins: config.api.allowed_origins.0.clone(),
        written_elsewhere: elsewhere.cloned().collect(),
        ..ApiOptions::at(address)
    }
}

/// Refuses to let everybody in from everywhere.
///
/// # Errors
/// Other machines reach the address and there are no tokens; whatever the database answers.
pub(crate) async fn check(api: &Api) -> anyhow::Result<()> {
    api.check().await?.map_err(|refusal| {
        Problem::refused(refusal.to_string())
            .remedy("make one with `ackord tokens create NAME --role admin`, or listen on 127.0.0.1 only")
    })?;
    Ok(())
}
