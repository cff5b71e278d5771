//! `ackord dead-letters show`.

use std::fmt::Write;

use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::dead_letter::{self, LetterState};
use ackord_producer::story::WholeLetter;
use serde_json::Value;

use super::no_such_letter;
use super::view::state_word;
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{bold, dim, moment};

pub(super) async fn run(session: &Session, id: DeadLetterId) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let letter = dead_letter::find(database.read(), id).await?.ok_or_else(|| no_such_letter(id))?;
    let letter = WholeLetter::from(letter);
    session.terminal.answer(&letter, || text(&letter))?;
    Ok(Exit::Success)
}

fn text(whole: &WholeLetter) -> String {
    let letter = &whole.letter;
    let kind = letter.kind.as_deref().unwrap_or("unknown kind");
    let mut text = format!("{} {}  {}\n", bold("dead letter"), letter.id, state_word(letter.state));
    let mut line = |label: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {} {value}", dim(format!("{label:<12}")));
    };
    line("kind", kind);
    line("reason", &letter.reason.to_string());
    line("error", &format!("{} ({})", letter.error, letter.error_code));
    if let Some(job) = letter.job_id {
        line("job", &job.to_string());
    }
    line("attempts", &letter.attempts.to_string());
    line("first failed", &moment(letter.first_failed_at));
    line("given up", &moment(letter.last_failed_at));
    if let (Some(at), Some(by)) = (letter.resolved_at, &letter.resolved_by) {
        line(state_word(letter.state), &format!("{} by {by}", moment(at)));
    }
    line("fingerprint", &letter.fingerprint);
    block(&mut text, "Headers", &pretty(&whole.headers));
    match (&whole.body, &whole.body_hex) {
        (Some(body), _) => block(&mut text, "Body", &pretty_text(body)),
        (None, hex) => {
            block(&mut text, "Body (not UTF-8, in hexadecimal)", hex.as_deref().unwrap_or_default());
        }
    }
    if let Some(edited) = &whole.edited_payload {
        block(&mut text, "Replayed with", &pretty_text(edited));
    }
    if letter.state == LetterState::Open {
        let _ = write!(
            text,
            "\n{}\n",
            dim(format!(
                "ackord dead-letters replay {id} [--payload @edited.json]   or   ackord dead-letters discard {id}",
                id = letter.id
            ))
        );
    }
    text
}

fn block(text: &mut String, title: &str, body: &str) {
    let _ = writeln!(text, "\n{}", bold(title));
    for line in body.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// JSON in lines; anything else as it is.
pub(super) fn pretty_text(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| pretty(&value))
}
