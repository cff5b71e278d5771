//! HTTP as the management API needs it: basic authentication, JSON, no connection kept after a failure.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

/// A server under load on a busy machine takes its time; a dead one refuses at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that the management API did not grant.
#[derive(Debug)]
pub enum ManagementError {
    /// Nobody answered: the node is down, starting, frozen or cut off.
    Unreachable(String),
    /// The API said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        answer: String,
    },
    /// The answer is not what this crate expects.
    Unreadable(String),
}

impl std::fmt::Display for ManagementError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "RabbitMQ's management API does not answer: {why}"),
            Self::Refused { status, answer } => {
                write!(f, "RabbitMQ's management API refused ({status}): {answer}")
            }
            Self::Unreadable(why) => write!(f, "RabbitMQ's management API gave an unexpected answer: {why}"),
        }
    }
}

impl std::error::Error for ManagementError {}

#[derive(Clone, Debug)]
pub(super) struct Http {
    agent: ureq::Agent,
    base: String,
    user: String,
    authorization: String,
}

#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    body: String,
}

enum Verb {
    Get,
    Put(Value),
    Post(Value),
    Delete,
}

impl Http {
    pub(super) fn new(url: &str) -> Self {
        let mut url = Url::parse(url).expect("the management URL is http://USER:PASSWORD@HOST:PORT");
        let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        url.set_username("").expect("an HTTP URL has room for a user");
        url.set_password(None).expect("an HTTP URL has room for a password");
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // The server is killed and started again under this client.
            .max_idle_connections(0)
            .proxy(None)
            .build();
        let base = format!("{}/api", url.as_str().trim_end_matches('/'));
        Self { agent: config.into(), base, user, authorization }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) async fn get(&self, path: &str) -> Result<Response, ManagementError> {
        self.send(Verb::Get, path).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Response, ManagementError> {
        self.send(Verb::Put(body), path).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Response, ManagementError> {
        self.send(Verb::Post(body), path).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Response, ManagementError> {
        self.send(Verb::Delete, path).await
    }

    async fn send(&self, verb: Verb, path: &str) -> Result<Response, ManagementError> {
        let (http, path) = (self.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || http.send_blocking(verb, &path))
            .await
            .expect("the request does not panic")
    }

    fn send_blocking(&self, verb: Verb, path: &str) -> Result<Response, ManagementError> {
        let url = format!("{}/{path}", self.base);
        let authorization = self.authorization.as_str();
        let sent = match verb {
            Verb::Get => self.agent.get(&url).header("authorization", authorization).call(),
            Verb::Delete => self.agent.delete(&url).header("authorization", authorization).call(),
            Verb::Put(body) => self.with_body(self.agent.put(&url), &body),
            Verb::Post(body) => self.with_body(self.agent.post(&url), &body),
        };
        let mut response = sent.map_err(|error| ManagementError::Unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(64 << 20).read_to_string();
        let body = body.map_err(|error| ManagementError::Unreachable(error.to_string()))?;
        Ok(Response { status, body })
    }

    fn with_body(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &Value,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        request
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .send(body.to_string())
    }
}

impl Response {
    /// That it was done is all there is to say.
    pub(super) fn done(self) -> Result<(), ManagementError> {
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        Err(ManagementError::Refused { status: self.status, answer: self.body })
    }

    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, ManagementError> {
        if !(200..300).contains(&self.status) {
            return Err(ManagementError::Refused { status: self.status, answer: self.body });
        }
        serde_json::from_str(&self.body)
            .map_err(|error| ManagementError::Unreadable(format!("{error} in {}", self.body)))
    }

    /// As [`Response::json`], and `None` for what does not exist.
    pub(super) fn found<T: DeserializeOwned>(self) -> Result<Option<T>, ManagementError> {
        if self.status == 404 { Ok(None) } else { self.json().map(Some) }
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(segment("/"), "%2F");
        assert_eq!(segment("127.0.0.1:5 -> é"), "127.0.0.1%3A5%20-%3E%20%C3%A9");
    }
}
