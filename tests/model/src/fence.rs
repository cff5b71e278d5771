//! The fence: the worker's own function, asked once for everything that it can be asked.

use ackord_consumers::testing::{Meaning, meaning};
use ackord_entities::clock::machine_now;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Job, KindSpec};
use ackord_entities::queue::job::{Fence, Origin};
use ackord_entities::queue::state::JobState;

use crate::world::Row;

/// No world goes further than this.
const MAX_SEQ: u8 = 15;
const STATES: [JobState; 6] = [
    JobState::Pending,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
    JobState::Dead,
    JobState::Cancelled,
];

#[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Modelled;

impl Job for Modelled {
    const KIND: &'static str = "modelled";
}

/// What every delivery means.
#[derive(Clone, Debug)]
pub struct Table {
    without_row: Vec<Meaning>,
    with_row: Vec<Meaning>,
}

impl Table {
    /// Asks the worker's function.
    #[must_use]
    pub fn of(accepts_direct: bool) -> Self {
        let mut spec = KindSpec::of::<Modelled>();
        spec.accepts_direct = accepts_direct;
        let seqs = || std::iter::once(None).chain((1..=MAX_SEQ).map(Some));
        let without_row = seqs().map(|seq| meaning(seq.map(i32::from), None, &spec)).collect();
        let mut with_row = Vec::new();
        for seq in seqs() {
            for row_seq in 0..=MAX_SEQ {
                for state in STATES {
                    for origin in [Origin::Enqueue, Origin::Direct] {
                        let row = row(row_seq, state, origin);
                        with_row.push(meaning(seq.map(i32::from), Some(&row), &spec));
                    }
                }
            }
        }
        Self { without_row, with_row }
    }

    /// What a delivery with `seq` means.
    #[must_use]
    pub fn judge(&self, seq: Option<u8>, row: Option<&Row>) -> Meaning {
        let seq = usize::from(seq.unwrap_or(0));
        let Some(row) = row else { return self.without_row[seq] };
        let state = STATES.iter().position(|state| *state == row.state).unwrap_or_default();
        let rows = usize::from(MAX_SEQ) + 1;
        self.with_row
            [((seq * rows + usize::from(row.seq)) * STATES.len() + state) * 2 + usize::from(row.direct)]
    }
}

fn row(seq: u8, state: JobState, origin: Origin) -> Fence {
    Fence {
        id: JobId::new(),
        kind: Modelled::KIND.to_owned(),
        seq: i32::from(seq),
        state,
        origin,
        attempt: 0,
        max_attempts: 1,
        deferrals: 0,
        cancel_requested: false,
        dedup_key: None,
        created_at: machine_now(),
    }
}
