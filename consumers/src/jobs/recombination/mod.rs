//! The kind `recombination`: makes one text of what the parts of a super-synthesis say now, the first time and again.
//!
//! Whoever ends a part publishes it, in that transaction (`ackord_producer::syntheses`). It reads the parts after its claim, so it sees
//! all that those said who asked for it before; a part that changes later brings another run, which waits for the lease.

use std::sync::Arc;

use ackord_entities::graph::synthesis::Combined;
use ackord_entities::jobs::Recombination;
use ackord_graph::synthesis::{
    self as domain, Combination, Combiner, ComposedText, ExtractiveCombiner, Gathered, NoText, NotCombined,
    combine, gather,
};
use async_trait::async_trait;
use serde_json::json;

use super::calls::Calls;
use super::writing::{as_stored, failure_of, nothing_performed};
use crate::error::JobError;
use crate::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};

/// The handler.
#[derive(Clone, Debug)]
pub struct RecombinationHandler {
    combiner: Arc<dyn Combiner>,
}

impl RecombinationHandler {
    /// A handler whose texts `combiner` writes.
    #[must_use]
    pub fn new(combiner: Arc<dyn Combiner>) -> Self {
        Self { combiner }
    }
}

impl Default for RecombinationHandler {
    /// A handler that needs no model.
    fn default() -> Self {
        Self::new(Arc::new(ExtractiveCombiner))
    }
}

/// What the slow half made.
#[derive(Debug)]
pub struct Made {
    gathered: Gathered,
    text: Result<ComposedText, NoText>,
}

#[async_trait]
impl Handler for RecombinationHandler {
    type Job = Recombination;
    type Output = Option<Made>;

    async fn accept(&self, turn: &Turn<Recombination>, tx: &Tx<'_>) -> Result<(), JobError> {
        match domain::begin_combining(tx, turn.job.node_id, turn.id, tx.now).await? {
            Ok(_) => Ok(()),
            Err(why) => Err(JobError::Failed(refusal(turn, why))),
        }
    }

    async fn perform(&self, turn: &Turn<Recombination>, context: &Context) -> Result<Option<Made>, JobError> {
        let connection = context.database.read();
        let Some(gathered) = gather(connection, turn.job.node_id).await? else {
            return Err(JobError::Failed(refusal(turn, NotCombined::NotFound)));
        };
        let calls = Calls::of(turn, context);
        let text = combine(connection, self.combiner.as_ref(), &gathered, &calls.run()).await?;
        Ok(Some(Made { gathered, text }))
    }

    async fn commit(
        &self,
        turn: &Turn<Recombination>,
        output: &Option<Made>,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let Some(Made { gathered, text }) = output else { return Err(nothing_performed()) };
        let id = turn.job.node_id;
        let text = match text {
            Ok(text) => text,
            Err(why) => {
                let failure = failure_of(why);
                domain::fail_combining(tx, id, turn.id, &as_stored(&failure), tx.now).await?;
                return Ok(Outcome::Failed(failure));
            }
        };
        let outcome = gathered.outcome();
        let combination =
            Combination { text, producer: self.combiner.name(), read: &gathered.read, outcome: &outcome };
        let stored =
            domain::store_combination(tx, id, turn.id, &combination, &gathered.record(), tx.now).await?;
        let Some(version) = stored else {
            return Ok(Outcome::Failed(refusal(turn, NotCombined::NotFound)));
        };
        let parts: Vec<_> = gathered.parts.texts.iter().map(|part| part.id).collect();
        Ok(Outcome::with_result(json!({
            "supersynthesis_node_id": id,
            "version": version,
            "state": if outcome == Combined::Whole { "completed" } else { "partial" },
            "sub_synthesis_node_ids": parts,
            "missing": gathered.parts.missing.iter().map(|part| part.id).collect::<Vec<_>>(),
            "total_sentences": text.document.stats.sentences_count,
            "total_facts_linked": text.document.stats.facts_linked,
        })))
    }

    async fn abandon(&self, turn: &Turn<Recombination>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        Ok(domain::fail_combining(tx, turn.job.node_id, turn.id, &as_stored(&end.error), tx.now).await?)
    }
}

fn refusal(turn: &Turn<Recombination>, why: NotCombined) -> Failure {
    let id = turn.job.node_id;
    match why {
        NotCombined::NotFound => Failure::new("not_found", format!("there is no super-synthesis {id}")),
        NotCombined::NotPlanned => Failure::new("not_planned", "the super-synthesis has no parts yet"),
        NotCombined::PartsUnfinished => Failure::new(
            "parts_unfinished",
            "the parts of the super-synthesis are being written: the last of them has it combined",
        ),
    }
}

#[cfg(test)]
mod tests;
