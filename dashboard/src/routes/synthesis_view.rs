//! A synthesis as it is shown in a list.

use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis::{Model, State as Stored};
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use ackord_producer::story::ErrorView;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a synthesis stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SynthesisState)]
pub(crate) enum Standing {
    /// Asked for, and nobody works on it yet.
    Pending,
    /// It is being written.
    Running,
    /// It has a text, and the last attempt succeeded.
    Completed,
    /// The last attempt failed. An older text may be there.
    Error,
    /// It has a text from some of its parts; others are missing.
    Partial,
}

impl From<Stored> for Standing {
    fn from(state: Stored) -> Self {
        match state {
            Stored::Pending => Self::Pending,
            Stored::Running => Self::Running,
            Stored::Completed => Self::Completed,
            Stored::Error => Self::Error,
            Stored::Partial => Self::Partial,
        }
    }
}

impl From<Standing> for Stored {
    fn from(state: Standing) -> Self {
        match state {
            Standing::Pending => Self::Pending,
            Standing::Running => Self::Running,
            Standing::Completed => Self::Completed,
            Standing::Error => Self::Error,
            Standing::Partial => Self::Partial,
        }
    }
}

/// Who may see something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Visibility)]
pub(crate) enum VisibleTo {
    /// Everybody who may read.
    Public,
    /// Its creator, and operators.
    Private,
}

impl From<Visibility> for VisibleTo {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Public => Self::Public,
            Visibility::Private => Self::Private,
        }
    }
}

impl From<VisibleTo> for Visibility {
    fn from(visible: VisibleTo) -> Self {
        match visible {
            VisibleTo::Public => Self::Public,
            VisibleTo::Private => Self::Private,
        }
    }
}

/// Whether it is a text of its own or made from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SynthesisType {
    /// Written from facts.
    Synthesis,
    /// Combined from syntheses.
    Supersynthesis,
}

impl SynthesisType {
    /// Its node's key begins with it, for ever.
    pub(super) fn of(row: &Model) -> Self {
        if row.node_key.starts_with("supersynthesis-") { Self::Supersynthesis } else { Self::Synthesis }
    }
}

/// A synthesis in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct SynthesisView {
    /// Also the id of its node.
    pub(crate) id: SynthesisId,
    /// Whether it is a text of its own or made from others.
    #[serde(rename = "type")]
    synthesis_type: SynthesisType,
    /// The graph it belongs to.
    graph_id: GraphId,
    /// What it is about.
    topic: String,
    /// Where it stands.
    state: Standing,
    /// Who may see it.
    visibility: VisibleTo,
    /// Who asked for it.
    creator_id: Option<String>,
    /// Why the last attempt failed.
    error: Option<ErrorView>,
    /// When it failed.
    error_at: Option<DateTime<Utc>>,
    /// The newest good text, if there is one.
    version: Option<i32>,
    /// How often writing it was begun.
    attempts: i32,
    /// The job of the newest attempt, once it has begun.
    job_id: Option<JobId>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl From<Model> for SynthesisView {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            synthesis_type: SynthesisType::of(&row),
            graph_id: row.graph_id,
            state: row.state.into(),
            visibility: row.visibility.into(),
            error: public_error(&row),
            topic: row.topic,
            creator_id: row.creator_id,
            error_at: row.error_at,
            version: row.current_version,
            attempts: row.attempts,
            job_id: row.job_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Why the last attempt failed, for everybody.
pub(super) fn public_error(row: &Model) -> Option<ErrorView> {
    let code = row.error_code.clone()?;
    Some(ErrorView { code, message: row.error_public.clone().unwrap_or_default() })
}
