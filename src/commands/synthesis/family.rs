//! A synthesis among others, for people.

use std::fmt::Write;

use ackord_entities::graph::super_synthesis::Planning;
use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::synthesis_link::Part;
use ackord_graph::synthesis::Family;
use sea_orm::ActiveEnum;

use super::view::read_version;
use crate::terminal::{bad, bold, dim, good, waiting};

/// How it was planned, its parts, and whether it is out of date; nothing for what has no parts.
pub(super) fn parts(family: &Family) -> String {
    let Some(plan) = &family.plan else { return String::new() };
    let how = match plan.planning {
        None => "not planned yet".to_owned(),
        Some(Planning::Given) => "as given".to_owned(),
        Some(Planning::Graph) => {
            format!("found in the graph by {}", plan.planner.as_deref().unwrap_or_default())
        }
        Some(Planning::Fallback) => "not divided".to_owned(),
    };
    let why = plan.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let mut text = format!("\n{} {}\n", bold("Parts"), dim(format!("{how}{why}")));
    let widest = family.parts.iter().map(|part| part.topic.chars().count()).max().unwrap_or_default().min(60);
    for part in &family.parts {
        let _ = writeln!(
            text,
            "  {}  {topic:<widest$}  {}  {}",
            coloured(part.state),
            dim(part.sub_id),
            dim(version(family, part)),
            topic = part.topic
        );
        if let (None, Some(public)) = (part.current_version, &part.error_public) {
            let _ = writeln!(text, "             {}", dim(public));
        }
    }
    if family.stale {
        let _ = writeln!(
            text,
            "{}",
            waiting("The parts say something else by now than this text was made from.")
        );
    }
    text
}

fn version(family: &Family, part: &Part) -> String {
    match (read_version(family, part), part.current_version) {
        (Some(read), Some(current)) if read != current => format!("version {read}; {current} is newer"),
        (Some(read), _) => format!("version {read}"),
        (None, Some(current)) => format!("version {current}, not in this text"),
        (None, None) => "missing".to_owned(),
    }
}

/// What it is a part of; nothing for what is no part.
pub(super) fn parents(family: &Family) -> String {
    let mut text = String::new();
    for parent in &family.parents {
        let _ = writeln!(text, "{} {}  {}", dim("part of"), parent.topic, dim(parent.id));
    }
    text
}

fn coloured(state: State) -> String {
    // Padded before it is coloured: colours have a length.
    let word = format!("{:<9}", state.to_value());
    match state {
        State::Completed => good(word),
        State::Error => bad(word),
        State::Pending | State::Running | State::Partial => waiting(word),
    }
}
