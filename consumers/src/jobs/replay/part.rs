//! A part of a step: letters that were read and checked, small enough for one transaction and for memory.

use std::collections::BTreeMap;

use ackord_entities::ids::DeadLetterId;
use ackord_entities::jobs::Catalogue;
use ackord_entities::queue::replay_letter::{self, Fate};
use ackord_entities::queue::{dead_letter, replay_run};
use ackord_producer::operate::{Edit, Patch, Prepared, ReplayError, Replayed, prepare};

use sea_orm::ConnectionTrait;

use crate::error::JobError;
use crate::handler::Failure;

/// Letters of a part at most, and their bodies together, unless the first one alone is longer.
const LETTERS: u32 = 500;
const BYTES: u64 = 8 * 1024 * 1024;

/// A part that is ready to go out.
#[derive(Debug)]
pub struct Part {
    pub(super) step: i32,
    pub(super) rung: i32,
    /// So many of them go out at most.
    pub(super) need: usize,
    ready: Vec<Prepared>,
    /// Those that cannot be replayed, as far as their messages tell.
    unfit: BTreeMap<DeadLetterId, Fate>,
}

/// Reads and checks the next letters of a run.
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    catalogue: &Catalogue,
    run: &replay_run::Model,
    step: i32,
    rung: i32,
    need: i64,
) -> Result<Part, JobError> {
    let patch = run.patch.as_deref().map(Patch::parse).transpose().map_err(|error| unreadable(&error))?;
    let ids = small_enough(replay_letter::next(connection, run.id, LETTERS).await?);
    let letters = dead_letter::read(connection, &ids).await?;
    let (mut ready, mut unfit) = (Vec::with_capacity(letters.len()), BTreeMap::new());
    for letter in &letters {
        match prepare(catalogue, letter, patch.as_ref().map_or(Edit::None, Edit::Patch)) {
            Ok(prepared) => ready.push(prepared),
            Err(error) => {
                unfit.insert(letter.id, fate_of(&error));
            }
        }
    }
    for id in ids {
        if letters.binary_search_by_key(&id, |letter| letter.id).is_err() {
            unfit.insert(id, fate_of(&ReplayError::NotFound(id)));
        }
    }
    Ok(Part { step, rung, need: usize::try_from(need).unwrap_or(usize::MAX), ready, unfit })
}

/// As many from the front as one transaction should hold.
fn small_enough(letters: Vec<(DeadLetterId, u64)>) -> Vec<DeadLetterId> {
    let mut bytes = 0;
    letters
        .into_iter()
        .enumerate()
        .take_while(|(index, (_, length))| {
            bytes += length;
            *index == 0 || bytes <= BYTES
        })
        .map(|(_, (id, _))| id)
        .collect()
}

/// A newer program may have written it in a form that this one does not read.
fn unreadable(error: &ackord_producer::operate::PatchError) -> JobError {
    JobError::Permanent(Failure::new("unreadable_patch", error.to_string()))
}

impl Part {
    /// The letters that may go out, oldest first.
    pub(super) fn letters(&self) -> &[Prepared] {
        &self.ready
    }

    /// What became of each letter that was looked at: of all, or of those up to the last one that the step had room for.
    pub(super) fn fates(
        &self,
        lives: Vec<(DeadLetterId, Result<Replayed, ReplayError>)>,
    ) -> Vec<(DeadLetterId, Fate)> {
        let all_looked_at = lives.len() == self.ready.len();
        let last = lives.last().map(|(id, _)| *id);
        let unfit = self.unfit.iter().filter(|(id, _)| all_looked_at || last.is_some_and(|last| **id < last));
        let mut fates: Vec<_> = unfit.map(|(id, fate)| (*id, fate.clone())).collect();
        fates.extend(lives.into_iter().map(|(id, life)| match life {
            Ok(replayed) => (id, Fate::Replayed(replayed.job)),
            Err(error) => (id, fate_of(&error)),
        }));
        fates
    }
}

/// A letter that somebody else dealt with is skipped; one that stays open is refused.
fn fate_of(error: &ReplayError) -> Fate {
    let (code, note) = (error.code(), error.to_string());
    match error {
        ReplayError::NotFound(_) | ReplayError::NotOpen { .. } => Fate::Skipped { code, note },
        _ => Fate::Refused { code, note },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_by_the_length_of_its_bodies_and_has_one_letter_at_least() {
        let letters = |lengths: &[u64]| -> Vec<_> {
            lengths.iter().map(|length| (DeadLetterId::new(), *length)).collect()
        };
        assert_eq!(small_enough(letters(&[10, 10, 10])).len(), 3);
        assert_eq!(small_enough(letters(&[BYTES * 2, 1])).len(), 1);
        assert_eq!(small_enough(letters(&[BYTES / 2, BYTES / 2, 1])).len(), 2);
        assert_eq!(small_enough(letters(&[])).len(), 0);
    }
}
