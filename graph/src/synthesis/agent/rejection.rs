//! An answer of the endpoint that is none: its status, what it says, and when it wants to be asked again.

use std::time::Duration;

use ackord_entities::clock::machine_now;
use chrono::{DateTime, Utc};
use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// What is read of the text at most.
const READ: usize = 4_096;
/// What is shown of it at most.
const SHOWN: usize = 300;

/// The endpoint did not take a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status}: {said}")]
pub(super) struct Rejection {
    pub(super) status: u16,
    /// What it said, on one line.
    pub(super) said: String,
    pub(super) retry_after: Option<Duration>,
}

impl Rejection {
    pub(super) async fn of(mut response: Response) -> Self {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), machine_now());
        let mut body = Vec::new();
        while body.len() < READ
            && let Ok(Some(more)) = response.chunk().await
        {
            body.extend_from_slice(&more);
        }
        body.truncate(READ);
        Self { status, said: said(&body), retry_after }
    }
}

/// The message of an error object, or the text itself.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json.get("error")?;
        error.get("message").or(Some(error))?.as_str()
    });
    one_line(message.unwrap_or(&text))
}

/// `text` on one line and not too long.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", &line[..end]),
        None => line,
    }
}

/// When to ask again: given in seconds or as a moment, which counts from the server's own clock where it tells it.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let moment = |text: &str| DateTime::parse_from_rfc2822(text).ok();
    let at = moment(text)?.to_utc();
    let told = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(moment);
    let wait = at - told.map_or(now, |told| told.to_utc());
    Some(wait.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use reqwest::header::HeaderName;
    use rstest::rstest;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[rstest]
    #[case::seconds("17", Some(17.0))]
    #[case::parts_of_seconds("0.5", Some(0.5))]
    #[case::a_moment("Sun, 22 Nov 2026 10:00:30 GMT", Some(30.0))]
    #[case::a_moment_that_is_over("Sun, 22 Nov 2026 09:00:00 GMT", Some(0.0))]
    #[case::negative("-4", None)]
    #[case::nonsense("soon", None)]
    fn when_to_ask_again_is_understood_in_both_forms(#[case] text: &str, #[case] seconds: Option<f64>) {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let found = retry_after(&headers(&[(RETRY_AFTER, text)]), now);
        assert_eq!(found.map(|found| found.as_secs_f64()), seconds);
    }

    #[test]
    fn a_moment_counts_from_the_servers_clock() {
        let told = headers(&[
            (RETRY_AFTER, "Sun, 22 Nov 2026 12:01:00 GMT"),
            (DATE, "Sun, 22 Nov 2026 12:00:00 GMT"),
        ]);
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(retry_after(&told, now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[rstest]
    #[case(br#"{"error":{"message":"no such\nmodel","code":"x"}}"#, "no such model")]
    #[case(br#"{"error":"model is loading"}"#, "model is loading")]
    #[case(b"<h1>Bad  Gateway</h1>", "<h1>Bad Gateway</h1>")]
    #[case(b"", "")]
    fn what_was_said_is_told_on_one_line(#[case] body: &[u8], #[case] wanted: &str) {
        assert_eq!(said(body), wanted);
    }
}
