//! A super-synthesis in the database: its request, its plan with its parts, and what its parts were combined to.
//!
//! Everything here runs in the caller's transaction. In which order rows are locked stands in `docs/adr/0014-fan-in.md`.

use ackord_entities::database::Sql;
use ackord_entities::graph::node::{self, NodeType};
use ackord_entities::graph::super_synthesis::{self, Planned};
use ackord_entities::graph::synthesis::{self, Combined, Failure, Model, State};
use ackord_entities::graph::synthesis_link::{self, Origin};
use ackord_entities::graph::{synthesis_attempt, synthesis_part_read};
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde::Serialize;

use super::compose::ComposedText;
use super::plan::Plan;
use super::store::{Wish, create, json, keep, key_with};

/// The id of the super-synthesis that `job` was published for: the same in every run of the job.
#[must_use]
pub fn super_id_of(graph: GraphId, topic: &str, job: JobId) -> SynthesisId {
    SynthesisId(node::id_of(graph, &super_key(topic, job)).0)
}

fn super_key(topic: &str, job: JobId) -> String {
    key_with("supersynthesis", topic, job)
}

/// Makes the super-synthesis, pending for `job`, if it is not there, and returns its id.
///
/// # Errors
/// Whatever the database answers.
pub async fn request_super(
    tx: &DatabaseTransaction,
    wish: &Wish<'_>,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<SynthesisId, DbErr> {
    let id = create(tx, wish, &super_key(wish.topic, job), NodeType::Supersynthesis, job, now).await?;
    super_synthesis::create(tx, id).await?;
    Ok(id)
}

/// A planned part that is to be written: the job and the synthesis it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPart<'a> {
    /// Its job.
    pub job: JobId,
    /// What it is asked for.
    pub topic: &'a str,
    /// The same as JSON.
    pub input: &'a str,
}

/// What is kept of a planning with its attempt.
#[derive(Serialize)]
struct PlanRecord<'a> {
    planned: &'a Plan,
    existing: &'a [SynthesisId],
    gone: Vec<SynthesisId>,
}

/// Records the plan that `job` made of the super-synthesis `id`: its links to the new parts, which are made pending, and to those
/// of `existing` that are still there. The super-synthesis goes on running, and the attempt of `job` is over. Returns
/// all parts in their order; `None`, with nothing written, when it is not running for `job` any more or has its plan.
///
/// # Errors
/// Whatever the database answers.
pub async fn store_plan(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    job: JobId,
    plan: &Plan,
    new: &[NewPart<'_>],
    existing: &[SynthesisId],
    now: DateTime<Utc>,
) -> Result<Option<Vec<SynthesisId>>, DbErr> {
    // Parts before the whole, as everywhere.
    let kept = hold(tx, existing).await?;
    let Some(_) = super_synthesis::lock(tx, id).await? else { return Ok(None) };
    let Some(row) = synthesis::by_id(tx, id).await? else { return Ok(None) };
    if row.state != State::Running || row.job_id != Some(job) {
        return Ok(None);
    }
    let planned =
        Planned { planning: plan.planning, planner: &plan.planner, reason: plan.reason.as_deref(), job };
    if !super_synthesis::plan(tx, id, &planned, now).await? {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(new.len() + kept.len());
    for part in new {
        let wish = Wish {
            graph: row.graph_id,
            topic: part.topic,
            visibility: row.visibility,
            creator: row.creator_id.as_deref(),
            input: part.input,
        };
        parts.push((super::store::request(tx, &wish, part.job, now).await?, Origin::Planned));
    }
    parts.extend(kept.iter().map(|part| (*part, Origin::Existing)));
    let links: Vec<synthesis_link::Model> = (0..)
        .zip(parts)
        .map(|(position, (sub_id, origin))| synthesis_link::Model { super_id: id, sub_id, position, origin })
        .collect();
    synthesis_link::insert_all(tx, &links).await?;
    let gone = existing.iter().copied().filter(|part| !kept.contains(part)).collect();
    let record = json(&PlanRecord { planned: plan, existing: &kept, gone })?;
    synthesis_attempt::end(tx, id, job, None, Some(&record), now).await?;
    Ok(Some(links.into_iter().map(|link| link.sub_id).collect()))
}

/// Those of `ids` that are there, each once, in the given order; none of them is removed before the transaction ends.
async fn hold(tx: &DatabaseTransaction, ids: &[SynthesisId]) -> Result<Vec<SynthesisId>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("SELECT id FROM write_syntheses WHERE ")
        .any_of("id", ids.iter().map(|id| id.0))
        .text(" ORDER BY id")
        .on_postgres(" FOR KEY SHARE")
        .build();
    let rows = tx.query_all_raw(statement).await?;
    let there: Vec<SynthesisId> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    let mut kept = Vec::with_capacity(there.len());
    for id in ids {
        if there.contains(id) && !kept.contains(id) {
            kept.push(*id);
        }
    }
    Ok(kept)
}

/// Why a super-synthesis is not combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCombined {
    /// It is not there, or is no super-synthesis.
    NotFound,
    /// It has no parts yet.
    NotPlanned,
    /// Its parts are being written for the first time.
    PartsUnfinished,
}

/// Has the super-synthesis running for `job`, which combines it. A later run of the same job goes on with its attempt.
///
/// # Errors
/// Whatever the database answers.
pub async fn begin_combining(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Result<Model, NotCombined>, DbErr> {
    let (Some(plan), Some(row)) = (super_synthesis::by_id(tx, id).await?, synthesis::lock(tx, id).await?)
    else {
        return Ok(Err(NotCombined::NotFound));
    };
    if plan.planning.is_none() {
        return Ok(Err(NotCombined::NotPlanned));
    }
    if row.state == State::Running && row.job_id == plan.job_id {
        return Ok(Err(NotCombined::PartsUnfinished));
    }
    let begins = !has_running_attempt(tx, id, job).await?;
    let Some(row) = synthesis::begin_combining(tx, id, job, begins, now).await? else {
        return Ok(Err(NotCombined::NotFound));
    };
    if begins {
        synthesis_attempt::begin(tx, id, row.attempts, job, now).await?;
    }
    Ok(Ok(row))
}

async fn has_running_attempt(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
) -> Result<bool, DbErr> {
    let attempts = synthesis_attempt::all_of(connection, id).await?;
    Ok(attempts
        .iter()
        .any(|attempt| attempt.job_id == job && attempt.state == synthesis_attempt::State::Running))
}

/// What was made of the parts.
#[derive(Clone, Debug)]
pub struct Combination<'a> {
    /// The text.
    pub text: &'a ComposedText,
    /// The name of the writer.
    pub producer: &'a str,
    /// What was read of each part; the version is not looked at.
    pub read: &'a [synthesis_part_read::Model],
    /// Whether parts are missing.
    pub outcome: &'a Combined,
}

/// Stores a combined text as the newest version, with what it was made from. Returns the version's number; `None`, with
/// nothing written, when the super-synthesis is gone.
///
/// # Errors
/// Whatever the database answers.
pub async fn store_combination(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    job: JobId,
    combination: &Combination<'_>,
    record: &impl Serialize,
    now: DateTime<Utc>,
) -> Result<Option<i32>, DbErr> {
    let ended = synthesis::end_combining(tx, id, job, combination.outcome, now).await?;
    let Some(version) = ended else { return Ok(None) };
    keep(tx, id, version, job, combination.text, combination.producer, now).await?;
    let read: Vec<synthesis_part_read::Model> = combination
        .read
        .iter()
        .map(|part| synthesis_part_read::Model { super_id: id, version, ..part.clone() })
        .collect();
    synthesis_part_read::insert_all(tx, &read).await?;
    synthesis_attempt::end(tx, id, job, None, Some(&json(record)?), now).await?;
    Ok(Some(version))
}

/// Stores why `job` did not combine the parts. An older text, visibility and creator stay. One that waits for a later job goes on
/// to wait for it; then only the attempt is over.
///
/// # Errors
/// Whatever the database answers.
pub async fn fail_combining(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    job: JobId,
    failure: &Failure,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    synthesis::fail(tx, id, job, failure, now).await?;
    synthesis_attempt::end(tx, id, job, Some(failure), None, now).await
}
