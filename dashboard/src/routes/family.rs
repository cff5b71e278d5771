//! How a synthesis stands among others: its parts, and what it is a part of.

use ackord_entities::graph::synthesis::{self, Model};
use ackord_entities::graph::synthesis_link::Origin;
use ackord_entities::ids::SynthesisId;
use ackord_graph::synthesis::family;
use ackord_producer::story::ErrorView;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde::Serialize;
use utoipa::ToSchema;

use super::synthesis_view::Standing;
use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;

/// How a synthesis stands among others.
#[derive(Serialize, ToSchema)]
pub(crate) struct FamilyView {
    /// Of a super-synthesis: its parts that the caller may see, in their order.
    parts: Vec<PartView>,
    /// Of a super-synthesis: whether its parts say something else by now than its text was made from.
    stale: bool,
    /// The super-syntheses that it is a part of and the caller may see.
    parents: Vec<SynthesisId>,
}

/// A part of a super-synthesis.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartView {
    /// The part: a synthesis of its own.
    id: SynthesisId,
    /// Its place among the parts, from 0.
    position: i32,
    /// Where it comes from.
    origin: PartOrigin,
    /// What it is about.
    topic: String,
    /// Where it stands.
    state: Standing,
    /// Its newest good text, if there is one.
    version: Option<i32>,
    /// Which of its texts the newest one of the whole was made from; null if that was made without it.
    read_version: Option<i32>,
    /// Why its last attempt failed.
    error: Option<ErrorView>,
}

/// Where a part comes from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartOrigin {
    /// It was written for this super-synthesis.
    Planned,
    /// It was there before.
    Existing,
}

/// How `row` stands among others, as the caller may see it.
pub(super) async fn family_of(api: &Api, caller: &Caller, row: &Model) -> Result<FamilyView, Problem> {
    let family = family(api.database().read(), row).await?;
    let ids = family.parts.iter().map(|part| part.sub_id);
    let rows = synthesis::Entity::find().filter(synthesis::Column::Id.is_in(ids)).all(api.database().read());
    let rows = rows.await?;
    let may_see = |row: &Model| caller.may_see(row.visibility, row.creator_id.as_deref());
    let visible = |id: SynthesisId| rows.iter().any(|row| row.id == id && may_see(row));
    let read = |id: SynthesisId| family.read.iter().find(|read| read.sub_id == id)?.sub_version;
    let parts = family.parts.iter().filter(|part| visible(part.sub_id)).map(|part| PartView {
        id: part.sub_id,
        position: part.position,
        origin: match part.origin {
            Origin::Planned => PartOrigin::Planned,
            Origin::Existing => PartOrigin::Existing,
        },
        topic: part.topic.clone(),
        state: part.state.into(),
        version: part.current_version,
        read_version: read(part.sub_id),
        error: part
            .error_code
            .clone()
            .map(|code| ErrorView { code, message: part.error_public.clone().unwrap_or_default() }),
    });
    Ok(FamilyView {
        parts: parts.collect(),
        stale: family.stale,
        parents: family.parents.iter().filter(|row| may_see(row)).map(|row| row.id).collect(),
    })
}
