//! What several parts say is said once, with the citations of all.

use super::conflicts::contradict;
use super::statements::{MOST_FACTS, Statement};

/// Two statements with this likeness say the same.
const SAME: f64 = 0.8;
/// So does one of at least [`TELLING`] words of which the other has this share.
const CONTAINED: f64 = 0.9;
const TELLING: usize = 5;

/// Statements that stand together: the first one by itself, the others lean on what stands before them.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// At least one.
    pub(super) statements: Vec<Statement>,
}

impl Run {
    pub(super) fn first(&self) -> &Statement {
        &self.statements[0]
    }

    /// What it is worth: more where several parts say it, less the later its part says it.
    pub(super) fn value(&self) -> f64 {
        let first = self.first();
        #[allow(clippy::cast_precision_loss, reason = "a text has few sentences")]
        let place = 1.0 / (1.0 + 0.05 * first.order as f64);
        #[allow(clippy::cast_precision_loss, reason = "few parts")]
        let witnesses = (first.parts.len() - 1) as f64;
        place + 0.5 * witnesses
    }

    pub(super) fn words(&self) -> usize {
        self.statements.iter().map(|statement| statement.visible.split_whitespace().count()).sum()
    }
}

/// The statements as runs, without those that say what one before says.
pub(super) fn merged(statements: Vec<Statement>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    // Where the statement before went: what leans on it goes there too.
    let mut before: Option<((usize, usize), usize)> = None;
    for statement in statements {
        let stood = (statement.parts[0], statement.block);
        let antecedent = before.filter(|(place, _)| *place == stood).map(|(_, run)| run);
        let went = if let Some((run, index)) = said_before(&runs, &statement) {
            add_witness(&mut runs[run].statements[index], &statement);
            run
        } else if let (true, Some(run)) = (statement.leans, antecedent) {
            runs[run].statements.push(statement);
            run
        } else {
            runs.push(Run { statements: vec![statement] });
            runs.len() - 1
        };
        before = Some((stood, went));
    }
    runs
}

/// Where the same is said, by run and place in it.
fn said_before(runs: &[Run], statement: &Statement) -> Option<(usize, usize)> {
    let all = runs.iter().enumerate().flat_map(|(run, held)| {
        held.statements.iter().enumerate().map(move |(index, other)| (run, index, other))
    });
    let mut same =
        all.filter(|(_, _, other)| say_the_same(statement, other) && !contradict(statement, other));
    same.next().map(|(run, index, _)| (run, index))
}

fn say_the_same(one: &Statement, other: &Statement) -> bool {
    one.visible == other.visible
        || one.bag.similarity(&other.bag) >= SAME
        || (one.bag.len().min(other.bag.len()) >= TELLING && one.bag.containment(&other.bag) >= CONTAINED)
}

/// Of two that say the same the longer one says more; citations, parts and nodes are those of both.
fn add_witness(kept: &mut Statement, witness: &Statement) {
    if witness.bag.len() > kept.bag.len() && witness.leans == kept.leans {
        kept.markdown.clone_from(&witness.markdown);
        kept.visible.clone_from(&witness.visible);
        kept.bag = witness.bag.clone();
        // What it says more, its own facts say.
        let mut facts = witness.facts.clone();
        facts.extend(kept.facts.iter().filter(|id| !witness.facts.contains(id)));
        kept.facts = facts;
    }
    add_new(&mut kept.facts, &witness.facts);
    kept.facts.truncate(MOST_FACTS);
    add_new(&mut kept.parts, &witness.parts);
    add_new(&mut kept.nodes, &witness.nodes);
}

fn add_new<T: PartialEq + Copy>(kept: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !kept.contains(one) {
            kept.push(*one);
        }
    }
}
