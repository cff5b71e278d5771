//! A synthesis as scripts see it.

use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis::State;
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use ackord_graph::synthesis::Stored;
use ackord_graph::synthesis::document::Document;
use chrono::{DateTime, Utc};
use sea_orm::ActiveEnum;
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
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
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
    pub(super) fn of(stored: &'a Stored) -> Self {
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
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
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
