//! Running the checker, and saying what it found.

use std::collections::BTreeSet;
use std::time::Instant;

use ackord_model::coverage::Step;
use ackord_model::protocol::{Action, Protocol};
use ackord_model::scenario::Scenario;
use ackord_model::world::World;
use stateright::{Checker, HasDiscoveries, Model, Path};

/// Two, like the cores of the machine that a test may count on.
const THREADS: usize = 2;

/// What a check of a correct world found.
pub(crate) struct Checked {
    pub(crate) states: usize,
    pub(crate) reached: BTreeSet<Step>,
}

/// Visits every state of a world. Panics with the shortest way to what must not be.
pub(crate) fn every_state(scenario: Scenario) -> Checked {
    let (name, started) = (scenario.name, Instant::now());
    let checker = Protocol::new(scenario)
        .checker()
        .threads(THREADS)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, {} steps between them, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64()
    );
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        panic!("{name}: not true: {property}\n{}", told(path));
    }
    Checked { states: checker.unique_state_count(), reached: checker.model().reached().collect() }
}

/// Looks for a state of a world in which `property` is not true. Panics if there is none.
pub(crate) fn counterexample(scenario: Scenario, property: &'static str) {
    let (name, defect) = (scenario.name, scenario.defect);
    let checker = Protocol::new(scenario)
        .checker()
        .threads(THREADS)
        .finish_when(HasDiscoveries::AllOf(BTreeSet::from([property])))
        .spawn_bfs()
        .join();
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("{name}: {defect:?} goes unnoticed: {property}"));
    println!("{name}, {defect:?}: not true: {property}\n{}", told(path));
}

/// A path, a line for each step. Where the world is long, only what is stored of its jobs is shown, at the end.
fn told(path: Path<World, Action>) -> String {
    let last = path.last_state().clone();
    let steps: Vec<String> = path
        .into_actions()
        .iter()
        .enumerate()
        .map(|(number, action)| format!("  {:>2} {action:?}", number + 1))
        .collect();
    format!(
        "{}\n  in the end: rows {:?}\n  outbox {:?}, letters {:?}, {:?}",
        steps.join("\n"),
        last.database.jobs.map(|row| row.map(|row| (row.state, row.seq))),
        last.database.outbox,
        last.database.letters,
        last.ghost
    )
}
