//! What each step took, as the rows of the jobs say.

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::graph::{synthesis, synthesis_link, synthesis_version};
use ackord_entities::ids::SynthesisId;
use ackord_entities::jobs::{Job, Recombination, SuperSynthesis, Synthesis};
use ackord_entities::queue::job;
use sea_orm::{ActiveEnum as _, EntityTrait as _};

use crate::Step;

/// Planning, writing the parts, combining.
pub(crate) async fn of(database: &Database, id: SynthesisId) -> Vec<Step> {
    let jobs = job::Entity::find().all(database.read()).await.unwrap();
    let parts = synthesis_link::parts_of(database.read(), id).await.unwrap();
    let written = parts.iter().filter(|part| part.current_version.is_some()).count();
    vec![
        step("planning", SuperSynthesis::KIND, &jobs, format!("{} parts", parts.len())),
        step(
            "the parts, first start to last end",
            Synthesis::KIND,
            &jobs,
            format!("{written} have a text{}", each(&jobs)),
        ),
        step("combining", Recombination::KIND, &jobs, String::new()),
    ]
}

/// From the first start to the last end of the jobs of a kind.
fn step(name: &'static str, kind: &str, jobs: &[job::Model], remark: String) -> Step {
    let of_kind = || jobs.iter().filter(|job| job.kind == kind);
    let began = of_kind().filter_map(|job| job.started_at).min();
    let ended = of_kind().filter_map(|job| job.finished_at).max();
    let took = began.zip(ended).and_then(|(began, ended)| (ended - began).to_std().ok()).unwrap_or_default();
    Step { name, took, memory: None, remark }
}

/// What one part takes.
fn each(jobs: &[job::Model]) -> String {
    let took = |job: &job::Model| (job.finished_at? - job.started_at?).to_std().ok();
    let mut all: Vec<Duration> =
        jobs.iter().filter(|job| job.kind == Synthesis::KIND).filter_map(took).collect();
    all.sort();
    match (all.get(all.len() / 2), all.last()) {
        (Some(median), Some(longest)) => {
            format!(
                "; one takes {:.2} s (median), {:.2} s at most",
                median.as_secs_f64(),
                longest.as_secs_f64()
            )
        }
        _ => String::new(),
    }
}

/// What came of it.
pub(crate) async fn remark(database: &Database, id: SynthesisId) -> String {
    let row = synthesis::by_id(database.read(), id).await.unwrap().unwrap();
    let versions = synthesis_version::all_of(database.read(), id).await.unwrap();
    let Some(newest) = versions.last() else { return row.state.to_value() };
    let words = newest.markdown.split_whitespace().count();
    format!(
        "{}: {} sentences, {words} words, {} facts",
        row.state.to_value(),
        newest.sentences_count,
        newest.facts_linked
    )
}
