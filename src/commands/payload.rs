//! A payload as it is given on the command line: JSON, `@file`, or `-` for stdin.

use std::fs::File;
use std::io::{self, Read};

use ackord_entities::jobs::{MAX_PAYLOAD_BYTES, PayloadError};

use crate::problem::Problem;

/// The payload's text.
///
/// # Errors
/// It cannot be read, is longer than a payload may be, or is not UTF-8. Whether it fits its kind is checked later.
pub(crate) fn read(given: &str) -> anyhow::Result<String> {
    let bytes = match given.strip_prefix('@') {
        Some(path) => {
            let file = File::open(path).map_err(|error| {
                Problem::usage(format!("the payload file {path} cannot be read: {error}"))
            })?;
            read_at_most(file, path)?
        }
        None if given == "-" => read_at_most(io::stdin().lock(), "stdin")?,
        None => given.as_bytes().to_vec(),
    };
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(PayloadError::TooLarge { bytes: bytes.len() }.into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        Problem::usage(format!(
            "the payload is not UTF-8: byte {} is wrong",
            error.utf8_error().valid_up_to() + 1
        ))
    })?;
    Ok(text)
}

/// Far more than a payload may have, so that the error can name the real length, and not so much that it hurts.
const READ_AT_MOST: u64 = 64 * MAX_PAYLOAD_BYTES as u64;

fn read_at_most(source: impl Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(READ_AT_MOST)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::usage(format!("the payload cannot be read from {name}: {error}")))?;
    Ok(bytes)
}
