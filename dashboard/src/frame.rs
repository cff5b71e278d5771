//! What every request and every answer has: an id, headers, and an answer even to a panic.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use tracing::{Instrument, error, info_span};
use uuid::Uuid;

use crate::problem::Problem;
use crate::unread::Unread;

/// A caller may name his request; the answer has the same.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_ID: usize = 64;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers.
pub(crate) fn request_id() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The outermost layer.
pub(crate) async fn frame(request: Request, next: Next) -> impl IntoResponse {
    let id = given_id(&request).unwrap_or_else(|| Uuid::now_v7().to_string());
    let (unread, request) = Unread::of(request);
    let span = info_span!("request", method = %request.method(), path = request.uri().path(), request = id);
    let answer = async {
        AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            error!(request = request_id(), "a request ended in a panic");
            Problem::internal().into_response()
        })
    };
    let mut response = CURRENT.scope(id.clone(), answer.instrument(span)).await;
    unread.tell(response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    with_security_headers(response)
}

fn given_id(request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_plain);
    fits.then(|| id.to_owned())
}

/// A browser gets nothing to guess, to frame, to keep or to run.
fn with_security_headers<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        // The page has its own policy.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
