//! The header `Idempotency-Key`: the same key with the same request gives the first answer again, for a day.

use ackord_entities::queue::idempotency::{self, Known};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;
use serde::Serialize;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::problem::Problem;

const LONGEST: usize = 200;
/// The header.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, if it has one.
pub(crate) struct Key(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(KEY) else { return Ok(Self(None)) };
        let key = value.to_str().ok().map(str::trim);
        let key = key.filter(|key| (1..=LONGEST).contains(&key.len()));
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| {
            let detail = format!("give a key of 1 to {LONGEST} visible characters");
            Problem::bad_request("invalid_header", detail).at("idempotency-key")
        })
    }
}

/// An answer to a request that made something.
pub(crate) struct Made {
    status: StatusCode,
    location: Option<String>,
    body: Value,
    replayed: bool,
}

impl Made {
    /// 202: it was taken, and is done by a job.
    pub(crate) fn accepted(location: String, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_value(body)?;
        Ok(Self { status: StatusCode::ACCEPTED, location: Some(location), body, replayed: false })
    }
}

impl IntoResponse for Made {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        if let Some(location) = self.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl Key {
    /// Ends `tx`, which has made the answer: committed with the key, or rolled back where the same request was answered before. Two
    /// at once wait for each other.
    ///
    /// # Errors
    /// The key was used for another request (422); whatever the database answers.
    pub(crate) async fn conclude(
        &self,
        tx: DatabaseTransaction,
        caller: &Caller,
        request: &Value,
        made: Made,
        now: DateTime<Utc>,
    ) -> Result<Made, Problem> {
        let Some(key) = &self.0 else {
            tx.commit().await?;
            return Ok(made);
        };
        let answer = json!({ "status": made.status.as_u16(), "location": made.location, "body": made.body });
        let (request, answer) = (request.to_string(), answer.to_string());
        match idempotency::remember(&tx, &caller.scope(), key, &request, &answer, now).await? {
            Known::New => {
                tx.commit().await?;
                Ok(made)
            }
            Known::Answered(first) => {
                tx.rollback().await?;
                read(&first)
            }
            Known::OtherRequest => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this key was used for another request within a day: take another one",
            )
            .at("idempotency-key")),
        }
    }
}

fn read(answer: &str) -> Result<Made, Problem> {
    let mut answer: Value = serde_json::from_str(answer)?;
    let status = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    Ok(Made {
        status: status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::ACCEPTED),
        location: answer["location"].as_str().map(str::to_owned),
        body: answer["body"].take(),
        replayed: true,
    })
}
