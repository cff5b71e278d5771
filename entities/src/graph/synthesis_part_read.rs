//! What each version of a super-synthesis was made from: the version of each part that it has read, and the parts that were
//! missing.

use std::collections::BTreeMap;

use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;

use super::synthesis_link::Part;
use crate::database::{RowSet, Sql};
use crate::ids::SynthesisId;

/// One part behind one version. Never changed.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_synthesis_parts_read")]
pub struct Model {
    /// The super-synthesis.
    #[sea_orm(primary_key, auto_increment = false)]
    pub super_id: SynthesisId,
    /// Its version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// The part's place among the parts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// The part. It may be gone by now.
    pub sub_id: SynthesisId,
    /// What the part is about.
    pub topic: String,
    /// The version of the part that was read; none if it had no text.
    pub sub_version: Option<i32>,
    /// Why it had none.
    pub missing_code: Option<String>,
    /// The same for everybody.
    pub missing_public: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Writes what a version was made from.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_all(connection: &impl ConnectionTrait, parts: &[Model]) -> Result<(), DbErr> {
    if parts.is_empty() {
        return Ok(());
    }
    let rows = RowSet::new("r")
        .int("position", parts.iter().map(|part| part.position))
        .uuid("super_id", parts.iter().map(|part| part.super_id.0))
        .int("version", parts.iter().map(|part| part.version))
        .uuid("sub_id", parts.iter().map(|part| part.sub_id.0))
        .string("topic", parts.iter().map(|part| part.topic.clone()))
        .int("sub_version", parts.iter().map(|part| part.sub_version))
        .string("missing_code", parts.iter().map(|part| part.missing_code.clone()))
        .string("missing_public", parts.iter().map(|part| part.missing_public.clone()));
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "INSERT INTO write_synthesis_parts_read (super_id, version, position, sub_id, topic, sub_version, missing_code, \
             missing_public) SELECT super_id, version, position, sub_id, topic, sub_version, missing_code, missing_public FROM ",
        )
        .rows(rows)
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// What `version` of the super-synthesis was made from, in the order of the parts.
///
/// # Errors
/// Whatever the database answers.
pub async fn of(
    connection: &impl ConnectionTrait,
    super_id: SynthesisId,
    version: i32,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(COLUMN.super_id.eq(super_id))
        .filter(COLUMN.version.eq(version))
        .order_by_asc(COLUMN.position)
        .all(connection)
        .await
}

/// Whether a version that was made from `read` says less or other than one that would be made from `parts` now: a part has a
/// newer text, got its first, or is gone.
#[must_use]
pub fn is_stale(read: &[Model], parts: &[Part]) -> bool {
    let then: BTreeMap<SynthesisId, i32> =
        read.iter().filter_map(|part| Some((part.sub_id, part.sub_version?))).collect();
    let now: BTreeMap<SynthesisId, i32> =
        parts.iter().filter_map(|part| Some((part.sub_id, part.current_version?))).collect();
    then != now
}
