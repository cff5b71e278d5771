//! What a process serves over HTTP: health and metrics (`/healthz`, `/readyz`, `/metrics`), and the API, which is another crate's.
//!
//! For health and metrics nobody is asked who he is, so nothing there is a secret, and the address is loopback unless somebody
//! chooses another.

mod answers;

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::Duration;

use ackord_producer::broker::BrokerState;
use ackord_producer::health::Health;
use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::exit::Exit;
use crate::problem::Problem;

/// After the stop, how long answers that are under way may take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What is served.
#[derive(Clone)]
pub(crate) struct Served {
    /// The parts of this process: it is ready when all their conditions hold.
    pub(crate) parts: Vec<Health>,
    /// What this process knows about others. It is shown, and has no part in its own readiness.
    pub(crate) elsewhere: Vec<Health>,
    pub(crate) metrics: PrometheusHandle,
    /// The broker of this process, where it has one.
    pub(crate) broker: Option<watch::Receiver<BrokerState>>,
    /// Who this is.
    pub(crate) name: String,
    /// What it runs.
    pub(crate) roles: Vec<&'static str>,
}

/// An address that is taken, and what will be shown there.
pub(crate) struct Door {
    listener: TcpListener,
    /// Where it is, with the port that was found where none was asked for.
    pub(crate) address: SocketAddr,
    pub(crate) metrics: PrometheusHandle,
}

/// Takes the address and starts to count. Call it before the parts are made: each takes its counters when it is made.
///
/// # Errors
/// The address is taken, or not this machine's.
pub(crate) async fn open(address: SocketAddr) -> Result<Door, Problem> {
    let listener = bind(address).await?;
    let address = listener.local_addr().unwrap_or(address);
    Ok(Door { listener, address, metrics: crate::telemetry::metrics::install()? })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process has it, perhaps another `ackord`: give each its own with --listen, or port 0 for any"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "it is not an address of this machine: give 127.0.0.1:9464, or 0.0.0.0:9464 for all of them"
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need rights: give a higher one with --listen"
            }
            _ => "give another address with --listen",
        };
        Problem::new(Exit::Refused, format!("listen: {address} cannot be listened on: {error}")).remedy(remedy)
    })
}

/// Serves health and metrics until `stop`, and `api` beside them where it is given.
pub(crate) async fn serve(door: Door, served: Served, api: Option<Router>, stop: CancellationToken) {
    info!(address = %door.address, "health and metrics are served");
    answers::name(&served);
    let own = Router::new()
        .route("/healthz", get(answers::alive))
        .route("/readyz", get(answers::ready))
        .route("/metrics", get(answers::metrics))
        .with_state(served);
    let app = match api {
        Some(api) => api.merge(own),
        None => own.fallback(answers::nothing_here),
    };
    serve_router(door.listener, app, stop).await;
}

/// Takes an address for the API alone.
///
/// # Errors
/// The address is taken, or not this machine's.
pub(crate) async fn open_api(address: SocketAddr) -> Result<ApiDoor, Problem> {
    let listener = bind(address).await?;
    let address = listener.local_addr().unwrap_or(address);
    Ok(ApiDoor { listener, address })
}

/// An address that is taken for the API.
pub(crate) struct ApiDoor {
    listener: TcpListener,
    /// Where it is, with the port that was found where none was asked for.
    pub(crate) address: SocketAddr,
}

/// Serves the API alone until `stop`.
pub(crate) async fn serve_api(door: ApiDoor, api: Router, stop: CancellationToken) {
    info!(address = %door.address, "the HTTP API is served");
    serve_router(door.listener, api, stop).await;
}

async fn serve_router(listener: TcpListener, app: Router, stop: CancellationToken) {
    let stopped = stop.clone().cancelled_owned();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped).into_future();
    let last = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        ended = server => if let Err(error) = ended {
            error!(error = %error, "nothing is served over HTTP any more");
        },
        // Whoever keeps a connection open does not keep the process.
        () = last => {}
    }
}
