//! A synthesis among others: what it is a part of, and what its parts are.

use ackord_entities::graph::super_synthesis;
use ackord_entities::graph::synthesis::{self, Model};
use ackord_entities::graph::synthesis_link::{self, Part};
use ackord_entities::graph::synthesis_part_read::{self, is_stale};
use ackord_entities::graph::synthesis_version;
use ackord_entities::ids::SynthesisId;
use sea_orm::{ConnectionTrait, DbErr};

use super::document::Document;

/// How a synthesis stands among others.
#[derive(Clone, Debug)]
pub struct Family {
    /// Of a super-synthesis: how it was planned.
    pub plan: Option<super_synthesis::Model>,
    /// Its parts as they stand now, in their order.
    pub parts: Vec<Part>,
    /// What its newest text was made from.
    pub read: Vec<synthesis_part_read::Model>,
    /// Whether its parts say something else by now than its text was made from.
    pub stale: bool,
    /// The super-syntheses that it is a part of, by id.
    pub parents: Vec<Model>,
}

/// How `synthesis` stands among others.
///
/// # Errors
/// Whatever the database answers.
pub async fn family(connection: &impl ConnectionTrait, synthesis: &Model) -> Result<Family, DbErr> {
    let plan = super_synthesis::by_id(connection, synthesis.id).await?;
    let parts = synthesis_link::parts_of(connection, synthesis.id).await?;
    let read = match synthesis.current_version {
        Some(version) => synthesis_part_read::of(connection, synthesis.id, version).await?,
        None => Vec::new(),
    };
    let stale = synthesis.current_version.is_some() && plan.is_some() && is_stale(&read, &parts);
    let mut parents = Vec::new();
    for id in synthesis_link::parents_of(connection, synthesis.id).await? {
        parents.extend(synthesis::by_id(connection, id).await?);
    }
    Ok(Family { plan, parts, read, stale, parents })
}

/// One version of a text, with what it was made from.
#[derive(Clone, Debug)]
pub struct VersionRead {
    /// The version.
    pub version: synthesis_version::Model,
    /// Its structure.
    pub document: Document,
    /// Of a super-synthesis: the parts that it was made from, and those that were missing.
    pub read: Vec<synthesis_part_read::Model>,
}

/// Every version of the synthesis, oldest first.
///
/// # Errors
/// Whatever the database answers. A stored structure that this version cannot read is a [`DbErr::Json`].
pub async fn versions(connection: &impl ConnectionTrait, id: SynthesisId) -> Result<Vec<VersionRead>, DbErr> {
    let mut all = Vec::new();
    for version in synthesis_version::all_of(connection, id).await? {
        let document =
            serde_json::from_str(&version.document).map_err(|error| DbErr::Json(error.to_string()))?;
        let read = synthesis_part_read::of(connection, id, version.version).await?;
        all.push(VersionRead { version, document, read });
    }
    Ok(all)
}
