//! Asking for a synthesis: what cannot be is refused before anything is written, and the row is there before anything runs.

use std::collections::{BTreeMap, HashSet};

use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis::{self, Model};
use ackord_entities::graph::{graphs, node, super_synthesis};
use ackord_entities::ids::{GraphId, JobId, NodeId, SynthesisId};
use ackord_entities::jobs::{Invalid, SuperSynthesis, Synthesis};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _};

use super::store::{Wish, json, request};
use super::supers::request_super;

/// A request that is refused; nothing was written, unless the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// A field names what is not there, or is of another type.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database failed.
    #[error("the request could not be written")]
    Database(#[from] DbErr),
}

/// Makes the synthesis that `job` asks for, pending, and returns its id. Publish the job with the id `id` in the same
/// transaction.
///
/// # Errors
/// [`AskError::Invalid`] for an unknown graph or starting node.
pub async fn ask(
    tx: &DatabaseTransaction,
    job: &Synthesis,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<SynthesisId, AskError> {
    let graph = place(tx, &job.graph, now).await?;
    check_nodes(tx, graph, &[("starting_node_ids".to_owned(), &job.starting_node_ids)]).await?;
    let input = json(job)?;
    let wish = Wish {
        graph,
        topic: &job.topic,
        visibility: job.visibility.into(),
        creator: job.creator_id.as_deref(),
        input: &input,
    };
    Ok(request(tx, &wish, id, now).await?)
}

/// Makes the super-synthesis that `job` asks for, pending, and returns its id. Publish the job with the id `id` in the same
/// transaction.
///
/// # Errors
/// [`AskError::Invalid`] for an unknown graph or starting node, and for an existing synthesis that is unknown, of another
/// graph, a super-synthesis itself, or somebody's own.
pub async fn ask_super(
    tx: &DatabaseTransaction,
    job: &SuperSynthesis,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<SynthesisId, AskError> {
    let graph = place(tx, &job.graph, now).await?;
    let fields: Vec<(String, &Vec<NodeId>)> = job
        .sub_configs
        .iter()
        .enumerate()
        .map(|(index, part)| (format!("sub_configs[{index}].starting_node_ids"), &part.starting_node_ids))
        .collect();
    check_nodes(tx, graph, &fields).await?;
    for (index, existing) in job.existing_synthesis_ids.iter().enumerate() {
        if let Some(reason) = why_no_part(tx, graph, job, *existing).await? {
            return Err(Invalid::new(format!("existing_synthesis_ids[{index}]"), reason).into());
        }
    }
    let input = json(job)?;
    let wish = Wish {
        graph,
        topic: &job.topic,
        visibility: job.visibility.into(),
        creator: job.creator_id.as_deref(),
        input: &input,
    };
    Ok(request_super(tx, &wish, id, now).await?)
}

/// The graph called `name`, by slug or id. The default one is made if nobody did yet: a topic can be asked for before
/// anything is imported.
///
/// # Errors
/// [`AskError::Invalid`] if there is no such graph.
pub async fn place(tx: &DatabaseTransaction, name: &str, now: DateTime<Utc>) -> Result<GraphId, AskError> {
    if name == graphs::DEFAULT {
        return Ok(graphs::ensure(tx, graphs::DEFAULT, now).await?);
    }
    let found = find_graph(tx, name).await?;
    Ok(found.ok_or_else(|| Invalid::new("graph", format!("there is no graph `{name}`")))?)
}

/// The graph called `name`, by slug or id, if there is one.
///
/// # Errors
/// Whatever the database answers.
pub async fn find_graph(connection: &impl ConnectionTrait, name: &str) -> Result<Option<GraphId>, DbErr> {
    let found = match name.parse::<GraphId>() {
        Ok(id) => graphs::Entity::find_by_id(id).one(connection).await?,
        Err(_) => graphs::by_slug(connection, name).await?,
    };
    Ok(found.map(|graph| graph.id))
}

/// The nodes of all fields in one question; the first that is wrong is named.
async fn check_nodes(
    tx: &DatabaseTransaction,
    graph: GraphId,
    fields: &[(String, &Vec<NodeId>)],
) -> Result<(), AskError> {
    let wanted: HashSet<NodeId> = fields.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let found = node::by_ids(tx, wanted).await?;
    let known: BTreeMap<NodeId, &node::Model> =
        found.iter().filter(|node| node.graph_id == graph).map(|node| (node.id, node)).collect();
    for (field, ids) in fields {
        for (index, id) in ids.iter().enumerate() {
            let reason = match known.get(id) {
                None => format!("there is no node {id} in the graph"),
                Some(node) if !node.node_type.comes_from_sources() => {
                    format!("{id} is a synthesis: begin with a node that comes from documents")
                }
                Some(_) => continue,
            };
            return Err(Invalid::new(format!("{field}[{index}]"), reason).into());
        }
    }
    Ok(())
}

async fn why_no_part(
    tx: &DatabaseTransaction,
    graph: GraphId,
    job: &SuperSynthesis,
    id: SynthesisId,
) -> Result<Option<String>, DbErr> {
    let there = synthesis::by_id(tx, id).await?.filter(|row| row.graph_id == graph && may_see(row, job));
    let Some(row) = there else {
        let nodes = node::by_ids(tx, [NodeId(id.0)]).await?;
        let other =
            nodes.first().is_some_and(|node| node.graph_id == graph && node.node_type.comes_from_sources());
        let reason = if other {
            format!("{id} is a node of another type, not a synthesis")
        } else {
            format!("there is no synthesis {id} in the graph")
        };
        return Ok(Some(reason));
    };
    if super_synthesis::by_id(tx, id).await?.is_some() {
        return Ok(Some(format!("{id} is a super-synthesis: give syntheses")));
    }
    let shows =
        row.visibility == Visibility::Private && Visibility::from(job.visibility) == Visibility::Public;
    Ok(shows.then(|| format!("{id} is private, and this text would be public")))
}

/// Somebody else's private synthesis is, to whoever asks, not there.
fn may_see(row: &Model, job: &SuperSynthesis) -> bool {
    row.visibility == Visibility::Public || row.creator_id == job.creator_id
}
