//! Asking for syntheses and super-syntheses: `POST /syntheses`, `POST /super-syntheses`.

use ackord_entities::ids::{JobId, NodeId, SynthesisId};
use ackord_entities::jobs::{self, Job, SuperSynthesis, Synthesis};
use ackord_graph::synthesis::{AskError, ask, ask_super};
use ackord_producer::{Publish, enqueue};
use axum::extract::State;
use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::graphs::written_here;
use super::synthesis_view::{Standing, VisibleTo};
use crate::api::Api;
use crate::body::{JsonText, parse};
use crate::caller::{Caller, Publisher};
use crate::idempotency::{Key, Made};
use crate::problem::Problem;

/// What a synthesis is asked for. The schema of the kind `synthesis` (`GET /kinds`) says it with all its limits.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what is read as the kind's own payload")]
pub(crate) struct SynthesisRequest {
    /// What to write about: one line.
    #[schema(min_length = 1, max_length = 500, example = "How leases keep two workers apart")]
    topic: String,
    /// Nodes of the graph to begin with.
    #[schema(max_items = 50, required = false)]
    starting_node_ids: Vec<NodeId>,
    /// Nodes that may be visited.
    #[schema(minimum = 1, maximum = 200, default = 20, required = false)]
    exploration_budget: u32,
    /// Who may see the result.
    #[schema(required = false)]
    visibility: VisibleTo,
    /// Who asks for it: the token's subject, which is put there if nothing is. Operators may name somebody else.
    #[schema(min_length = 1, max_length = 200, required = false)]
    creator_id: Option<String>,
    /// The graph, by its slug or its id.
    #[schema(min_length = 1, max_length = 200, default = "default", required = false)]
    graph: String,
    /// The text may have about this many words.
    #[schema(minimum = 50, maximum = 5000, default = 500, required = false)]
    max_words: u32,
}

/// A synthesis that was asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Requested {
    /// The synthesis: there already, pending.
    id: SynthesisId,
    /// The job that writes it.
    job_id: JobId,
    /// `pending`.
    state: Standing,
}

/// Ask for a synthesis. It is there at once, pending; its job writes it.
#[utoipa::path(
    post,
    path = "/syntheses",
    tag = "syntheses",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same request asks once", min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]*[!-~])?$")),
    request_body(content = SynthesisRequest),
    responses(
        (status = 202, description = "It is asked for; `Location` is where it will be", body = Requested, headers(("location" = String))),
        (status = 409, description = "The graph is written in a database of its own (`written_elsewhere`), or the key is in use"),
    ),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn create(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    key: Key,
    JsonText(text): JsonText,
) -> Result<Made, Problem> {
    asked_for::<Synthesis>(&api, &caller, &key, &text).await
}

/// What a text is asked for with: the payload of the job that writes it.
trait Wish: Job {
    /// In whose name.
    fn creator(&self) -> Option<&str>;

    /// About which graph.
    fn graph(&self) -> &str;

    /// Makes the synthesis, pending.
    fn ask(
        &self,
        tx: &DatabaseTransaction,
        job: JobId,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<SynthesisId, AskError>> + Send;
}

impl Wish for Synthesis {
    fn creator(&self) -> Option<&str> {
        self.creator_id.as_deref()
    }

    fn graph(&self) -> &str {
        &self.graph
    }

    async fn ask(
        &self,
        tx: &DatabaseTransaction,
        job: JobId,
        now: DateTime<Utc>,
    ) -> Result<SynthesisId, AskError> {
        ask(tx, self, job, now).await
    }
}

impl Wish for SuperSynthesis {
    fn creator(&self) -> Option<&str> {
        self.creator_id.as_deref()
    }

    fn graph(&self) -> &str {
        &self.graph
    }

    async fn ask(
        &self,
        tx: &DatabaseTransaction,
        job: JobId,
        now: DateTime<Utc>,
    ) -> Result<SynthesisId, AskError> {
        ask_super(tx, self, job, now).await
    }
}

/// The synthesis, pending, and its job in one transaction.
async fn asked_for<W: Wish>(api: &Api, caller: &Caller, key: &Key, text: &str) -> Result<Made, Problem> {
    let payload = with_subject(caller, text)?;
    let wish: W = jobs::decode(W::VERSION, payload.as_bytes())?;
    may_create_for(caller, wish.creator())?;
    written_here(api, wish.graph(), |_| {
        "texts are written about graphs that are where the jobs are".to_owned()
    })?;
    let request = json!([W::KIND, wish]);
    let asked = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let job = JobId::new();
        let id = wish.ask(&tx, job, now).await?;
        enqueue(&tx, &wish, &Publish::at(now).with_id(job)).await?;
        let body = Requested { id, job_id: job, state: Standing::Pending };
        let made = Made::accepted(format!("/api/v1/syntheses/{id}"), &body)?;
        key.conclude(tx, caller, &request, made, now).await
    };
    let made: Result<Made, Problem> = api.database().within_limit(asked).await;
    api.doorbell().ring();
    made
}

/// A subject asks in his own name; operators may ask in anybody's.
pub(super) fn may_create_for(caller: &Caller, creator: Option<&str>) -> Result<(), Problem> {
    if creator.is_none() || caller.is_operator() || caller.owns(creator) {
        return Ok(());
    }
    Err(Problem::forbidden("it can be asked for in the name of the token's own subject only")
        .at("creator_id"))
}

/// The payload, with the subject of the token as its creator where it names none.
fn with_subject(caller: &Caller, text: &str) -> Result<String, Problem> {
    let mut payload: Value = parse(text)?;
    if let (Some(fields), Some(subject)) = (payload.as_object_mut(), &caller.subject) {
        fields.entry("creator_id").or_insert_with(|| subject.clone().into());
    }
    Ok(payload.to_string())
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Invalid(invalid) => Self::invalid(invalid.field, invalid.reason),
            AskError::Database(error) => error.into(),
            _ => Self::internal(),
        }
    }
}

/// What a super-synthesis is asked for. The schema of the kind `super-synthesis` (`GET /kinds`) says it with all its limits.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what is read as the kind's own payload")]
pub(crate) struct SuperSynthesisRequest {
    /// What the whole is about: one line.
    #[schema(min_length = 1, max_length = 500, example = "How jobs survive crashes")]
    topic: String,
    /// The parts to write; without any, they are found in the graph.
    #[schema(max_items = 50, required = false)]
    sub_configs: Vec<SubConfigRequest>,
    /// Syntheses of the same graph that are there already and become parts too.
    #[schema(max_items = 50, required = false)]
    existing_synthesis_ids: Vec<SynthesisId>,
    /// How many parts to find in the graph; 0 for as many as it suggests.
    #[schema(minimum = 0, maximum = 20, default = 0, required = false)]
    scope_count: u32,
    /// Who may see the result and its parts.
    #[schema(required = false)]
    visibility: VisibleTo,
    /// Who asks for it: the token's subject, which is put there if nothing is. Operators may name somebody else.
    #[schema(min_length = 1, max_length = 200, required = false)]
    creator_id: Option<String>,
    /// The graph, by its slug or its id.
    #[schema(min_length = 1, max_length = 200, default = "default", required = false)]
    graph: String,
}

/// A part to write.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what is read as the kind's own payload")]
pub(crate) struct SubConfigRequest {
    /// What the part is about: one line.
    #[schema(min_length = 1, max_length = 500)]
    topic: String,
    /// Nodes of the graph to begin with.
    #[schema(max_items = 50, required = false)]
    starting_node_ids: Vec<NodeId>,
    /// Nodes that may be visited.
    #[schema(minimum = 1, maximum = 200, default = 20, required = false)]
    exploration_budget: u32,
    /// The part may have about this many words.
    #[schema(minimum = 50, maximum = 5000, default = 500, required = false)]
    max_words: u32,
}

/// Ask for a super-synthesis: parts that are written at the same time and combined to one text. It is there at once, pending.
#[utoipa::path(
    post,
    path = "/super-syntheses",
    tag = "syntheses",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same request asks once", min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]*[!-~])?$")),
    request_body(content = SuperSynthesisRequest),
    responses(
        (status = 202, description = "It is asked for; `Location` is where it will be", body = Requested, headers(("location" = String))),
        (status = 409, description = "The graph is written in a database of its own (`written_elsewhere`), or the key is in use"),
    ),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn create_super(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    key: Key,
    JsonText(text): JsonText,
) -> Result<Made, Problem> {
    asked_for::<SuperSynthesis>(&api, &caller, &key, &text).await
}
