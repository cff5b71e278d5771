//! Which facts mention which nodes.
//!
//! The table answers from the node's side. From the fact's side ask [`super::fact_source`]: each of a fact's rows names
//! the keys of its nodes, and a second index over this table would cost the import more than it gives.

use sea_orm::entity::prelude::*;

use super::bulk::Bulk;
use crate::ids::{FactId, NodeId};

/// A fact mentions a node.
#[sea_orm::model]
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_node_facts")]
pub struct Model {
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub node_id: NodeId,
    /// The fact.
    #[sea_orm(primary_key, auto_increment = false)]
    pub fact_id: FactId,
}

impl ActiveModelBehavior for ActiveModel {}

/// Writes these pairs, none of which may be there.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_all(connection: &impl ConnectionTrait, pairs: &[(NodeId, FactId)]) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "INSERT INTO write_node_facts (node_id, fact_id) VALUES ",
        row: "(#, #)",
        tail: "",
        constants: Vec::new(),
    };
    bulk.execute(connection, values(pairs)).await.map(drop)
}

/// Removes these pairs.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_all(connection: &impl ConnectionTrait, pairs: &[(NodeId, FactId)]) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "DELETE FROM write_node_facts WHERE (node_id, fact_id) IN (VALUES ",
        row: "(#, #)",
        tail: ")",
        constants: Vec::new(),
    };
    bulk.execute(connection, values(pairs)).await.map(drop)
}

fn values(pairs: &[(NodeId, FactId)]) -> Vec<Vec<Value>> {
    pairs.iter().map(|(node, fact)| vec![node.0.into(), fact.0.into()]).collect()
}
