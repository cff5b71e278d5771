//! What goes wrong, as the caller reads it: problem details (RFC 9457).

use ackord_entities::database::{Fault, classify};
use ackord_entities::error_chain;
use ackord_entities::jobs::PayloadError;
use ackord_producer::EnqueueError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::error;
use utoipa::ToSchema;

use crate::frame::request_id;

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A request that was not carried out. Nothing was changed.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<u64>,
    more: Map<String, Value>,
}

/// A problem as it is written (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The kind of problem, stable: `urn:ackord:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:ackord:problem:not_found")]
    kind: String,
    /// The same for people, without particulars.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The kind of problem, short and stable, for programs.
    #[schema(example = "not_found")]
    code: &'static str,
    /// What is wrong and what would be right.
    #[schema(example = "there is no job 01890a5d-ac96-774b-bcce-b302099a8057")]
    detail: String,
    /// What is at fault, where it is one thing: a field of the body, a parameter, a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// By this the request is found in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// More about it: ids of what is in the way.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, field: None, retry_after: None, more: Map::new() }
    }

    /// The request cannot be read: 400.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// It can be read, and says what cannot be: 422.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).at(field)
    }

    /// There is no such thing, or nobody who asks may know of it: 404.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The state of things does not allow it: 409.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// The caller is known and may not: 403.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Something of ours is away: 503.
    pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    }

    /// Our own mistake: 500. The log has the cause, the caller has the request's id.
    pub(crate) fn internal() -> Self {
        let detail = "something went wrong here; the log tells what, by the request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// What is at fault.
    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// When to come again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// One thing more about it.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.more.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("urn:ackord:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            field: self.field,
            request_id: request_id(),
            more: self.more,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ackord\""));
        }
        response
    }
}

impl From<DbErr> for Problem {
    /// What the database says names servers, files and statements: it goes to the log.
    fn from(database: DbErr) -> Self {
        let fault = classify(&database);
        let cause = error_chain(&database);
        match fault {
            Fault::Unavailable => {
                tracing::warn!(error = cause, "the database is away: a request was turned away");
                Self::unavailable("database_unavailable", "the database is away; nothing was changed", 5)
            }
            Fault::Conflict | Fault::Transient => {
                tracing::info!(error = cause, "a request was in the way of another one");
                Self::unavailable("busy", "others were in the way; nothing was changed, try again", 1)
            }
            Fault::Permanent => {
                error!(error = cause, request = request_id(), "a request failed");
                Self::internal()
            }
        }
    }
}

impl From<PayloadError> for Problem {
    fn from(error: PayloadError) -> Self {
        let detail = error.to_string();
        match error {
            PayloadError::NotJson { .. } => Self::bad_request("not_json", detail),
            PayloadError::Invalid(invalid) => {
                let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_payload", detail);
                if invalid.field.is_empty() { problem } else { problem.at(invalid.field) }
            }
            PayloadError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
            }
            _ => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_payload", detail),
        }
    }
}

impl From<EnqueueError> for Problem {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Payload(error) => error.into(),
            EnqueueError::Database(error) => error.into(),
            _ => Self::internal(),
        }
    }
}

impl From<serde_json::Error> for Problem {
    /// Of what is stored or written here, never of what a caller sent.
    fn from(json: serde_json::Error) -> Self {
        error!(error = %json, request = request_id(), "what is stored cannot be read, or an answer not be written");
        Self::internal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_says_is_not_passed_on() {
        let problem = Problem::from(DbErr::Custom("no such table: jobs at /var/lib/ackord.db".to_owned()));
        assert_eq!(problem.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.detail.contains("jobs") && !problem.detail.contains('/'), "{}", problem.detail);
    }
}
