//! The answers.

#![allow(clippy::unused_async, reason = "the router takes asynchronous functions only")]

use ackord_producer::broker::BrokerState;
use ackord_producer::health::{Condition, Health};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::gauge;
use serde::Serialize;

use super::Served;
use crate::telemetry::gauges::{BROKER, BUILD, CONDITION, DATABASE, READY};
use crate::telemetry::process_text;

/// What `/readyz` says.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    name: String,
    version: &'static str,
    roles: Vec<&'static str>,
    /// Those that do not hold stand first.
    conditions: Vec<Condition>,
    /// What this process knows about others; its own readiness does not depend on it.
    elsewhere: Vec<Condition>,
}

/// Alive: the process answers. Neither the database nor the broker has a part in it, since a restart would bring neither back.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "alive": true, "version": env!("CARGO_PKG_VERSION") }))
}

/// Ready: every condition of every part holds.
pub(super) async fn ready(State(served): State<Served>) -> Response {
    let (conditions, elsewhere) = (conditions(&served.parts), conditions(&served.elsewhere));
    let ready = conditions.iter().all(|condition| condition.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let version = env!("CARGO_PKG_VERSION");
    let Served { name, roles, .. } = served;
    (status, Json(Readiness { ready, name, version, roles, conditions, elsewhere })).into_response()
}

/// Everything that is counted, in Prometheus' text format.
pub(super) async fn metrics(State(served): State<Served>) -> Response {
    let (conditions, elsewhere) = (conditions(&served.parts), conditions(&served.elsewhere));
    for condition in conditions.iter().chain(&elsewhere) {
        let subject = condition.subject.clone().unwrap_or_default();
        gauge!(CONDITION, "part" => condition.part, "name" => condition.name, "subject" => subject)
            .set(one_if(condition.ok));
    }
    gauge!(READY).set(one_if(conditions.iter().all(|condition| condition.ok)));
    gauge!(DATABASE)
        .set(one_if(conditions.iter().all(|condition| condition.name != "database" || condition.ok)));
    if let Some(broker) = &served.broker {
        let now = *broker.borrow();
        for (state, name) in
            [(BrokerState::Open, "open"), (BrokerState::Blocked, "blocked"), (BrokerState::Closed, "closed")]
        {
            gauge!(BROKER, "state" => name).set(one_if(state == now));
        }
    }
    let text = served.metrics.render() + &process_text();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Any other path.
pub(super) async fn nothing_here() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is /healthz, /readyz and /metrics\n")
}

/// Says once which program this is.
pub(super) fn name(served: &Served) {
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION"), "roles" => served.roles.join(",")).set(1.0);
}

fn conditions(parts: &[Health]) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = parts.iter().flat_map(Health::conditions).collect();
    conditions.sort_by_key(|condition| condition.ok);
    conditions
}

fn one_if(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}
