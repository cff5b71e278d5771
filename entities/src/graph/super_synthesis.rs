//! Super-syntheses: how each was planned. The rest of what they are stands in `write_syntheses`, as for every synthesis.
//!
//! The row is also what is locked before anything is decided about the parts, see `docs/adr/0014-fan-in.md`.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, FromQueryResult};

use crate::database::Sql;
use crate::ids::{JobId, SynthesisId};

/// What a super-synthesis has beyond a synthesis.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_super_syntheses")]
pub struct Model {
    /// Its id: that of its row in `write_syntheses`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SynthesisId,
    /// How it came to its parts; none before it is planned.
    pub planning: Option<Planning>,
    /// The name of the planner.
    pub planner: Option<String>,
    /// Why the plan is what it is, where that needs saying; always for a fallback.
    pub reason: Option<String>,
    /// The job that planned it.
    pub job_id: Option<JobId>,
    /// When it was planned.
    pub planned_at: Option<DateTime<Utc>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How a super-synthesis came to its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Planning {
    /// Whoever asked for it named them.
    #[sea_orm(string_value = "given")]
    Given,
    /// A planner found them in the graph.
    #[sea_orm(string_value = "graph")]
    Graph,
    /// No plan came of it: one part, about the whole topic.
    #[sea_orm(string_value = "fallback")]
    Fallback,
}

/// A plan, to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// See [`Model::planning`].
    pub planning: Planning,
    /// See [`Model::planner`].
    pub planner: &'a str,
    /// See [`Model::reason`].
    pub reason: Option<&'a str>,
    /// See [`Model::job_id`].
    pub job: JobId,
}

/// Makes the row of a super-synthesis whose row in `write_syntheses` is there. Nothing happens if it has one.
///
/// # Errors
/// Whatever the database answers.
pub async fn create(connection: &impl ConnectionTrait, id: SynthesisId) -> Result<(), DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("INSERT INTO write_super_syntheses (id) VALUES (")
        .bind(id)
        .text(") ON CONFLICT (id) DO NOTHING")
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// The row with this id; `None` for what is no super-synthesis.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_id(connection: &impl ConnectionTrait, id: SynthesisId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// The row with this id, locked until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, id: SynthesisId) -> Result<Option<Model>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("SELECT * FROM write_super_syntheses WHERE id = ")
        .bind(id)
        .on_postgres(" FOR NO KEY UPDATE")
        .build();
    tx.query_one_raw(statement).await?.map(|row| Model::from_query_result(&row, "")).transpose()
}

/// The super-syntheses that have `sub` as a part, locked until the transaction ends, in the order of their ids: everybody
/// takes them in this order, so nobody waits for somebody who waits for him.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock_parents(tx: &DatabaseTransaction, sub: SynthesisId) -> Result<Vec<Model>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "SELECT * FROM write_super_syntheses WHERE id IN \
             (SELECT super_id FROM write_synthesis_links WHERE sub_id = ",
        )
        .bind(sub)
        .text(") ORDER BY id")
        .on_postgres(" FOR NO KEY UPDATE")
        .build();
    let rows = tx.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// Records the plan. Returns false, and changes nothing, if there is one already.
///
/// # Errors
/// Whatever the database answers.
pub async fn plan(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    planned: &Planned<'_>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_super_syntheses SET planning = ")
        .bind(planned.planning.to_value())
        .text(", planner = ")
        .bind(planned.planner)
        .text(", reason = ")
        .bind(planned.reason)
        .text(", job_id = ")
        .bind(planned.job)
        .text(", planned_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .text(" AND planning IS NULL")
        .build();
    Ok(connection.execute_raw(statement).await?.rows_affected() == 1)
}
