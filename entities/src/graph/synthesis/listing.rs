//! Syntheses as readers list them, and who may see them.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder, QuerySelect};

use super::{COLUMN, Column, Entity, Model, State};
use crate::graph::node::Visibility;
use crate::ids::{GraphId, SynthesisId};

/// Whose private syntheses are listed beside the public ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// Everybody's.
    All,
    /// Those of one creator; of none, where the reader is nobody.
    By(Option<&'a str>),
}

/// Which syntheses. What is not given does not narrow.
#[derive(Clone, Debug)]
pub struct Filter<'a> {
    /// Only super-syntheses, or only others.
    pub is_super: Option<bool>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those that these may see.
    pub visibility: Option<Visibility>,
    /// Only those of this creator.
    pub creator: Option<&'a str>,
    /// What the reader may see at all.
    pub seen: Seen<'a>,
    /// Only those behind this place in the list: the end of the page before.
    pub before: Option<(DateTime<Utc>, SynthesisId)>,
}

impl Filter<'_> {
    fn condition(&self) -> Condition {
        let seen = match self.seen {
            Seen::All => None,
            Seen::By(None) => Some(Condition::all().add(Column::Visibility.eq(Visibility::Public))),
            Seen::By(Some(creator)) => Some(
                Condition::any()
                    .add(Column::Visibility.eq(Visibility::Public))
                    .add(Column::CreatorId.eq(creator)),
            ),
        };
        let before = self.before.map(|(at, id)| {
            let same = Condition::all().add(Column::CreatedAt.eq(at)).add(Column::Id.lt(id));
            // The first half is what an index can use.
            Condition::all()
                .add(Column::CreatedAt.lte(at))
                .add(Condition::any().add(Column::CreatedAt.lt(at)).add(same))
        });
        let of_type = self.is_super.map(|is_super| {
            let not = if is_super { "" } else { "NOT " };
            Expr::cust(format!("id {not}IN (SELECT id FROM write_super_syntheses)"))
        });
        Condition::all()
            .add_option(of_type)
            .add_option(self.state.map(|state| Column::State.eq(state)))
            .add_option(self.visibility.map(|visibility| Column::Visibility.eq(visibility)))
            .add_option(self.creator.map(|creator| Column::CreatorId.eq(creator)))
            .add_option(seen)
            .add_option(before)
    }
}

/// A page of the syntheses of a graph, newest first, then by id.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    filter: &Filter<'_>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(COLUMN.graph_id.eq(graph))
        .filter(filter.condition())
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(limit)
        .all(connection)
        .await
}
