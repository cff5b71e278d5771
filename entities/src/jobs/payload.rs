//! Payloads as bytes: written once by the publisher, read once by the worker.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::strict::Strict;
use super::{Invalid, Job, misfit};

/// A payload is at most this long, in bytes of JSON. Larger things belong in a store of their own, the payload names them.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// A payload that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The bytes are not JSON.
    #[error("the payload is not JSON (line {line}, column {column}): {reason}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser said.
        reason: String,
    },
    /// The payload does not fit the kind's schema or its rules.
    #[error("the payload does not fit: {0}")]
    Invalid(#[from] Invalid),
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`].
    #[error(
        "the payload has {bytes} bytes, the limit is {MAX_PAYLOAD_BYTES}: store the bulk elsewhere and publish a reference"
    )]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The payload was written by a newer program.
    #[error(
        "the payload has version {found}, this program knows versions up to {known} of `{kind}`: update it"
    )]
    NewerVersion {
        /// The kind.
        kind: &'static str,
        /// The payload's version.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
}

impl PayloadError {
    /// Short stable code, for fingerprints and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::Invalid(_) => "invalid_payload",
            Self::TooLarge { .. } => "payload_too_large",
            Self::NewerVersion { .. } => "newer_version",
        }
    }
}

/// The payload of `job` as JSON, after its own rules have passed.
///
/// # Errors
/// [`PayloadError::Invalid`] names the field; [`PayloadError::TooLarge`].
pub fn encode<J: Job>(job: &J) -> Result<String, PayloadError> {
    job.validate()?;
    let json = serde_json::to_string(job).map_err(|error| Invalid::new("", error.to_string()))?;
    check_size(json.len())?;
    check_nul(&json)?;
    Ok(json)
}

/// Reads the payload of a `J` that was written as `version`, through as many upgrades as it takes.
///
/// # Errors
/// Any [`PayloadError`]; all are permanent but [`PayloadError::NewerVersion`], which a newer program can read.
pub fn decode<J: Job>(version: u16, body: &[u8]) -> Result<J, PayloadError> {
    check_size(body.len())?;
    let text = text(body)?;
    check_nul(text)?;
    if version == 0 {
        return Err(Invalid::new("x-schema-version", "is no version: give a whole number from 1").into());
    }
    if version > J::VERSION {
        // What is not even JSON will be none for a newer program either.
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
        return Err(PayloadError::NewerVersion { kind: J::KIND, found: version, known: J::VERSION });
    }
    let job: J = if version == J::VERSION { read(text)? } else { read_old(version, text)? };
    job.validate()?;
    Ok(job)
}

/// As UTF-8, and with something in it.
fn text(body: &[u8]) -> Result<&str, PayloadError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = &body[..error.valid_up_to()];
        let lines = before.split(|byte| *byte == b'\n');
        let (line, last) = lines.fold((0, 0), |(line, _), bytes| (line + 1, bytes.len()));
        let column = last + 1;
        let reason = format!("byte {} is not UTF-8", error.valid_up_to() + 1);
        PayloadError::NotJson { line, column, reason }
    })?;
    if text.trim().is_empty() {
        return Err(PayloadError::NotJson { line: 1, column: 1, reason: "the message is empty".to_owned() });
    }
    Ok(text)
}

fn read<J: Job>(body: &str) -> Result<J, PayloadError> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let job = serde_path_to_error::deserialize(Strict(&mut deserializer)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_syntax() || inner.is_eof() {
            not_json(&inner)
        } else {
            misfit::describe(&path, &inner).into()
        }
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(job)
}

fn read_old<J: Job>(version: u16, body: &str) -> Result<J, PayloadError> {
    let mut value: Value = serde_json::from_str(body).map_err(|error| not_json(&error))?;
    for from in version..J::VERSION {
        value = J::upgrade(from, value)?;
    }
    serde_path_to_error::deserialize(Strict(value))
        .map_err(|error| misfit::describe(&error.path().to_string(), error.inner()).into())
}

fn not_json(error: &serde_json::Error) -> PayloadError {
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
    PayloadError::NotJson { line: error.line(), column: error.column(), reason }
}

fn check_size(bytes: usize) -> Result<(), PayloadError> {
    if bytes > MAX_PAYLOAD_BYTES { Err(PayloadError::TooLarge { bytes }) } else { Ok(()) }
}

/// Neither database keeps a NUL character in text, so a string that holds one is refused at the door.
fn check_nul(body: &str) -> Result<(), PayloadError> {
    if !body.contains(r"\u0000") {
        return Ok(());
    }
    // The text may be an escaped backslash followed by `u0000`: only the parsed value can tell.
    match serde_json::from_str::<Value>(body).ok().and_then(|value| find_nul(&value, String::new())) {
        Some(field) => Err(Invalid::new(field, "contains a NUL character (\\u0000): remove it").into()),
        None => Ok(()),
    }
}

fn find_nul(value: &Value, path: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then_some(path),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| find_nul(item, format!("{path}[{index}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, item)| {
            let name_of_field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if name.contains('\0') { Some(name_of_field) } else { find_nul(item, name_of_field) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Order {
        number: u32,
        lines: Vec<String>,
    }

    impl Job for Order {
        const KIND: &'static str = "order";
        const VERSION: u16 = 2;

        fn validate(&self) -> Result<(), Invalid> {
            if self.number == 0 { Err(Invalid::new("number", "must be at least 1")) } else { Ok(()) }
        }

        fn upgrade(from: u16, mut payload: Value) -> Result<Value, Invalid> {
            assert_eq!(from, 1);
            payload["lines"] = json!([]);
            Ok(payload)
        }
    }

    fn fail(body: &str) -> String {
        decode::<Order>(2, body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_payload_comes_back_as_it_was_written() {
        let order = Order { number: 7, lines: vec!["tea".to_owned()] };
        assert_eq!(decode::<Order>(2, encode(&order).unwrap().as_bytes()).unwrap(), order);
    }

    #[test]
    fn an_old_payload_is_upgraded() {
        assert_eq!(decode::<Order>(1, br#"{"number":7}"#).unwrap(), Order { number: 7, lines: vec![] });
    }

    #[test]
    fn a_newer_payload_is_told_apart_from_a_broken_one() {
        assert!(matches!(
            decode::<Order>(3, b"{}"),
            Err(PayloadError::NewerVersion { found: 3, known: 2, .. })
        ));
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path() {
        assert!(fail(r#"{"number":7,"lines":["tea",5]}"#).contains("`lines[1]`"));
        assert!(fail(r#"{"number":7,"lines":[],"colour":1}"#).contains("colour"));
        assert!(fail(r#"{"number":0,"lines":[]}"#).contains("`number`: must be at least 1"));
    }

    #[test]
    fn garbage_is_not_json_with_its_place() {
        assert!(fail("{\"number\":\n oops").contains("line 2"));
        assert!(fail(r#"{"number":1,"lines":[]} trailing"#).contains("not JSON"));
    }

    #[test]
    fn a_nul_character_is_refused_and_its_field_named() {
        assert!(fail(r#"{"number":1,"lines":["a","b\u0000"]}"#).contains("`lines[1]`"));
        let escaped_backslash = r#"{"number":1,"lines":["\\u0000"]}"#;
        assert!(decode::<Order>(2, escaped_backslash.as_bytes()).is_ok());
    }

    #[test]
    fn an_oversized_payload_is_refused_before_it_is_read() {
        let order = Order { number: 1, lines: vec!["x".repeat(MAX_PAYLOAD_BYTES)] };
        assert!(matches!(encode(&order), Err(PayloadError::TooLarge { .. })));
    }
}
