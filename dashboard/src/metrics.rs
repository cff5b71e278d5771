//! What the API counts.
//!
//! Labels come from lists of ours and never from a request: the template of the route, the methods that a route can have, the
//! first digit of the status. So a caller makes no series.

use std::time::Instant;

use ackord_producer::metrics::Metric;
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{Gauge, counter, gauge, histogram};

const REQUESTS: &str = "ackord_api_requests_total";
const SECONDS: &str = "ackord_api_request_seconds";
const IN_FLIGHT: &str = "ackord_api_requests_in_flight";
const STREAMS: &str = "ackord_api_streams_open";

/// The metrics of this crate.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        REQUESTS,
        &["route", "method", "status"],
        "Requests to the API that were answered, by the route's template (none: there is no such route), the method and the class of \
         the status: 2xx, 4xx.",
    ),
    Metric::histogram(
        SECONDS,
        &["route", "method"],
        "Seconds from a request to the head of its answer; a stream of events is answered when it begins.",
    ),
    Metric::gauge(IN_FLIGHT, &[], "Requests to the API that are being answered at the moment."),
    Metric::gauge(STREAMS, &[], "Streams of events that are open at the moment."),
];

/// The outermost layer: whatever happens inside is counted, a panic too.
pub(crate) async fn count(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = method(request.method());
    let (begun, counted) = (Instant::now(), Counted::begin(gauge!(IN_FLIGHT)));
    let response = next.run(request).await;
    drop(counted);
    counter!(REQUESTS, "route" => route.clone(), "method" => method, "status" => class(response.status()))
        .increment(1);
    histogram!(SECONDS, "route" => route, "method" => method).record(begun.elapsed());
    response
}

/// One of those that a gauge shows, until it is dropped: whoever hangs up is not counted any more.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn begin(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }

    /// A stream of events.
    pub(crate) fn stream() -> Self {
        Self::begin(gauge!(STREAMS))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A method that a route can have; a caller may make up others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_method_and_no_status_makes_a_label_of_its_own() {
        let made_up = Method::from_bytes(b"BREW").unwrap_or_default();
        assert_eq!(
            (method(&made_up), method(&Method::TRACE), method(&Method::GET)),
            ("other", "other", "GET")
        );
        let classes = (100..=999).filter_map(|code| StatusCode::from_u16(code).ok()).map(class);
        assert_eq!(classes.collect::<std::collections::BTreeSet<_>>().len(), 5);
    }
}
