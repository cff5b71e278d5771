//! What nobody shows a token for: the OpenAPI document, and the page to browse it. All of the page is in this program, so it works
//! without a network.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde_json::Value;
use utoipa_swagger_ui::SwaggerUi;

/// Scripts of this program only; the page writes its own styles and draws its own signs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router<S: Clone + Send + Sync + 'static>(document: Value) -> Router<S> {
    let page = SwaggerUi::new("/api/v1/docs").external_url_unchecked("/api/v1/openapi.json", document);
    Router::from(page).layer(from_fn(with_policy))
}

async fn with_policy(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
