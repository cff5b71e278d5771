//! Syntheses: texts about topics, in which state they are, and what they were asked for.
//!
//! The row is there before the first attempt. Transitions are guarded: each says whether it happened, and none of them
//! touches visibility or creator.

mod again;
mod listing;
mod unheard;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use sea_orm::entity::prelude::*;

use super::node::{NodeType, Visibility};
use crate::database::Sql;
use crate::ids::{GraphId, JobId, NodeId, SynthesisId};

pub use again::{
    Combined, assign, await_combining, begin_combining, end_combining, lock, remove, reopen, set_visibility,
};
pub use listing::{Filter, Seen, list};
pub use unheard::{Unheard, unheard};

/// One synthesis.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_syntheses")]
pub struct Model {
    /// Also the id of its node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SynthesisId,
    /// The graph it is about and belongs to.
    pub graph_id: GraphId,
    /// The key of its node, unique in the graph.
    pub node_key: String,
    /// What it is about.
    pub topic: String,
    /// Where it stands.
    pub state: State,
    /// Who may see it.
    pub visibility: Visibility,
    /// Who asked for it.
    pub creator_id: Option<String>,
    /// What it was asked for: the payload of the first job, as JSON. Never changed.
    pub input: String,
    /// Why the last attempt failed, for programs. Cleared by a success.
    pub error_code: Option<String>,
    /// The same for operators.
    pub error_message: Option<String>,
    /// The same for everybody.
    pub error_public: Option<String>,
    /// When it failed.
    pub error_at: Option<DateTime<Utc>>,
    /// The last good text, if there is one. A failure leaves it.
    pub current_version: Option<i32>,
    /// How often writing it was begun.
    pub attempts: i32,
    /// Raised by every change of the row: a writer that read an older one is late.
    pub row_version: i32,
    /// The job of the last attempt.
    pub job_id: Option<JobId>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether a job works on it, or is going to.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        match self.state {
            State::Pending | State::Running => true,
            State::Completed | State::Partial | State::Error => false,
        }
    }
}

/// Where a synthesis stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Asked for, and nobody works on it yet.
    #[sea_orm(string_value = "pending")]
    Pending,
    /// It is being written.
    #[sea_orm(string_value = "running")]
    Running,
    /// It has a text, and the last attempt succeeded.
    #[sea_orm(string_value = "completed")]
    Completed,
    /// The last attempt failed. An older text may be there.
    #[sea_orm(string_value = "error")]
    Error,
    /// It has a text from some of its parts; others are missing.
    #[sea_orm(string_value = "partial")]
    Partial,
}

/// A synthesis to be made.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// Its id: the id that its node key has in the graph.
    pub id: SynthesisId,
    /// See [`Model::graph_id`].
    pub graph_id: GraphId,
    /// See [`Model::node_key`].
    pub node_key: &'a str,
    /// See [`Model::topic`].
    pub topic: &'a str,
    /// The name of its node.
    pub concept: &'a str,
    /// What its node is.
    pub node_type: NodeType,
    /// See [`Model::visibility`].
    pub visibility: Visibility,
    /// See [`Model::creator_id`].
    pub creator_id: Option<&'a str>,
    /// See [`Model::input`].
    pub input: &'a str,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For programs.
    pub code: String,
    /// For operators.
    pub operator: String,
    /// For everybody.
    pub public: String,
}

/// Makes the synthesis, pending, and its node without a definition. Returns false, and changes nothing, if it is there.
///
/// # Errors
/// Whatever the database answers.
pub async fn create(
    connection: &impl ConnectionTrait,
    new: &New<'_>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = Sql::new(connection.get_database_backend())
        .text(
            "INSERT INTO write_syntheses (id, graph_id, node_key, topic, state, visibility, creator_id, input, attempts, \
             row_version, created_at, updated_at) VALUES (",
        )
        .bind(new.id)
        .text(", ")
        .bind(new.graph_id)
        .text(", ")
        .bind(new.node_key)
        .text(", ")
        .bind(new.topic)
        .text(", 'pending', ")
        .bind(new.visibility.to_value())
        .text(", ")
        .bind(new.creator_id)
        .text(", ")
        .bind(new.input)
        .text(", 0, 1, ")
        .bind(now)
        .text(", ")
        .bind(now)
        .text(") ON CONFLICT (id) DO NOTHING")
        .build();
    if connection.execute_raw(row).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let node = Sql::new(connection.get_database_backend())
        .text(
            "INSERT INTO write_nodes (id, graph_id, key, concept, node_type, visibility, creator_id, fact_count, strength, \
             created_at, updated_at) VALUES (",
        )
        .bind(NodeId(new.id.0))
        .text(", ")
        .bind(new.graph_id)
        .text(", ")
        .bind(new.node_key)
        .text(", ")
        .bind(new.concept)
        .text(", ")
        .bind(new.node_type.to_value())
        .text(", ")
        .bind(new.visibility.to_value())
        .text(", ")
        .bind(new.creator_id)
        .text(", 0, 0, ")
        .bind(now)
        .text(", ")
        .bind(now)
        .text(")")
        .build();
    connection.execute_raw(node).await?;
    Ok(true)
}

/// Pending or error becomes running, for `job`. Running for the same job stays so. Returns the row if it is running for
/// `job` now, and whether a new attempt begins with it; `None` if it is not there, completed, or another job's, also one that
/// only waits for its turn.
///
/// # Errors
/// Whatever the database answers.
pub async fn start(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Option<(Model, bool)>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_syntheses SET state = 'running', attempts = attempts + 1, row_version = row_version + 1, job_id = ")
        .bind(job)
        .text(", updated_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .text(" AND (state = 'error' OR (state = 'pending' AND (job_id IS NULL OR job_id = ")
        .bind(job)
        .text("))) RETURNING *")
        .build();
    if let Some(row) = connection.query_one_raw(statement).await? {
        return Ok(Some((Model::from_query_result(&row, "")?, true)));
    }
    let known = Entity::find_by_id(id).one(connection).await?;
    Ok(known.filter(|row| row.state == State::Running && row.job_id == Some(job)).map(|row| (row, false)))
}

/// Running for `job` becomes completed: the error is cleared and the version raised. Returns the new version, or `None`
/// when the row is not running for `job` any more; then nothing may be written.
///
/// # Errors
/// Whatever the database answers.
pub async fn complete(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Option<i32>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "UPDATE write_syntheses SET state = 'completed', current_version = COALESCE(current_version, 0) + 1, \
             error_code = NULL, error_message = NULL, error_public = NULL, error_at = NULL, \
             row_version = row_version + 1, updated_at = ",
        )
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .text(" AND state = 'running' AND job_id = ")
        .bind(job)
        .text(" RETURNING current_version")
        .build();
    connection.query_one_raw(statement).await?.map(|row| row.try_get("", "current_version")).transpose()
}

/// Running for `job`, or pending for it or for nobody, becomes error. Text, visibility and creator stay as they are. Returns
/// whether it did.
///
/// # Errors
/// Whatever the database answers.
pub async fn fail(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
    failure: &Failure,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_syntheses SET state = 'error', row_version = row_version + 1, error_code = ")
        .bind(failure.code.as_str())
        .text(", error_message = ")
        .bind(failure.operator.as_str())
        .text(", error_public = ")
        .bind(failure.public.as_str())
        .text(", error_at = ")
        .bind(now)
        .text(", updated_at = ")
        .bind(now)
        .text(", job_id = ")
        .bind(job)
        .text(" WHERE id = ")
        .bind(id)
        .text(" AND ((state = 'pending' AND (job_id IS NULL OR job_id = ")
        .bind(job)
        .text(")) OR (state = 'running' AND job_id = ")
        .bind(job)
        .text("))")
        .build();
    Ok(connection.execute_raw(statement).await?.rows_affected() == 1)
}

/// Gives the synthesis's node its text.
///
/// # Errors
/// Whatever the database answers.
pub async fn define(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    markdown: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_nodes SET definition = ")
        .bind(markdown)
        .text(", updated_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(NodeId(id.0))
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// The synthesis with this id.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_id(connection: &impl ConnectionTrait, id: SynthesisId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// The syntheses of a graph whose node key begins with `prefix`, newest first: at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_key_prefix(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    prefix: &str,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    // Not LIKE: it has no escape character on SQLite unless one is declared.
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT * FROM write_syntheses WHERE graph_id = ")
        .bind(graph)
        .text(" AND substr(node_key, 1, ")
        .bind(i32::try_from(prefix.chars().count()).unwrap_or(i32::MAX))
        .text(") = ")
        .bind(prefix)
        .text(" ORDER BY created_at DESC, id DESC LIMIT ")
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}
