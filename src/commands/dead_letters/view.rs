//! A dead letter on the terminal.

use ackord_entities::queue::dead_letter::LetterState;

/// The word of a letter's state.
pub(super) fn state_word(state: LetterState) -> &'static str {
    match state {
        LetterState::Open => "open",
        LetterState::Replayed => "replayed",
        LetterState::Discarded => "discarded",
    }
}
