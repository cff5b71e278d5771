//! The endpoint over HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use futures::StreamExt as _;
use futures::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Asked, Reply, Script};

#[derive(Clone)]
struct Endpoint {
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Serves until `stopped`. What is still being said then is cut off.
pub(super) async fn serve(
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
    tell: Sender<SocketAddr>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    tell.send(listener.local_addr().expect("an address")).expect("somebody waits for it");
    let router = Router::new()
        .route("/v1/chat/completions", post(answer))
        .route("/v1/models", get(models))
        .with_state(Endpoint { script, asked });
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served.expect("it serves"),
        _ = stopped => {}
    }
}

async fn models(headers: HeaderMap) -> Response {
    if authorization(&headers).is_some_and(|key| key.ends_with("wrong")) {
        return plain(401, &[], r#"{"error":{"message":"Incorrect API key provided: wrong"}}"#.to_owned());
    }
    let list = json!({"object": "list", "data": [{"id": "scripted", "object": "model", "created": 1, "owned_by": "test"}]});
    plain(200, &[("content-type", "application/json".to_owned())], list.to_string())
}

async fn answer(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = {
        let mut all = endpoint.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Asked {
            number: all.len() + 1,
            authorization: authorization(&headers),
            body: serde_json::from_slice(&body).expect("a request is JSON"),
        };
        all.push(asked.clone());
        asked
    };
    assert_eq!(asked.body["stream"], true, "only streams are spoken here");
    match (endpoint.script)(&asked) {
        Reply::Said(said) => events(stream::iter(whole(said.events()).into_iter().map(Ok))),
        Reply::Held(permits, said) => {
            let mut first = whole(said.events());
            let rest = first.split_off(first.len() / 2);
            let wait = stream::once(async move {
                permits.acquire().await.expect("the test lets it go").forget();
                Ok(String::new())
            });
            events(
                stream::iter(first.into_iter().map(Ok))
                    .chain(wait)
                    .chain(stream::iter(rest.into_iter().map(Ok))),
            )
        }
        Reply::BrokenOff(said) => {
            let broken = stream::once(async { Err(io::Error::other("the server died")) });
            events(stream::iter(half(said.events()).into_iter().map(Ok)).chain(broken))
        }
        Reply::EndsEarly(said) => events(stream::iter(half(said.events()).into_iter().map(Ok))),
        Reply::Status(status, headers, body) => plain(status, &headers, body),
    }
}

fn whole(mut events: Vec<String>) -> Vec<String> {
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// Up to the end of the answer, which does not come any more.
fn half(mut events: Vec<String>) -> Vec<String> {
    events.truncate(events.len() / 2);
    events
}

fn events(stream: impl futures::Stream<Item = Result<String, io::Error>> + Send + 'static) -> Response {
    // Each event travels by itself.
    let slowly = stream.then(|event| async {
        tokio::task::yield_now().await;
        event
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .body(Body::from_stream(slowly))
        .expect("a response")
}

fn plain(status: u16, headers: &[(&'static str, String)], body: String) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(Body::from(body)).expect("a response")
}

fn authorization(headers: &HeaderMap) -> Option<String> {
    headers.get(header::AUTHORIZATION)?.to_str().ok().map(str::to_owned)
}
