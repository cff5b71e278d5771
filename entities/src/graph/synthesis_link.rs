//! Which syntheses are the parts of which super-synthesis. Written before anything is combined; many to many.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveEnum, FromQueryResult, QueryOrder};

use super::synthesis::State;
use crate::database::{RowSet, Sql};
use crate::ids::{JobId, SynthesisId};

/// One part of one super-synthesis.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_synthesis_links")]
pub struct Model {
    /// The super-synthesis.
    #[sea_orm(primary_key, auto_increment = false)]
    pub super_id: SynthesisId,
    /// The part.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sub_id: SynthesisId,
    /// Its place among the parts, from 0.
    pub position: i32,
    /// Where it comes from.
    pub origin: Origin,
}

impl ActiveModelBehavior for ActiveModel {}

/// Where a part comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Origin {
    /// It is written for this super-synthesis.
    #[sea_orm(string_value = "planned")]
    Planned,
    /// It was there before, and was asked for by its id.
    #[sea_orm(string_value = "existing")]
    Existing,
}

/// A part as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Part {
    /// The part.
    pub sub_id: SynthesisId,
    /// Its place among the parts.
    pub position: i32,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is about.
    pub topic: String,
    /// The name of its node.
    pub concept: String,
    /// How it stands.
    pub state: State,
    /// Its last good text, if there is one.
    pub current_version: Option<i32>,
    /// Why its last attempt failed.
    pub error_code: Option<String>,
    /// The same for operators.
    pub error_message: Option<String>,
    /// The same for everybody.
    pub error_public: Option<String>,
    /// The job of its last attempt.
    pub job_id: Option<JobId>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Part {
    /// Whether nobody works on it, or is going to. An existing part that fails and one that is called off have ended too.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.state {
            State::Completed | State::Partial | State::Error => true,
            State::Pending | State::Running => false,
        }
    }
}

/// Writes links.
///
/// # Errors
/// Whatever the database answers, a part that comes twice or is gone included.
pub async fn insert_all(connection: &impl ConnectionTrait, links: &[Model]) -> Result<(), DbErr> {
    if links.is_empty() {
        return Ok(());
    }
    let rows = RowSet::new("r")
        .uuid("sub_id", links.iter().map(|link| link.sub_id.0))
        .uuid("super_id", links.iter().map(|link| link.super_id.0))
        .int("position", links.iter().map(|link| link.position))
        .string("origin", links.iter().map(|link| link.origin.to_value()));
    let statement = Sql::new(connection.get_database_backend())
        .text("INSERT INTO write_synthesis_links (super_id, sub_id, position, origin) SELECT super_id, sub_id, position, origin FROM ")
        .rows(rows)
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// The parts of a super-synthesis as they stand now, in their order.
///
/// # Errors
/// Whatever the database answers.
pub async fn parts_of(connection: &impl ConnectionTrait, super_id: SynthesisId) -> Result<Vec<Part>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT l.sub_id, l.position, l.origin, s.topic, n.concept, s.state, s.current_version, s.error_code, \
             s.error_message, s.error_public, s.job_id, s.updated_at FROM write_synthesis_links AS l \
             JOIN write_syntheses AS s ON s.id = l.sub_id JOIN write_nodes AS n ON n.id = l.sub_id \
             WHERE l.super_id = ",
        )
        .bind(super_id)
        .text(" ORDER BY l.position")
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Part::from_query_result(row, "")).collect()
}

/// The super-syntheses that have `sub` as a part, in the order of their ids.
///
/// # Errors
/// Whatever the database answers.
pub async fn parents_of(
    connection: &impl ConnectionTrait,
    sub: SynthesisId,
) -> Result<Vec<SynthesisId>, DbErr> {
    let links =
        Entity::find().filter(COLUMN.sub_id.eq(sub)).order_by_asc(COLUMN.super_id).all(connection).await?;
    Ok(links.into_iter().map(|link| link.super_id).collect())
}
