//! `testbed texts`: what became of the super-syntheses.

use std::collections::BTreeMap;

use ackord_entities::database::Database;
use ackord_entities::graph::{
    super_synthesis, synthesis, synthesis_attempt, synthesis_link, synthesis_part_read, synthesis_version,
};
use ackord_entities::ids::SynthesisId;
use ackord_entities::queue::{dead_letter, job};
use sea_orm::{ActiveEnum as _, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _, Statement};
use serde::Serialize;

use crate::audit::snapshot;

/// What the database says.
#[derive(Debug, Serialize)]
pub struct Texts {
    /// The super-syntheses.
    pub wholes: Vec<Whole>,
    /// How many jobs there are, by kind and state.
    pub jobs: BTreeMap<String, BTreeMap<String, usize>>,
    /// Dead letters.
    pub letters: usize,
    /// Messages that wait, leases that somebody has, and suspects.
    pub unsettled: i64,
}

/// A super-synthesis.
#[derive(Debug, Serialize)]
pub struct Whole {
    /// What there is to say about it as a text.
    #[serde(flatten)]
    pub text: Text,
    /// Whether its parts say something else than its newest version was made from.
    pub stale: bool,
    /// Which version of each part the newest version was made from.
    pub read: BTreeMap<String, Option<i32>>,
    /// Its parts, in their order.
    pub parts: Vec<Text>,
}

/// A text.
#[derive(Debug, Serialize)]
pub struct Text {
    /// What it is about.
    pub topic: String,
    /// How it stands.
    pub state: String,
    /// Its versions.
    pub versions: usize,
    /// Jobs that wrote more than one of them.
    pub doubles: usize,
    /// Attempts at it.
    pub attempts: usize,
    /// Those that have not ended.
    pub unended: usize,
}

/// Looks.
///
/// # Errors
/// Whatever the database answers.
pub async fn audit(database: &Database) -> Result<Texts, DbErr> {
    let snapshot = &snapshot(database).await?;
    let mut jobs: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for job in job::Entity::find().all(snapshot).await? {
        *jobs.entry(job.kind).or_default().entry(job.state.to_value()).or_default() += 1;
    }
    let mut wholes = Vec::new();
    for whole in super_synthesis::Entity::find().all(snapshot).await? {
        wholes.extend(whole_of(snapshot, whole.id).await?);
    }
    let letters = dead_letter::Entity::find().all(snapshot).await?.len();
    Ok(Texts { wholes, jobs, letters, unsettled: unsettled(snapshot).await? })
}

async fn whole_of(snapshot: &DatabaseTransaction, id: SynthesisId) -> Result<Option<Whole>, DbErr> {
    let Some(row) = synthesis::by_id(snapshot, id).await? else { return Ok(None) };
    let parts = synthesis_link::parts_of(snapshot, id).await?;
    let read = match row.current_version {
        Some(version) => synthesis_part_read::of(snapshot, id, version).await?,
        None => Vec::new(),
    };
    let mut texts = Vec::new();
    for part in &parts {
        texts.push(text(snapshot, part.sub_id, &part.topic, part.state).await?);
    }
    Ok(Some(Whole {
        text: text(snapshot, id, &row.topic, row.state).await?,
        stale: synthesis_part_read::is_stale(&read, &parts),
        read: read.into_iter().map(|part| (part.topic, part.sub_version)).collect(),
        parts: texts,
    }))
}

async fn text(
    snapshot: &DatabaseTransaction,
    id: SynthesisId,
    topic: &str,
    state: synthesis::State,
) -> Result<Text, DbErr> {
    let versions = synthesis_version::all_of(snapshot, id).await?;
    let mut by_job = BTreeMap::new();
    for version in &versions {
        *by_job.entry(version.job_id).or_insert(0) += 1;
    }
    let attempts = synthesis_attempt::all_of(snapshot, id).await?;
    let unended = attempts.iter().filter(|attempt| attempt.ended_at.is_none()).count();
    Ok(Text {
        topic: topic.to_owned(),
        state: state.to_value(),
        versions: versions.len(),
        doubles: by_job.values().filter(|count| **count > 1).count(),
        attempts: attempts.len(),
        unended,
    })
}

async fn unsettled(snapshot: &DatabaseTransaction) -> Result<i64, DbErr> {
    let sql = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM leases WHERE owner IS NOT NULL) \
               + (SELECT count(*) FROM suspects)";
    let row = snapshot.query_one_raw(Statement::from_string(snapshot.get_database_backend(), sql)).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}
