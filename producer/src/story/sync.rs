//! How the copying of graphs to their read sides stands, as it is shown.

use std::collections::{BTreeMap, HashMap};

use ackord_entities::database::Database;
use ackord_entities::graph::composition::{DEFAULT_SYNC, sync_provider};
use ackord_entities::graph::graphs;
use ackord_entities::ids::{GraphId, JobId};
use ackord_entities::jobs::{Job as _, SyncCycle};
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::queue::state::JobState;
use ackord_entities::sync::{cycle, failure, survey};
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use super::{Audience, JobView};

/// Cycles that wait or run, looked at in one go. More there are only where thousands of graphs wait.
const MOST_JOBS: u64 = 10_000;

/// How the copying of a graph stands.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncStatus))]
pub struct SyncStatus {
    /// The graph's name.
    pub graph: String,
    /// The provider that copies it; null where its composition cannot be read.
    pub provider: Option<String>,
    /// How the provider is found.
    pub resolution: ResolutionView,
    /// When this provider last came further with it; null: it has never copied anything of it.
    pub synced_at: Option<DateTime<Utc>>,
    /// Its newest cycle.
    pub newest: Option<CycleView>,
    /// Rows that are not on the read side.
    pub held: HeldRows,
    /// Its cycles that wait or run, newest first.
    pub jobs: Vec<JobView>,
}

/// The same with what its cycles did.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncStory {
    /// How it stands.
    #[serde(flatten)]
    pub status: SyncStatus,
    /// The newest cycle that wrote or removed something, or met a row that it could not copy.
    pub busy: Option<CycleView>,
    /// Its cycles, newest first.
    pub cycles: Vec<CycleView>,
}

/// How the provider of a graph is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncResolution))]
#[serde(rename_all = "snake_case")]
pub enum ResolutionView {
    /// The graph names none: it is the default.
    Default,
    /// The graph's composition names it.
    Composition,
    /// The graph's composition cannot be read.
    Unreadable,
}

/// Rows that are not on the read side as they are on the write side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncHeldRows))]
pub struct HeldRows {
    /// They refer to rows that are not there yet, and are copied when those have come.
    pub deferred: i64,
    /// They were refused, and are tried again.
    pub pending: i64,
    /// They were refused too often, and wait for an operator.
    pub abandoned: i64,
}

/// What a cycle did.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncCycle))]
pub struct CycleView {
    /// The job that it was.
    pub job_id: JobId,
    /// Who did it.
    pub provider: String,
    /// How the provider was found.
    pub resolution: ResolutionView,
    /// How it ended.
    pub outcome: OutcomeView,
    /// Rows written to the read side.
    pub moved: i64,
    /// Rows removed from it.
    pub deleted: i64,
    /// Rows that wait for another one since this cycle.
    pub deferred: i64,
    /// Rows that were refused.
    pub failed: i64,
    /// The same for each table that had something to do.
    pub tables: BTreeMap<String, TableView>,
    /// For how many milliseconds the transaction has been open that it could not read past.
    pub lag_ms: Option<i64>,
    /// Whose transaction that is. Shown to operators.
    pub held_by: Option<String>,
    /// Why it failed as a whole. Shown to operators.
    pub error: Option<String>,
    /// When its work began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncOutcome))]
#[serde(rename_all = "snake_case")]
pub enum OutcomeView {
    /// There was nothing to do.
    Idle,
    /// Everything was copied.
    Complete,
    /// Its time was over; another job goes on.
    Continued,
    /// Rows were refused; everything else was copied.
    Partial,
    /// It could not be done.
    Failed,
}

/// What was done with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncTable))]
pub struct TableView {
    /// Rows written.
    pub moved: u64,
    /// Rows removed.
    pub deleted: u64,
    /// Rows that wait for another one.
    pub deferred: u64,
    /// Rows that were refused.
    pub failed: u64,
    /// How long it took.
    pub seconds: f64,
}

/// A row that was not copied. For operators.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncFailure))]
pub struct FailureView {
    /// The graph's name.
    pub graph: String,
    /// The table of the read side.
    pub table: String,
    /// The record: a row, or the links of one.
    pub key: String,
    /// What becomes of it.
    pub state: FailureState,
    /// What is wrong, for programs.
    pub error_code: String,
    /// The same for people.
    pub error: String,
    /// The row it waits for, as `table:id`.
    pub waits_for: Option<String>,
    /// How often copying it went wrong. Waiting is none.
    pub tries: i32,
    /// When it is tried again, at the latest; null for an abandoned one.
    pub due_at: Option<DateTime<Utc>>,
    /// Since when it is here.
    pub created_at: DateTime<Utc>,
    /// When it was last tried.
    pub updated_at: DateTime<Utc>,
}

/// What becomes of a row that could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SyncFailureState))]
#[serde(rename_all = "snake_case")]
pub enum FailureState {
    /// It refers to a row that is not there yet, and is copied when that one has come.
    Deferred,
    /// It is tried again when it is due.
    Pending,
    /// It was tried often enough, and waits for an operator.
    Abandoned,
}

impl SyncStatus {
    /// How the copying of every graph stands, by their names.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn of_all(database: &Database, audience: Audience) -> Result<Vec<Self>, DbErr> {
        let read = database.read();
        let graphs = graphs::all(read).await?;
        let mut newest = survey::newest_cycles(read).await?;
        let held = by_graph(&survey::held_rows(read).await?);
        let progress = survey::progress(read).await?;
        let mut jobs = waiting(database, None, audience).await?;
        let status = |graph: graphs::Model| {
            let (provider, resolution) = provider_of(&graph);
            let synced = |(of, by, _): &&(GraphId, String, DateTime<Utc>)| {
                *of == graph.id && Some(by) == provider.as_ref()
            };
            Self {
                synced_at: progress.iter().find(synced).map(|(_, _, at)| *at),
                newest: newest.remove(&graph.id).map(|cycle| CycleView::new(cycle, audience)),
                held: held.get(&graph.id).copied().unwrap_or_default(),
                jobs: jobs.remove(&subject(&graph.slug)).unwrap_or_default(),
                graph: graph.slug,
                provider,
                resolution,
            }
        };
        Ok(graphs.into_iter().map(status).collect())
    }
}

impl SyncStory {
    /// How the copying of `graph` stands, with its newest cycles: `cycles` of them at most.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(
        database: &Database,
        graph: &graphs::Model,
        cycles: u64,
        audience: Audience,
    ) -> Result<Self, DbErr> {
        let read = database.read();
        let (provider, resolution) = provider_of(graph);
        let synced_at = match &provider {
            Some(id) => {
                ackord_entities::sync::state::get(read, graph.id, id).await?.map(|state| state.updated_at)
            }
            None => None,
        };
        let newest = cycle::newest(read, graph.id, cycles.max(1)).await?;
        let cycles = usize::try_from(cycles).unwrap_or(usize::MAX);
        let newest: Vec<CycleView> =
            newest.into_iter().map(|cycle| CycleView::new(cycle, audience)).collect();
        let busy = survey::newest_busy_cycle(read, graph.id).await?;
        let mut jobs = waiting(database, Some(subject(&graph.slug)), audience).await?;
        let status = SyncStatus {
            graph: graph.slug.clone(),
            provider,
            resolution,
            synced_at,
            newest: newest.first().cloned(),
            held: HeldRows::of(database, graph.id).await?,
            jobs: jobs.remove(&subject(&graph.slug)).unwrap_or_default(),
        };
        let busy = busy.map(|cycle| CycleView::new(cycle, audience));
        Ok(Self { status, busy, cycles: newest.into_iter().take(cycles).collect() })
    }
}

impl HeldRows {
    /// Those of a graph.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn of(database: &Database, graph: GraphId) -> Result<Self, DbErr> {
        let counts = failure::counts(database.read(), graph).await?;
        let mut held = Self::default();
        for (state, number) in counts {
            held.add(state, number);
        }
        Ok(held)
    }

    fn add(&mut self, state: failure::State, number: i64) {
        match state {
            failure::State::Deferred => self.deferred += number,
            failure::State::Pending => self.pending += number,
            failure::State::Abandoned => self.abandoned += number,
        }
    }
}

impl CycleView {
    /// The cycle as `audience` may see it.
    #[must_use]
    pub fn new(cycle: cycle::Model, audience: Audience) -> Self {
        let for_operators = |text: Option<String>| text.filter(|_| audience == Audience::Operators);
        Self {
            job_id: cycle.job_id,
            provider: cycle.provider,
            resolution: cycle.provider_resolution.into(),
            outcome: cycle.outcome.into(),
            moved: cycle.moved,
            deleted: cycle.deleted,
            deferred: cycle.deferred,
            failed: cycle.failed,
            tables: serde_json::from_str(&cycle.tables).unwrap_or_default(),
            lag_ms: cycle.lag_ms,
            held_by: for_operators(cycle.held_by),
            error: for_operators(cycle.error),
            started_at: cycle.started_at,
            ended_at: cycle.ended_at,
        }
    }
}

impl FailureView {
    /// Rows with the names of their graphs.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn of_all(database: &Database, rows: Vec<failure::Model>) -> Result<Vec<Self>, DbErr> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let graphs = graphs::all(database.read()).await?;
        let names: HashMap<GraphId, String> =
            graphs.into_iter().map(|graph| (graph.id, graph.slug)).collect();
        Ok(rows.into_iter().map(|row| Self::new(row, &names)).collect())
    }

    fn new(row: failure::Model, names: &HashMap<GraphId, String>) -> Self {
        let state = FailureState::from(row.state);
        Self {
            graph: names.get(&row.graph_id).cloned().unwrap_or_else(|| row.graph_id.to_string()),
            table: row.table_name,
            key: row.record_key,
            state,
            error_code: row.error_code,
            error: row.error,
            waits_for: row.waits_for,
            tries: row.tries,
            due_at: (state != FailureState::Abandoned).then_some(row.due_at),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl From<cycle::Resolution> for ResolutionView {
    fn from(resolution: cycle::Resolution) -> Self {
        match resolution {
            cycle::Resolution::Default => Self::Default,
            cycle::Resolution::Composition => Self::Composition,
        }
    }
}

impl From<cycle::Outcome> for OutcomeView {
    fn from(outcome: cycle::Outcome) -> Self {
        match outcome {
            cycle::Outcome::Idle => Self::Idle,
            cycle::Outcome::Complete => Self::Complete,
            cycle::Outcome::Continued => Self::Continued,
            cycle::Outcome::Partial => Self::Partial,
            cycle::Outcome::Failed => Self::Failed,
        }
    }
}

impl From<failure::State> for FailureState {
    fn from(state: failure::State) -> Self {
        match state {
            failure::State::Deferred => Self::Deferred,
            failure::State::Pending => Self::Pending,
            failure::State::Abandoned => Self::Abandoned,
        }
    }
}

impl From<FailureState> for failure::State {
    fn from(state: FailureState) -> Self {
        match state {
            FailureState::Deferred => Self::Deferred,
            FailureState::Pending => Self::Pending,
            FailureState::Abandoned => Self::Abandoned,
        }
    }
}

fn provider_of(graph: &graphs::Model) -> (Option<String>, ResolutionView) {
    match sync_provider(graph.composition.as_deref()) {
        Ok(Some(id)) => (Some(id), ResolutionView::Composition),
        Ok(None) => (Some(DEFAULT_SYNC.to_owned()), ResolutionView::Default),
        Err(_) => (None, ResolutionView::Unreadable),
    }
}

/// What the jobs of the graph are about.
fn subject(slug: &str) -> String {
    SyncCycle::of(slug).key().unwrap_or_default()
}

fn by_graph(counts: &[(GraphId, failure::State, i64)]) -> HashMap<GraphId, HeldRows> {
    let mut held: HashMap<GraphId, HeldRows> = HashMap::new();
    for (graph, state, number) in counts {
        held.entry(*graph).or_default().add(*state, *number);
    }
    held
}

/// Cycles that have not ended, by what they are about.
async fn waiting(
    database: &Database,
    subject: Option<String>,
    audience: Audience,
) -> Result<HashMap<String, Vec<JobView>>, DbErr> {
    let filter = Filter {
        kind: Some(SyncCycle::KIND.to_owned()),
        states: vec![JobState::Pending, JobState::Running],
        subject,
        ..Filter::default()
    };
    let rows = job::list(database.read(), &filter, MOST_JOBS).await?;
    let now = database.clock().now(database.read()).await?;
    let mut found: HashMap<String, Vec<JobView>> = HashMap::new();
    for view in JobView::of_all(database, &rows, audience, now).await? {
        found.entry(view.subject.clone().unwrap_or_default()).or_default().push(view);
    }
    Ok(found)
}
