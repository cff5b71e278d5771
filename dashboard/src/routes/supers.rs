//! `/super-syntheses`, and how a synthesis stands among others.

use ackord_entities::graph::synthesis::{self, Model};
use ackord_entities::graph::synthesis_link::Origin;
use ackord_entities::ids::{JobId, NodeId, SynthesisId};
use ackord_entities::jobs::{self, Job as _, SuperSynthesis};
use ackord_graph::synthesis::{ask_super, family};
use ackord_producer::story::ErrorView;
use ackord_producer::{Publish, enqueue};
use axum::extract::State;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::syntheses::{Requested, Standing, VisibleTo, may_create_for, with_subject};
use crate::api::Api;
use crate::body::JsonText;
use crate::caller::{Caller, Publisher};
use crate::idempotency::{Key, Made};
use crate::problem::Problem;

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
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same request asks once")),
    request_body(content = SuperSynthesisRequest),
    responses((status = 202, description = "It is asked for; `Location` is where it will be", body = Requested, headers(("location" = String)))),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn create(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    key: Key,
    JsonText(text): JsonText,
) -> Result<Made, Problem> {
    let payload = with_subject(&caller, &text)?;
    let wish: SuperSynthesis = jobs::decode(SuperSynthesis::VERSION, payload.as_bytes())?;
    may_create_for(&caller, wish.creator_id.as_deref())?;
    let request = json!(["super-synthesis", wish]);
    let asked = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let job = JobId::new();
        let id = ask_super(&tx, &wish, job, now).await?;
        enqueue(&tx, &wish, &Publish::at(now).with_id(job)).await?;
        let body = Requested { id, job_id: job, state: Standing::Pending };
        let made = Made::accepted(format!("/api/v1/syntheses/{id}"), &body)?;
        key.conclude(tx, &caller, &request, made, now).await
    };
    let made: Result<Made, Problem> = api.database().within_limit(asked).await;
    api.doorbell().ring();
    made
}

/// How a synthesis stands among others.
#[derive(Serialize, ToSchema)]
pub(crate) struct FamilyView {
    /// Of a super-synthesis: its parts that the caller may see, in their order.
    parts: Vec<PartView>,
    /// Of a super-synthesis: whether its parts say something else by now than its text was made from.
    stale: bool,
    /// The super-syntheses that it is a part of and the caller may see.
    parents: Vec<SynthesisId>,
}

/// A part of a super-synthesis.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartView {
    /// The part: a synthesis of its own.
    id: SynthesisId,
    /// Its place among the parts, from 0.
    position: i32,
    /// Where it comes from.
    origin: PartOrigin,
    /// What it is about.
    topic: String,
    /// Where it stands.
    state: Standing,
    /// Its newest good text, if there is one.
    version: Option<i32>,
    /// Which of its texts the newest one of the whole was made from; null if that was made without it.
    read_version: Option<i32>,
    /// Why its last attempt failed.
    error: Option<ErrorView>,
}

/// Where a part comes from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartOrigin {
    /// It was written for this super-synthesis.
    Planned,
    /// It was there before.
    Existing,
}

/// How `row` stands among others, as the caller may see it.
pub(super) async fn family_of(api: &Api, caller: &Caller, row: &Model) -> Result<FamilyView, Problem> {
    let family = family(api.database().read(), row).await?;
    let ids = family.parts.iter().map(|part| part.sub_id);
    let rows = synthesis::Entity::find().filter(synthesis::Column::Id.is_in(ids)).all(api.database().read());
    let rows = rows.await?;
    let may_see = |row: &Model| caller.may_see(row.visibility, row.creator_id.as_deref());
    let visible = |id: SynthesisId| rows.iter().any(|row| row.id == id && may_see(row));
    let read = |id: SynthesisId| family.read.iter().find(|read| read.sub_id == id)?.sub_version;
    let parts = family.parts.iter().filter(|part| visible(part.sub_id)).map(|part| PartView {
        id: part.sub_id,
        position: part.position,
        origin: match part.origin {
            Origin::Planned => PartOrigin::Planned,
            Origin::Existing => PartOrigin::Existing,
        },
        topic: part.topic.clone(),
        state: part.state.into(),
        version: part.current_version,
        read_version: read(part.sub_id),
        error: part
            .error_code
            .clone()
            .map(|code| ErrorView { code, message: part.error_public.clone().unwrap_or_default() }),
    });
    Ok(FamilyView {
        parts: parts.collect(),
        stale: family.stale,
        parents: family.parents.iter().filter(|row| may_see(row)).map(|row| row.id).collect(),
    })
}
