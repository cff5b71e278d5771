//! How the copying of graphs stands: what is asked for several graphs at once, and what is looked for among the cycles.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, FromQueryResult, QueryOrder, QuerySelect, Statement};

use super::{cycle, failure, state};
use crate::ids::{GraphId, JobId};

/// The newest cycle of each graph that has one.
///
/// # Errors
/// Whatever the database answers.
pub async fn newest_cycles(
    connection: &impl ConnectionTrait,
) -> Result<HashMap<GraphId, cycle::Model>, DbErr> {
    const SQL: &str = "SELECT c.* FROM graphs AS g JOIN sync_cycles AS c ON c.job_id = \
         (SELECT s.job_id FROM sync_cycles AS s WHERE s.graph_id = g.id ORDER BY s.job_id DESC LIMIT 1)";
    let rows =
        connection.query_all_raw(Statement::from_string(connection.get_database_backend(), SQL)).await?;
    let cycles = rows.iter().map(|row| cycle::Model::from_query_result(row, ""));
    cycles.map(|cycle| cycle.map(|cycle| (cycle.graph_id, cycle))).collect()
}

/// The graph's newest cycle that wrote or removed something, or met a row that it could not copy.
///
/// # Errors
/// Whatever the database answers.
pub async fn newest_busy_cycle(
    connection: &impl ConnectionTrait,
    graph: GraphId,
) -> Result<Option<cycle::Model>, DbErr> {
    use cycle::Column::{Deferred, Deleted, Failed, GraphId as Graph, JobId as Job, Moved};
    let busy = [Moved, Deleted, Deferred, Failed]
        .into_iter()
        .fold(Condition::any(), |any, column| any.add(column.gt(0)));
    cycle::Entity::find().filter(Graph.eq(graph)).filter(busy).order_by_desc(Job).one(connection).await
}

/// What the job did, if it came to its end as a cycle.
///
/// # Errors
/// Whatever the database answers.
pub async fn cycle_of(connection: &impl ConnectionTrait, job: JobId) -> Result<Option<cycle::Model>, DbErr> {
    cycle::Entity::find_by_id(job).one(connection).await
}

/// How many rows of each graph are in each state.
///
/// # Errors
/// Whatever the database answers.
pub async fn held_rows(
    connection: &impl ConnectionTrait,
) -> Result<Vec<(GraphId, failure::State, i64)>, DbErr> {
    failure::Entity::find()
        .select_only()
        .column(failure::Column::GraphId)
        .column(failure::Column::State)
        .column_as(failure::Column::RecordKey.count(), "number")
        .group_by(failure::Column::GraphId)
        .group_by(failure::Column::State)
        .into_tuple()
        .all(connection)
        .await
}

/// When each provider last came further with each graph.
///
/// # Errors
/// Whatever the database answers.
pub async fn progress(
    connection: &impl ConnectionTrait,
) -> Result<Vec<(GraphId, String, DateTime<Utc>)>, DbErr> {
    state::Entity::find()
        .select_only()
        .column(state::Column::GraphId)
        .column(state::Column::Provider)
        .column(state::Column::UpdatedAt)
        .into_tuple()
        .all(connection)
        .await
}
