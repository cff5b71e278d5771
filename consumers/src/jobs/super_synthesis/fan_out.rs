//! A plan and the jobs of its parts.

use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{SuperSynthesis, Synthesis};
use ackord_graph::synthesis::{self as domain, NewPart, Plan, PlanRequest, Run, ScopePlanner, plan};
use ackord_producer::{Publish, enqueue};
use sea_orm::{ActiveEnum as _, ConnectionTrait};
use serde_json::json;

use crate::error::JobError;
use crate::handler::{Outcome, Tx};
use crate::jobs::writing::{input, known_graph, no_longer_running};

/// A plan, with a job for each of its parts: the same ones however often the commit half runs.
#[derive(Clone, Debug)]
pub struct FanOut {
    plan: Plan,
    parts: Vec<(JobId, Synthesis, String)>,
}

/// Divides what `job` asks for. Reads only.
pub(in crate::jobs) async fn divide(
    connection: &impl ConnectionTrait,
    planner: &dyn ScopePlanner,
    job: &SuperSynthesis,
    run: &Run<'_>,
) -> Result<FanOut, JobError> {
    let request = PlanRequest {
        graph: known_graph(&job.graph, connection).await?,
        topic: &job.topic,
        given: &job.sub_configs,
        scope_count: job.scope_count,
        existing: &job.existing_synthesis_ids,
    };
    let plan = plan(connection, planner, &request, run).await?;
    let parts = plan.parts.iter().map(|part| {
        let part = job.part(part);
        let input = input(&part)?;
        Ok((JobId::new(), part, input))
    });
    let parts = parts.collect::<Result<_, JobError>>()?;
    Ok(FanOut { plan, parts })
}

impl FanOut {
    /// Records the plan of the super-synthesis `id`, makes its parts, and publishes their jobs.
    pub(in crate::jobs) async fn publish(
        &self,
        id: SynthesisId,
        job: JobId,
        asked: &SuperSynthesis,
        publish: &Publish,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let new: Vec<NewPart<'_>> = self
            .parts
            .iter()
            .map(|(job, part, input)| NewPart { job: *job, topic: &part.topic, input })
            .collect();
        let existing = &asked.existing_synthesis_ids;
        let Some(parts) = domain::store_plan(tx, id, job, &self.plan, &new, existing, tx.now).await? else {
            return Ok(Outcome::Failed(no_longer_running()));
        };
        for (job, part, _) in &self.parts {
            enqueue(tx, part, &publish.clone().with_id(*job)).await?;
        }
        Ok(Outcome::with_result(json!({
            "supersynthesis_node_id": id,
            "planning": self.plan.planning.to_value(),
            "sub_synthesis_node_ids": parts,
        })))
    }
}
