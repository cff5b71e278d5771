//! Requests that are answered before their body was read.
//!
//! The server then ends the connection, since what is left of the body stands in the way of the next request. Whoever is not told so sends
//! that request into a connection that is being closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use futures::{StreamExt, stream};

/// Whether a request's body is still unread.
pub(crate) struct Unread {
    ended: Arc<AtomicBool>,
    is_told: bool,
}

impl Unread {
    /// Watches the body of `request`.
    pub(crate) fn of(request: Request) -> (Self, Request) {
        let ended = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        // HTTP/2 ends the request alone, and knows no such header.
        let is_told = request.version() <= Version::HTTP_11;
        if ended.load(Ordering::Relaxed) {
            return (Self { ended, is_told }, request);
        }
        let seen = Arc::clone(&ended);
        let end = stream::once(async move {
            seen.store(true, Ordering::Relaxed);
            Ok(Bytes::new())
        });
        let request = request.map(|body| Body::from_stream(body.into_data_stream().chain(end)));
        (Self { ended, is_told }, request)
    }

    /// Says in an answer that the connection ends with it, if it does.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if self.is_told && !self.ended.load(Ordering::Relaxed) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}
