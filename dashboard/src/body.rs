//! Reading a request: its body, its query, the ids in its path. What cannot be read names the field.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use chrono::{DateTime, Datelike, Utc};
use futures::StreamExt;
use futures::stream::unfold;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::problem::Problem;

/// Bytes behind a body's limit that are read to be thrown away, and for how long.
const THROWN_AWAY: usize = 16 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON body that may be left out.
pub(crate) struct MaybeJson<T>(pub(crate) T);

/// A JSON body as text, for what reads it by itself.
pub(crate) struct JsonText(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(unsupported("send JSON with `content-type: application/json`"));
        }
        let bytes = bytes(request, state).await?;
        String::from_utf8(bytes.to_vec())
            .map(Self)
            .map_err(|_| Problem::bad_request("not_json", "the body is not UTF-8"))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonText(text) = JsonText::from_request(request, state).await?;
        parse(&text).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = is_json(&request);
        let named = request.headers().contains_key(header::CONTENT_TYPE);
        let bytes = bytes(request, state).await?;
        match (bytes.is_empty(), json) {
            (true, _) => Ok(Self(T::default())),
            (false, true) => {
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| Problem::bad_request("not_json", "the body is not UTF-8"))?;
                // `null` is nothing too.
                Ok(Self(parse::<Option<T>>(text)?.unwrap_or_default()))
            }
            (false, false) if named => Err(unsupported("send JSON with `content-type: application/json`")),
            (false, false) => Err(unsupported("name the body's type: `content-type: application/json`")),
        }
    }
}

pub(crate) fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail).at("content-type")
}

fn is_json(request: &Request) -> bool {
    media_type(request).is_some_and(|media| media == "application/json" || media.ends_with("+json"))
}

/// The media type of the body, without its parameters.
pub(crate) fn media_type(request: &Request) -> Option<String> {
    let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The whole body, within the limit of the router.
pub(crate) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    let rest = Arc::new(Mutex::new(body.into_data_stream()));
    let stream = unfold(Arc::clone(&rest), async |rest| {
        let chunk = rest.lock().await.next().await?;
        Some((chunk, rest))
    });
    let request = Request::from_parts(parts, Body::from_stream(stream));
    match Bytes::from_request(request, state).await {
        Ok(bytes) => Ok(bytes),
        Err(BytesRejection::FailedToBufferBody(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let _ = timeout(PATIENCE, throw_away(&rest)).await;
            let detail = "the body is larger than this route takes";
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail))
        }
        Err(_) => Err(Problem::bad_request("unreadable_body", "the body could not be read to its end")),
    }
}

/// Most clients read no answer while they send: whoever sent too much learns so if the rest is not endless.
async fn throw_away(rest: &Mutex<BodyDataStream>) {
    let mut thrown = 0;
    while let Some(Ok(chunk)) = rest.lock().await.next().await {
        thrown += chunk.len();
        if thrown > THROWN_AWAY {
            return;
        }
    }
}

/// Reads JSON. What is no JSON is 400, what does not fit is 422 and names the field.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_syntax() || inner.is_eof() {
            return not_json(&inner);
        }
        let reason = inner.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let is_about_a_name =
            ["missing field", "unknown field"].iter().any(|start| reason.starts_with(start));
        let named = reason.split('`').nth(1).filter(|_| is_about_a_name);
        let field = match (path.as_str(), named) {
            (".", Some(name)) => name.to_owned(),
            (".", None) => return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", reason),
            // An unknown field is part of the path already.
            (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
            (path, _) => path.to_owned(),
        };
        Problem::invalid(field, reason)
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    refuse_nul(text)?;
    Ok(value)
}

/// Neither database keeps a NUL character in text.
fn refuse_nul(text: &str) -> Result<(), Problem> {
    // The text may be an escaped backslash followed by `u0000`: only what was read can tell.
    let holds = text.contains(r"\u0000") && serde_json::from_str(text).is_ok_and(|value| holds_nul(&value));
    if holds {
        let detail = r"a text holds a NUL character (\u0000): remove it";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail));
    }
    Ok(())
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, item)| name.contains('\0') || holds_nul(item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A moment that both databases can compare: from the year 1 to the year 9999.
///
/// # Errors
/// It is none; `field` is at fault.
pub(crate) fn moment(field: &str, time: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Problem> {
    match time {
        Some(time) if !(1..=9999).contains(&time.year()) => {
            let detail = "give a moment from the year 1 to the year 9999";
            Err(Problem::bad_request("invalid_moment", detail).at(field))
        }
        time => Ok(time),
    }
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::bad_request("not_json", format!("the body is not JSON: {error}"))
}

/// The query.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            let text = rejection.body_text();
            let reason = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason);
            let field = match reason.split_once(": ") {
                Some((field, _)) if !field.contains(' ') => Some(field),
                _ => reason.split('`').nth(1),
            };
            let problem = Problem::bad_request("invalid_query", format!("the query does not fit: {reason}"));
            match field {
                Some(field) => problem.at(field),
                None => problem,
            }
        })?;
        // Neither database keeps a NUL character in text, so nothing can be asked for with one.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Problem::bad_request("invalid_query", "the query holds a NUL character: remove it"));
        }
        Ok(Self(query.0))
    }
}

/// The one thing that the path names.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for Named<T>
where
    T::Err: std::fmt::Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| unreadable_path())?;
        read(&text).map(Self)
    }
}

/// The two things that the path names.
pub(crate) struct NamedTwo<T, U>(pub(crate) T, pub(crate) U);

impl<T: FromStr + Send, U: FromStr + Send, S: Send + Sync> FromRequestParts<S> for NamedTwo<T, U>
where
    T::Err: std::fmt::Display,
    U::Err: std::fmt::Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((one, other)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable_path())?;
        Ok(Self(read(&one)?, read(&other)?))
    }
}

fn read<T: FromStr>(text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    if text.contains('\0') {
        return Err(unreadable_path());
    }
    text.parse().map_err(|error: T::Err| Problem::bad_request("invalid_path", error.to_string()))
}

fn unreadable_path() -> Problem {
    Problem::bad_request("invalid_path", "the path cannot be read")
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        #[expect(dead_code, reason = "only read")]
        topic: String,
        #[expect(dead_code, reason = "only read")]
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Debug, Deserialize)]
    struct Part {
        #[expect(dead_code, reason = "only read")]
        budget: u32,
    }

    fn problem(text: &str) -> (StatusCode, String) {
        let problem = parse::<Wish>(text).map(drop).err();
        let detail = format!("{problem:?}");
        (problem.map_or(StatusCode::OK, |problem| problem.into_response().status()), detail)
    }

    #[test]
    fn what_is_no_json_and_what_does_not_fit_are_told_apart_and_name_the_field() {
        for (text, status, named) in [
            ("{", StatusCode::BAD_REQUEST, "line 1"),
            (r#"{"topic": "a"} x"#, StatusCode::BAD_REQUEST, "not JSON"),
            (r"{}", StatusCode::UNPROCESSABLE_ENTITY, r#"Some("topic")"#),
            (r#"{"topic": 7}"#, StatusCode::UNPROCESSABLE_ENTITY, r#"Some("topic")"#),
            (r#"{"topic": "a", "colour": 1}"#, StatusCode::UNPROCESSABLE_ENTITY, r#"Some("colour")"#),
            (
                r#"{"topic": "a", "parts": [{"budget": -1}]}"#,
                StatusCode::UNPROCESSABLE_ENTITY,
                r#"Some("parts[0].budget")"#,
            ),
            (
                r#"{"topic": "a", "parts": [{}]}"#,
                StatusCode::UNPROCESSABLE_ENTITY,
                r#"Some("parts[0].budget")"#,
            ),
            ("7", StatusCode::UNPROCESSABLE_ENTITY, "field: None"),
        ] {
            let (found, detail) = problem(text);
            assert_eq!(found, status, "{text}: {detail}");
            assert!(detail.contains(named), "{text}: {detail}");
        }
    }
}
