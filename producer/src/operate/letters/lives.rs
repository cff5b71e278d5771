//! Other lives for many jobs at once, in sets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ackord_entities::ids::{DeadLetterId, JobId, ReplayRunId};
use ackord_entities::queue::audit::{self, Deed};
use ackord_entities::queue::dead_letter::{self, LetterState, Resolved, Standing};
use ackord_entities::queue::job::{self, Fence, NewJob, Origin, Revival};
use ackord_entities::queue::outbox::{Cause, NewMessage};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{dedup, outbox};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::{Prepared, ReplayError, subject};
use crate::operate::Operator;

/// A dead letter that got another life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its job: the same as before, so the effect still happens at most once.
    pub job: JobId,
    /// The seq of its new message.
    pub seq: i32,
}

/// On whose behalf.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    /// The operator.
    pub operator: &'a Operator,
    /// The run that it is part of.
    pub run: Option<ReplayRunId>,
}

/// Gives the jobs of `letters` other lives, in their order, until `limit` of them have one. Letters behind that are not looked at and
/// not in the answer, which says what became of each of the others. A letter that cannot be replayed changes nothing.
///
/// Locks letters, then jobs, each in the order of their ids, then dedup keys.
///
/// # Errors
/// Whatever the database answers; roll the transaction back.
pub async fn give_lives(
    tx: &DatabaseTransaction,
    letters: &[Prepared],
    limit: usize,
    why: &Why<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<(DeadLetterId, Result<Replayed, ReplayError>)>, DbErr> {
    let mut rows = Rows::lock(tx, letters).await?;
    let mut waiting: VecDeque<&Prepared> = letters.iter().collect();
    let mut verdicts: BTreeMap<DeadLetterId, Option<ReplayError>> = BTreeMap::new();
    let mut lives: Vec<&Prepared> = Vec::new();
    while lives.len() < limit && !waiting.is_empty() {
        let mut batch = Vec::new();
        while lives.len() + batch.len() < limit {
            let Some(letter) = waiting.pop_front() else { break };
            match rows.may_live(letter) {
                Ok(()) => batch.push(letter),
                Err(error) => {
                    verdicts.insert(letter.letter, Some(error));
                }
            }
        }
        for (letter, refusal) in take_keys(tx, batch).await? {
            if refusal.is_none() {
                lives.push(letter);
            } else {
                // Another letter of the same job, further back, would find the key taken as well.
                rows.chosen.remove(&letter.job);
            }
            verdicts.insert(letter.letter, refusal);
        }
    }
    let seqs = rows.write(tx, &lives, why, now).await?;
    let mut answer = |letter: &Prepared| {
        Some(match verdicts.remove(&letter.letter)? {
            Some(refusal) => Err(refusal),
            None => match seqs.get(&letter.job) {
                Some(seq) => Ok(Replayed { job: letter.job, seq: *seq }),
                None => Err(ReplayError::JobNotDead { job: letter.job, state: JobState::Pending }),
            },
        })
    };
    Ok(letters.iter().filter_map(|letter| Some((letter.letter, answer(letter)?))).collect())
}

/// What is known and locked about the letters and their jobs.
struct Rows {
    letters: BTreeMap<DeadLetterId, Standing>,
    jobs: BTreeMap<JobId, Fence>,
    chosen: BTreeSet<JobId>,
}

impl Rows {
    async fn lock(tx: &DatabaseTransaction, letters: &[Prepared]) -> Result<Self, DbErr> {
        let ids: Vec<DeadLetterId> = letters.iter().map(|letter| letter.letter).collect();
        let standings = dead_letter::lock(tx, &ids).await?;
        let ids: Vec<JobId> = letters.iter().map(|letter| letter.job).collect();
        let fences = job::lock(tx, &ids).await?;
        Ok(Self {
            letters: standings.into_iter().map(|standing| (standing.id, standing)).collect(),
            jobs: fences.into_iter().map(|fence| (fence.id, fence)).collect(),
            chosen: BTreeSet::new(),
        })
    }

    /// Whether the letter is open and its job dead or gone.
    fn may_live(&mut self, letter: &Prepared) -> Result<(), ReplayError> {
        let (id, job) = (letter.letter, letter.job);
        let standing = self.letters.get(&id).ok_or(ReplayError::NotFound(id))?;
        if standing.state != LetterState::Open {
            return Err(ReplayError::NotOpen { id, state: standing.state, by: standing.resolved_by.clone() });
        }
        if let Some(fence) = self.jobs.get(&job) {
            if fence.kind != letter.spec.kind {
                return Err(ReplayError::OtherKind { job, kind: fence.kind.clone() });
            }
            if fence.state != JobState::Dead {
                return Err(ReplayError::JobNotDead { job, state: fence.state });
            }
        }
        if !self.chosen.insert(job) {
            return Err(ReplayError::JobNotDead { job, state: JobState::Pending });
        }
        Ok(())
    }

    /// Writes the lives. Answers the seq of each job.
    async fn write(
        &self,
        tx: &DatabaseTransaction,
        lives: &[&Prepared],
        why: &Why<'_>,
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<JobId, i32>, DbErr> {
        let (dead, gone): (Vec<&Prepared>, Vec<&Prepared>) =
            lives.iter().partition(|letter| self.jobs.contains_key(&letter.job));
        let revivals: Vec<Revival> = dead.into_iter().map(revival).collect();
        let mut seqs = job::revive(tx, &revivals).await?;
        seqs.extend(make_rows(tx, &gone, now).await?);
        let lives: Vec<&Prepared> =
            lives.iter().copied().filter(|life| seqs.contains_key(&life.job)).collect();
        let messages: Vec<NewMessage> = lives.iter().map(|life| message(life, &seqs, why, now)).collect();
        outbox::put(tx, &messages, now).await?;
        let resolved: Vec<Resolved> = lives
            .iter()
            .map(|life| Resolved { id: life.letter, edited_payload: life.edited.clone() })
            .collect();
        if dead_letter::resolve(tx, &resolved, &why.operator.name, now).await? != resolved.len() as u64 {
            return Err(DbErr::RecordNotUpdated);
        }
        let deeds: Vec<Deed<'_>> = lives.iter().map(|life| deed(life, why)).collect();
        audit::record_all(tx, &deeds, now).await?;
        Ok(seqs)
    }
}

/// Takes the dedup keys of letters. Answers for each whether somebody else holds it.
async fn take_keys<'p>(
    tx: &DatabaseTransaction,
    letters: Vec<&'p Prepared>,
) -> Result<Vec<(&'p Prepared, Option<ReplayError>)>, DbErr> {
    let mut wanted = BTreeMap::new();
    for letter in &letters {
        if let Some(key) = letter.keys.dedup_key.as_deref() {
            // Of two letters with one key, the first has it.
            wanted.entry((letter.spec.kind, key)).or_insert(letter.job);
        }
    }
    let holders = dedup::take_all(tx, &wanted).await?;
    let refusal = |letter: &Prepared| {
        let key = letter.keys.dedup_key.clone()?;
        let holder = *holders.get(&(letter.spec.kind.to_owned(), key.clone()))?;
        (holder != letter.job).then_some(ReplayError::DedupKeyTaken { holder, key })
    };
    Ok(letters.into_iter().map(|letter| (letter, refusal(letter))).collect())
}

/// An edited payload brings its own version and subject.
fn revival(letter: &Prepared) -> Revival {
    Revival {
        id: letter.job,
        attempts: letter.spec.max_attempts,
        dedup_key: letter.keys.dedup_key.clone(),
        edit: letter.edited.clone().map(|payload| job::Edit {
            payload,
            version: letter.version,
            subject: letter.keys.subject.clone(),
        }),
    }
}

/// Jobs whose rows are gone, or never were: the letters have all that is needed to make them. Answers their seqs.
async fn make_rows(
    tx: &DatabaseTransaction,
    letters: &[&Prepared],
    now: DateTime<Utc>,
) -> Result<BTreeMap<JobId, i32>, DbErr> {
    let new: Vec<NewJob> = letters.iter().map(|letter| new_job(letter)).collect();
    if new.is_empty() {
        return Ok(BTreeMap::new());
    }
    let written: BTreeSet<JobId> = job::insert(tx, &new, now).await?.into_iter().collect();
    // Messages of an earlier life may still be about: the new one must outrank them.
    let seqs: Vec<(JobId, i32)> = letters
        .iter()
        .filter(|letter| written.contains(&letter.job))
        .map(|letter| (letter.job, letter.seq.unwrap_or(1) + 1))
        .collect();
    job::raise_seqs(tx, &seqs).await?;
    Ok(seqs.into_iter().collect())
}

fn new_job(letter: &Prepared) -> NewJob {
    NewJob {
        id: letter.job,
        kind: letter.spec.kind,
        version: letter.version,
        origin: Origin::Enqueue,
        max_attempts: letter.spec.max_attempts,
        payload: letter.payload().into_owned(),
        subject: letter.keys.subject.clone(),
        dedup_key: letter.keys.dedup_key.clone(),
        parent_id: None,
        traceparent: None,
    }
}

fn message(letter: &Prepared, seqs: &BTreeMap<JobId, i32>, why: &Why<'_>, now: DateTime<Utc>) -> NewMessage {
    NewMessage {
        job_id: letter.job,
        kind: letter.spec.kind.to_owned(),
        seq: seqs.get(&letter.job).copied().unwrap_or(1),
        cause: Cause::Replay,
        reason: why.operator.reason.clone(),
        waits_for: None,
        due_at: now,
    }
}

fn deed<'a>(letter: &Prepared, why: &Why<'a>) -> Deed<'a> {
    let named = letter.named_a_job.then_some(letter.job);
    let (subject_type, subject) = subject(letter.letter, named);
    let details = serde_json::json!({
        "dead_letter": letter.letter,
        "job": letter.job,
        "payload_edited": letter.edited.is_some(),
        "replay_run": why.run,
    });
    Deed { details: Some(details.to_string()), ..why.operator.deed("replay", subject_type, subject) }
}
