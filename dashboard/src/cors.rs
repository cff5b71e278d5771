//! What browsers are told about pages of other sites (CORS). Unless it was asked for, nothing: they then let no such page use the API.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::CorsLayer;

use crate::frame::REQUEST_ID;
use crate::idempotency::{KEY, REPLAYED};

/// Browsers ask again after this time.
const REMEMBERED: Duration = Duration::from_hours(1);

/// The layer that answers for these origins; `None` where there are none.
pub(crate) fn layer(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let last_event = HeaderName::from_static("last-event-id");
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            // A token is a header like any other: no cookie is ever asked for, so none is let through.
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, KEY, REQUEST_ID, last_event])
            .expose_headers([header::LOCATION, header::RETRY_AFTER, REQUEST_ID, REPLAYED])
            .max_age(REMEMBERED)
    })
}
