//! A synthesis as scripts see it.

use ackord_entities::database::Database;
use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis::{Model, State};
use ackord_entities::graph::synthesis_link::Part;
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use ackord_graph::synthesis::document::Document;
use ackord_graph::synthesis::{Family, Stored, family, load};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, DbErr};
use serde::Serialize;
use serde_json::Value;

/// A synthesis. The JSON is a stable interface.
#[derive(Serialize)]
pub(super) struct SynthesisView<'a> {
    id: SynthesisId,
    graph_id: GraphId,
    key: &'a str,
    topic: &'a str,
    state: String,
    visibility: String,
    creator_id: Option<&'a str>,
    input: Value,
    error: Option<ErrorView<'a>>,
    attempts: Vec<AttemptView<'a>>,
    version: Option<VersionView<'a>>,
    /// Of a super-synthesis.
    plan: Option<PlanView<'a>>,
    parts: Vec<PartView<'a>>,
    /// The super-syntheses that it is a part of.
    parents: Vec<ParentView<'a>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// What a view is made of.
pub(super) struct Shown {
    pub(super) stored: Stored,
    pub(super) family: Family,
}

impl Shown {
    /// `None` if there is no such synthesis.
    pub(super) async fn read(database: &Database, id: SynthesisId) -> Result<Option<Self>, DbErr> {
        let Some(stored) = load(database.read(), id).await? else { return Ok(None) };
        let family = family(database.read(), &stored.synthesis).await?;
        Ok(Some(Self { stored, family }))
    }
}

#[derive(Serialize)]
struct PlanView<'a> {
    /// `given`, `graph` or `fallback`.
    planning: Option<String>,
    planner: Option<&'a str>,
    reason: Option<&'a str>,
    planned_at: Option<DateTime<Utc>>,
    /// Whether the parts say something else by now than the text was made from.
    stale: bool,
}

#[derive(Serialize)]
struct PartView<'a> {
    id: SynthesisId,
    topic: &'a str,
    /// `planned` or `existing`.
    origin: String,
    state: String,
    version: Option<i32>,
    /// The version that the text was made from.
    read_version: Option<i32>,
    error: Option<ErrorView<'a>>,
}

#[derive(Serialize)]
struct ParentView<'a> {
    id: SynthesisId,
    topic: &'a str,
    state: String,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    code: &'a str,
    message: &'a str,
    public: &'a str,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    attempt: i32,
    job_id: JobId,
    state: String,
    error: Option<ErrorView<'a>>,
    exploration: Option<Value>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct VersionView<'a> {
    version: i32,
    producer: &'a str,
    job_id: JobId,
    created_at: DateTime<Utc>,
    markdown: &'a str,
    document: &'a Document,
}

impl<'a> SynthesisView<'a> {
    pub(super) fn of(shown: &'a Shown) -> Self {
        let Shown { stored, family } = shown;
        let row = &stored.synthesis;
        Self {
            id: row.id,
            graph_id: row.graph_id,
            key: &row.node_key,
            topic: &row.topic,
            state: State::to_value(&row.state),
            visibility: Visibility::to_value(&row.visibility),
            creator_id: row.creator_id.as_deref(),
            input: parsed(&row.input),
            error: error(
                row.error_code.as_deref(),
                row.error_message.as_deref(),
                row.error_public.as_deref(),
            ),
            attempts: stored.attempts.iter().map(AttemptView::of).collect(),
            version: stored.text.as_ref().map(|text| VersionView {
                version: text.version.version,
                producer: &text.version.producer,
                job_id: text.version.job_id,
                created_at: text.version.created_at,
                markdown: &text.version.markdown,
                document: &text.document,
            }),
            plan: family.plan.as_ref().map(|plan| PlanView {
                planning: plan.planning.map(|planning| planning.to_value()),
                planner: plan.planner.as_deref(),
                reason: plan.reason.as_deref(),
                planned_at: plan.planned_at,
                stale: family.stale,
            }),
            parts: family.parts.iter().map(|part| PartView::of(part, family)).collect(),
            parents: family.parents.iter().map(ParentView::of).collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl<'a> PartView<'a> {
    fn of(part: &'a Part, family: &Family) -> Self {
        Self {
            id: part.sub_id,
            topic: &part.topic,
            origin: part.origin.to_value(),
            state: part.state.to_value(),
            version: part.current_version,
            read_version: read_version(family, part),
            error: error(
                part.error_code.as_deref(),
                part.error_message.as_deref(),
                part.error_public.as_deref(),
            ),
        }
    }
}

/// The version of `part` that the newest text was made from.
pub(super) fn read_version(family: &Family, part: &Part) -> Option<i32> {
    family.read.iter().find(|read| read.sub_id == part.sub_id)?.sub_version
}

impl<'a> ParentView<'a> {
    fn of(row: &'a Model) -> Self {
        Self { id: row.id, topic: &row.topic, state: row.state.to_value() }
    }
}

impl<'a> AttemptView<'a> {
    fn of(row: &'a ackord_entities::graph::synthesis_attempt::Model) -> Self {
        Self {
            attempt: row.attempt,
            job_id: row.job_id,
            state: row.state.to_value(),
            error: error(
                row.error_code.as_deref(),
                row.error_message.as_deref(),
                row.error_public.as_deref(),
            ),
            exploration: row.exploration.as_deref().map(parsed),
            started_at: row.started_at,
            ended_at: row.ended_at,
        }
    }
}

fn error<'a>(
    code: Option<&'a str>,
    message: Option<&'a str>,
    public: Option<&'a str>,
) -> Option<ErrorView<'a>> {
    Some(ErrorView { code: code?, message: message?, public: public? })
}

/// Stored JSON as JSON; what cannot be read is shown as the text it is.
fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| json.into())
}
