//! The kinds that write texts with a model behind them: a stranger's service that speaks the protocol over HTTP.

#![allow(clippy::unwrap_used, reason = "tests")]

mod failing;
mod limits;
mod misled;
mod supers;
mod writing;

use std::time::Duration;

use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::Synthesis;
use ackord_entities::queue::model_call::{self, Outcome};
use ackord_entities::queue::{job, outbox};
use ackord_graph::synthesis::{Agent, ModelOptions, Prices};
use ackord_test_servers::{Asked, ModelServer, Reply, Said};
use sea_orm::DbBackend;
use serde_json::{Value, json};

use super::world::World;
use super::{SyncCycleHandler, Writers, registry_with};
use crate::testing::{StageOptions, eventually};

/// What the endpoint wants to see.
const KEY: &str = "sk-test-4711";

fn options(server: &ModelServer) -> ModelOptions {
    ModelOptions {
        endpoint: server.url(),
        model: "scripted".to_owned(),
        api_key: Some(KEY.into()),
        prices: Some(Prices { prompt: 2_000_000, cached: 1_000_000, completion: 10_000_000 }),
        connect_timeout: Duration::from_secs(20),
        chunk_timeout: Duration::from_secs(50),
        max_tokens_per_attempt: 1_000_000,
    }
}

/// A world in which the model writes; the graph knows of leases and the outbox.
async fn world_with(backend: DbBackend, options: ModelOptions) -> Option<World> {
    let writers = Writers::from(Agent::new(options).unwrap());
    let mut world = World::with(backend, |_| registry_with(&writers, SyncCycleHandler::default())).await?;
    world.stage.start(StageOptions::default());
    Some(world)
}

async fn world(server: &ModelServer) -> World {
    world_with(DbBackend::Sqlite, options(server)).await.unwrap()
}

/// Asks for a text about leases and waits for its end.
async fn written(world: &World) -> (SynthesisId, job::Model) {
    let (id, job) = world.ask(&Synthesis::about("Leases")).await;
    (id, world.stage.ended(job).await)
}

/// A call of a tool.
fn call(name: &str, arguments: &Value) -> Reply {
    Reply::Said(Said::call(name, arguments))
}

/// A search for facts, as a model begins.
fn search() -> Reply {
    call("search_facts", &json!({"query": "expired lease"}))
}

/// A text that cites the first fact of the last answer.
fn cites(asked: &Asked) -> Said {
    Said::finish(&format!("An expired lease is taken over [1](/facts/{}).", first_fact(asked)))
}

fn first_fact(asked: &Asked) -> String {
    asked.last_answer()["facts"][0]["id"].as_str().unwrap_or("no fact").to_owned()
}

/// A search, then a text.
fn search_and_cite(asked: &Asked) -> Reply {
    if asked.last_answer()["facts"].is_array() { Reply::Said(cites(asked)) } else { search() }
}

/// The calls of a job as another process reads them: attempt, number, outcome, tokens.
async fn calls(world: &World, job: JobId) -> Vec<(i32, i32, Outcome, i64)> {
    let calls = rows(world, job).await;
    calls
        .into_iter()
        .map(|call| (call.attempt, call.number, call.outcome, call.prompt_tokens + call.completion_tokens))
        .collect()
}

async fn rows(world: &World, job: JobId) -> Vec<model_call::Model> {
    let other = world.stage.reopen().await;
    let calls = model_call::of_job(other.read(), job).await.unwrap();
    other.close().await;
    calls
}

/// The message that waits for the job's next attempt.
async fn retry(world: &World, job: JobId) -> outbox::Model {
    eventually("the retry waits", async || {
        let messages = outbox::of_jobs(world.stage.database.read(), &[job]).await.ok()?;
        messages.into_iter().find(|message| message.cause == outbox::Cause::Retry)
    })
    .await
}
