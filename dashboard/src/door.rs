//! The door: who is asking, from where, and how often.

use std::net::{IpAddr, SocketAddr};

use ackord_entities::queue::api_token;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::rate::Asker;

/// Lets in whoever may, and tells the routes who it is.
pub(crate) async fn door(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match enter(&api, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// What nobody has to show a token for is counted by address.
pub(crate) async fn count_address(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match api.rate().count(Asker::Address(address(&parts))) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn enter(api: &Api, request: &Parts) -> Result<Caller, Problem> {
    let asker = Asker::Address(address(request));
    let hash = match bearer(&request.headers) {
        Some(Ok(token)) => api_token::hash(token),
        Some(Err(problem)) => {
            api.rate().count(asker)?;
            return Err(problem);
        }
        None => {
            api.rate().count(asker)?;
            return without_token(api, request).await;
        }
    };
    // Whoever tries tokens is counted before the database is asked.
    if !api.rate().is_proven(&hash) {
        api.rate().count(asker)?;
    }
    let known = known(api, &hash).await?;
    api.rate().note(&hash, known.is_ok());
    let caller = known?;
    if let Some(token) = caller.token {
        api.rate().count(Asker::Token(token))?;
    }
    Ok(caller)
}

async fn without_token(api: &Api, request: &Parts) -> Result<Caller, Problem> {
    if !api.is_open_to(address(request)) || api_token::any(api.database().read()).await? {
        return Err(unauthorized("no_token", "show a token: `authorization: Bearer ackord_..`"));
    }
    is_meant_for_us(request)?;
    Ok(Caller::on_this_machine())
}

/// The token, if the request shows one.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Problem>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let wrong = || unauthorized("invalid_token", "show a token as `authorization: Bearer ackord_..`");
    Some(token.filter(|token| token.starts_with(api_token::PREFIX)).ok_or_else(wrong))
}

/// Who has the token. Nobody is told whether it is unknown, revoked or expired.
async fn known(api: &Api, hash: &str) -> Result<Result<Caller, Problem>, Problem> {
    let database = api.database();
    let found = api_token::by_hash(database.read(), database.clock(), hash).await?;
    let Some((row, now)) = found.filter(|(row, now)| row.is_valid(*now)) else {
        return Ok(Err(unauthorized(
            "invalid_token",
            "the token does not count: it is unknown, expired or revoked",
        )));
    };
    // Nobody waits for it, and nobody is turned away for it.
    if let Err(error) = api_token::note_use(database.write(), &row, now).await {
        tracing::debug!(error = %error, "the use of a token could not be written down");
    }
    Ok(Ok(Caller { token: Some(row.id), name: row.name, role: row.role, subject: row.subject }))
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail).at("authorization")
}

fn address(request: &Parts) -> Option<IpAddr> {
    request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Where nobody shows a token, a page in somebody's browser must not be able to ask on his behalf: neither under a name of its own
/// that leads to this machine (DNS rebinding), nor across sites.
fn is_meant_for_us(request: &Parts) -> Result<(), Problem> {
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri.authority().map(axum::http::uri::Authority::as_str));
    if !host.is_some_and(is_this_machine) {
        return Err(Problem::forbidden(
            "without tokens only requests to localhost, 127.0.0.1 or [::1] are answered: `ackord tokens create`",
        )
        .at("host"));
    }
    let Some(origin) = request.headers.get(header::ORIGIN) else { return Ok(()) };
    let authority = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let authority = authority.as_ref().and_then(Uri::authority).map(axum::http::uri::Authority::as_str);
    if authority == host {
        Ok(())
    } else {
        Err(Problem::forbidden("pages of other sites are not answered").at("origin"))
    }
}

/// Whether `host`, with or without a port, can only be this machine.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_this_machine() {
        for host in
            ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:9470", "[::1]", "[::1]:9470", "127.1.2.3:1"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "example.org", "localhost.example.org:80", "10.0.0.1", "127.0.0.1.example.org", "[::2]:80"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_read_from_its_header_and_anything_else_is_none() {
        let token = |value: &str| {
            let mut headers = HeaderMap::new();
            if let Ok(value) = value.parse() {
                headers.insert(header::AUTHORIZATION, value);
            }
            bearer(&headers).map(|token| token.map(str::to_owned).ok())
        };
        assert_eq!(token("Bearer ackord_x"), Some(Some("ackord_x".to_owned())));
        assert_eq!(token("bearer ackord_x"), Some(Some("ackord_x".to_owned())));
        assert_eq!(token("Basic ackord_x"), Some(None));
        assert_eq!(token("Bearer x"), Some(None));
        assert_eq!(bearer(&HeaderMap::new()).map(|token| token.is_ok()), None);
    }
}
