//! The kind `sync-cycle`: copies what has changed in a graph from its write side to its read side.
//!
//! The slow half writes to the read side, fenced by the term of the job's lease; the short half records how far that came, which rows wait
//! and what the cycle did. A crash between the two does the same once more.

mod meter;

use std::sync::Arc;
use std::time::Duration;

use ackord_entities::error_chain;
use ackord_entities::graph::graphs;
use ackord_entities::jobs::{Job, SyncCycle};
use ackord_entities::sync::cycle::{self, Outcome as CycleOutcome, Resolution};
use ackord_entities::sync::failure::{self, Cause, Policy};
use ackord_entities::sync::state;
use ackord_graph::sync::{
    Claim, Cycle, CycleEnd, Places, Progress, Providers, ResolveError, SyncContext, SyncError, TableCount,
};
use ackord_producer::enqueue;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::writing::nothing_performed;
use crate::error::JobError;
use crate::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};

/// How long a cycle copies before it leaves the rest to the next one.
const BUDGET: Duration = Duration::from_secs(30);
const _: () = assert!(
    BUDGET.as_secs() * 2 < SyncCycle::TIMEOUT.as_secs(),
    "a cycle ends by itself long before the engine ends it"
);
/// How long a cycle waits that another transaction holds back.
const HELD_BACK: Duration = Duration::from_secs(2);
/// How long a graph waits whose provider is not there: a newer program may bring it.
const NO_PROVIDER: Duration = Duration::from_secs(300);

/// The handler.
#[derive(Clone, Debug)]
pub struct SyncCycleHandler {
    providers: Arc<Providers>,
    places: Places,
    budget: Duration,
    policy: Policy,
}

impl Default for SyncCycleHandler {
    /// The default provider, in the jobs' own database.
    fn default() -> Self {
        Self::new(Arc::default(), Places::default())
    }
}

impl SyncCycleHandler {
    /// A handler with these providers, for graphs that are in these places.
    #[must_use]
    pub fn new(providers: Arc<Providers>, places: Places) -> Self {
        Self { providers, places, budget: BUDGET, policy: Policy::default() }
    }

    /// With another time after which a cycle leaves the rest to the next one.
    #[must_use]
    pub fn within(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// With another way to try refused rows again.
    #[must_use]
    pub fn trying(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

/// What the slow half did.
#[derive(Debug)]
pub struct Done {
    graph: graphs::Model,
    provider: &'static str,
    resolution: Resolution,
    cycle: Cycle,
    took: Duration,
}

#[async_trait]
impl Handler for SyncCycleHandler {
    type Job = SyncCycle;
    type Output = Option<Done>;

    async fn perform(&self, turn: &Turn<SyncCycle>, context: &Context) -> Result<Option<Done>, JobError> {
        let begun = tokio::time::Instant::now();
        let slug = &turn.job.graph;
        let jobs = &context.database;
        let Some((graph, mut states)) = state::of_graph(jobs.read(), slug).await? else {
            return Err(JobError::Failed(Failure::new(
                "not_found",
                format!("there is no graph called {slug}"),
            )));
        };
        let resolved = self.providers.resolve(graph.id, graph.composition.as_deref()).await;
        let resolved = resolved.map_err(|error| unresolved(slug, &error))?;
        let provider = resolved.provider.id();
        let (write, read) = self.places.of(slug, jobs).await.map_err(|error| {
            JobError::transient("graph_database", &error, "a database of the graph cannot be opened")
        })?;
        let context = SyncContext {
            graph: graph.id,
            slug: slug.clone(),
            name: graph.name.clone(),
            write,
            read,
            jobs: jobs.clone(),
            claim: claim(turn, context)?,
            stop: context.token().clone(),
            budget: self.budget,
            afresh: turn.job.afresh,
        };
        let progress = Progress { state: states.remove(provider) };
        let cycle = resolved.provider.cycle(&context, &progress).await.map_err(failed)?;
        Ok(Some(Done { graph, provider, resolution: resolved.resolution, cycle, took: begun.elapsed() }))
    }

    async fn commit(
        &self,
        turn: &Turn<SyncCycle>,
        output: &Option<Done>,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let Some(done) = output else { return Err(nothing_performed()) };
        let Done { graph, provider, cycle, .. } = done;
        if let Some(state) = &cycle.state {
            state::put(tx, graph.id, provider, state.clone(), tx.now).await?;
        }
        failure::clear(tx, graph.id, &cycle.cleared).await?;
        failure::record(tx, graph.id, &cycle.held, self.policy, tx.now).await?;
        let record = record(turn, done, tx.now)?;
        let result = json!({
            "graph": graph.slug,
            "outcome": record.outcome,
            "moved": record.moved,
            "deleted": record.deleted,
            "deferred": record.deferred,
            "failures": record.failed,
            "skipped": cycle.end == CycleEnd::Idle,
        });
        meter::recorded(&graph.slug, &record);
        cycle::record(tx.connection(), record).await?;
        let next = SyncCycle::of(&graph.slug);
        match cycle.end {
            CycleEnd::Idle | CycleEnd::Complete => {}
            CycleEnd::Continues => drop(enqueue(tx, &next, &turn.follow_up(tx)).await?),
            CycleEnd::Waits => drop(enqueue(tx, &next, &turn.follow_up(tx).due_in(HELD_BACK)).await?),
        }
        Ok(Outcome::with_result(result))
    }

    async fn abandon(&self, turn: &Turn<SyncCycle>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        let Some(graph) = graphs::by_slug(tx.connection(), &turn.job.graph).await? else { return Ok(()) };
        let record = cycle::Model {
            job_id: turn.id,
            graph_id: graph.id,
            provider: ackord_graph::sync::engine::DEFAULT.to_owned(),
            provider_resolution: Resolution::Default,
            outcome: CycleOutcome::Failed,
            moved: 0,
            deleted: 0,
            deferred: 0,
            failed: 0,
            tables: "{}".to_owned(),
            lag_ms: None,
            held_by: None,
            error: Some(end.error.operator.clone()),
            started_at: tx.now,
            ended_at: tx.now,
        };
        Ok(cycle::record(tx.connection(), record).await?)
    }
}

/// The lease that serialises the cycles of a graph; its term is what the read side is asked.
fn claim(turn: &Turn<SyncCycle>, context: &Context) -> Result<Claim, JobError> {
    let key = turn.job.lease_key().unwrap_or_default();
    match context.lease(&key) {
        Some(held) => Ok(Claim { key, term: held.term }),
        None => {
            Err(JobError::Permanent(Failure::new("no_lease", "the cycle runs without a lease on its graph")))
        }
    }
}

fn unresolved(slug: &str, error: &ResolveError) -> JobError {
    match error {
        ResolveError::Unknown { id, .. } => {
            meter::unresolved(slug, id);
            JobError::deferred(NO_PROVIDER, error.to_string())
        }
        ResolveError::Composition(_) => JobError::Permanent(Failure::new("composition", error.to_string())),
        ResolveError::NotReady { .. } => {
            JobError::transient("provider_not_ready", error, "the graph's sync provider is not ready")
        }
    }
}

fn failed(error: SyncError) -> JobError {
    match error {
        SyncError::Database(error) => error.into(),
        SyncError::Fenced { .. } => JobError::transient("fenced", &error, "another worker copies the graph"),
        SyncError::Stopped => JobError::transient("stopped", &error, "the cycle was stopped"),
        SyncError::State { .. } => JobError::Permanent(Failure::new("state", error_chain(&error))),
        SyncError::Other(_) => JobError::transient("provider", &error, "the graph's sync provider failed"),
    }
}

fn record(turn: &Turn<SyncCycle>, done: &Done, now: DateTime<Utc>) -> Result<cycle::Model, JobError> {
    let Done { graph, provider, resolution, cycle, took } = done;
    let sum = |count: fn(&TableCount) -> u64| {
        i64::try_from(cycle.tables.values().map(count).sum::<u64>()).unwrap_or(i64::MAX)
    };
    let refused = cycle.held.iter().any(|(_, cause)| matches!(cause, Cause::Refused { .. }));
    let tables = serde_json::to_string(&cycle.tables)
        .map_err(|error| JobError::permanent("cycle_record", &error, "the cycle could not be recorded"))?;
    Ok(cycle::Model {
        job_id: turn.id,
        graph_id: graph.id,
        provider: (*provider).to_owned(),
        provider_resolution: *resolution,
        outcome: match cycle.end {
            CycleEnd::Idle => CycleOutcome::Idle,
            _ if refused => CycleOutcome::Partial,
            CycleEnd::Complete => CycleOutcome::Complete,
            CycleEnd::Continues | CycleEnd::Waits => CycleOutcome::Continued,
        },
        moved: sum(|table| table.moved),
        deleted: sum(|table| table.deleted),
        deferred: sum(|table| table.deferred),
        failed: sum(|table| table.failed),
        tables,
        lag_ms: cycle.held_by.as_ref().map(|(open_ms, _)| *open_ms),
        held_by: cycle.held_by.as_ref().map(|(_, who)| who.clone()),
        error: None,
        started_at: now - TimeDelta::from_std(*took).unwrap_or_default(),
        ended_at: now,
    })
}

#[cfg(test)]
mod tests;
