//! What operators do about rows that could not be copied.

use ackord_entities::graph::{composition, graphs};
use ackord_entities::ids::GraphId;
use ackord_entities::queue::audit::{self, Deed, SubjectType};
use ackord_entities::sync::failure::{self, Which};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr, EntityTrait as _};
use serde_json::json;

use super::Operator;

/// Has rows tried again by the graph's next cycle, as if for the first time. Answers how many.
///
/// # Errors
/// Whatever the database answers.
pub async fn requeue_failures(
    tx: &DatabaseTransaction,
    graph: &graphs::Model,
    which: &Which,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let changed = failure::requeue(tx, graph.id, which, now).await?;
    record(tx, "requeue", graph, which, changed, operator, now).await?;
    Ok(changed)
}

/// Gives rows up: they stay as they are on the read side until they change again. Answers how many.
///
/// # Errors
/// Whatever the database answers.
pub async fn discard_failures(
    tx: &DatabaseTransaction,
    graph: &graphs::Model,
    which: &Which,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let changed = failure::discard(tx, graph.id, which).await?;
    record(tx, "discard", graph, which, changed, operator, now).await?;
    Ok(changed)
}

/// Names the provider that copies the graph from its next cycle on; `None`: the default. Answers whether it was another one before;
/// `None` if there is no such graph.
///
/// # Errors
/// Whatever the database answers.
pub async fn set_sync_provider(
    tx: &DatabaseTransaction,
    graph: GraphId,
    provider: Option<&str>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<Option<bool>, DbErr> {
    graphs::lock(tx, graph).await?;
    let Some(graph) = graphs::Entity::find_by_id(graph).one(tx).await? else { return Ok(None) };
    let before = composition::sync_provider(graph.composition.as_deref());
    if before.as_ref().is_ok_and(|before| before.as_deref() == provider) {
        return Ok(Some(false));
    }
    let now_is = composition::with_sync_provider(graph.composition.as_deref(), provider);
    graphs::set_composition(tx, graph.id, now_is.as_deref(), now).await?;
    let details = json!({ "sync": provider, "before": before.ok().flatten() }).to_string();
    let deed = operator.deed("change", SubjectType::Graph, graph.slug);
    audit::record(tx, Deed { details: Some(details), ..deed }, now).await?;
    Ok(Some(true))
}

async fn record(
    tx: &DatabaseTransaction,
    verb: &str,
    graph: &graphs::Model,
    which: &Which,
    changed: u64,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    if changed == 0 {
        return Ok(());
    }
    let subject = match which {
        Which::One { table, key } => format!("{}/{table}/{key}", graph.slug),
        Which::All => format!("{}: {changed} rows that were not copied", graph.slug),
    };
    audit::record(tx, operator.deed(verb, SubjectType::Graph, subject), now).await
}
