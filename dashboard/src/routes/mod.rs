//! The routes: a file per resource, one line per route.

#![allow(unused_qualifications, reason = "what the macros of utoipa write")]
#![allow(clippy::unused_async, reason = "the router takes asynchronous functions only")]

mod asking;
mod dead_letters;
mod facts;
mod family;
mod graphs;
mod imports;
mod jobs;
mod kinds;
mod many_letters;
mod page;
mod progress;
mod publishing;
mod replay_runs;
mod schedule_verbs;
mod schedules;
mod selection;
mod sync;
mod sync_failures;
mod syntheses;
mod synthesis_view;
mod texts;
mod tokens;

use ackord_entities::jobs::MAX_PAYLOAD_BYTES;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::cors;
use crate::door::{count_address, door};
use crate::frame::frame;
use crate::metrics::count;
use crate::openapi;
use crate::problem::Problem;

/// Room for what stands around a payload in a body: a patch, a reason.
const AROUND_A_PAYLOAD: usize = 64 * 1024;

/// Everything below `/api/v1`, with an answer for every other path.
pub fn router(api: Api) -> Router {
    let (guarded, document) = documented(&api).split_for_parts();
    let guarded = guarded.route_layer(from_fn_with_state(api.clone(), door));
    let kinds: Vec<&str> = api.catalogue().iter().map(|spec| spec.kind).collect();
    let open = page::router(openapi::finished(&document, &kinds))
        .route_layer(from_fn_with_state(api.clone(), count_address));
    let all = guarded.merge(open).method_not_allowed_fallback(wrong_method).fallback(nothing_here);
    let all = match cors::layer(&api.options().allowed_origins) {
        Some(cors) => all.layer(cors),
        None => all,
    };
    all.layer(from_fn(frame)).layer(from_fn(count)).with_state(api)
}

/// The guarded routes with their documentation.
fn documented(api: &Api) -> OpenApiRouter<Api> {
    let imports = OpenApiRouter::new()
        .routes(routes!(imports::import))
        .layer(DefaultBodyLimit::max(api.options().largest_document));
    let everything = OpenApiRouter::new()
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(progress::of_job))
        .routes(routes!(progress::events_of_job))
        .routes(routes!(kinds::list))
        .routes(routes!(publishing::publish))
        .routes(routes!(kinds::pause))
        .routes(routes!(kinds::resume))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::show))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(many_letters::replay))
        .routes(routes!(many_letters::discard))
        .routes(routes!(replay_runs::list))
        .routes(routes!(replay_runs::show))
        .routes(routes!(replay_runs::stop))
        .routes(routes!(replay_runs::resume))
        .routes(routes!(graphs::list))
        .routes(routes!(graphs::nodes))
        .routes(routes!(graphs::node))
        .routes(routes!(facts::of_node))
        .routes(routes!(graphs::edges_of_node))
        .routes(routes!(facts::search))
        .routes(routes!(syntheses::list, asking::create))
        .routes(routes!(syntheses::show, syntheses::change, syntheses::delete))
        .routes(routes!(syntheses::regenerate))
        .routes(routes!(asking::create_super))
        .routes(routes!(texts::facts_of_sentence))
        .routes(routes!(texts::versions))
        .routes(routes!(texts::version))
        .routes(routes!(progress::of_synthesis))
        .routes(routes!(progress::events_of_synthesis))
        .routes(routes!(sync::status, sync::run))
        .routes(routes!(sync_failures::list))
        .routes(routes!(sync_failures::requeue))
        .routes(routes!(sync_failures::discard))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show, schedules::set, schedule_verbs::remove))
        .routes(routes!(schedule_verbs::enable))
        .routes(routes!(schedule_verbs::disable))
        .routes(routes!(schedule_verbs::fire))
        .routes(routes!(schedules::preview))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::show))
        .routes(routes!(tokens::revoke))
        .layer(DefaultBodyLimit::max(MAX_PAYLOAD_BYTES + AROUND_A_PAYLOAD))
        .merge(imports);
    OpenApiRouter::with_openapi(openapi::begun()).nest("/api/v1", everything)
}

async fn nothing_here(request: Request) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_route",
        format!("there is no {}: /api/v1/docs/ shows what there is", request.uri().path()),
    )
}

async fn wrong_method(method: Method, request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} does not take {method}", request.uri().path()),
    )
}
