//! The OpenAPI document: what the routes say about themselves, and what is true of all of them.

use serde_json::{Map, Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::problem::{PROBLEM_JSON, ProblemBody};

const ABOUT: &str = "\
Durable jobs, their dead letters, the graphs that they work on, and the texts that they write.

**Tokens.** `Authorization: Bearer ackord_..`; `ackord tokens create` makes them. The roles are viewer, publisher, operator and admin, each \
with what the ones before it may; every operation names the one that it takes. While there are no tokens, this machine, and nobody else, is let in as admin.

**Lists** are newest first and come in pages: give `next_cursor` of a page as `cursor` for the next one, with the same filters.

**Errors** are problem details (RFC 9457): `code` is for programs, `detail` for people, `field` is what is at fault.

**Idempotency-Key.** The same key with the same request gives the first answer again, for a day.";

#[derive(OpenApi)]
#[openapi(
    info(title = "ackord", description = ABOUT, license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    components(schemas(ProblemBody)),
    tags(
        (name = "jobs", description = "Publish, look at, call off, run now"),
        (name = "kinds", description = "What can be published, and pausing it"),
        (name = "schedules", description = "Jobs by the clock: cron expressions in time zones"),
        (name = "dead letters", description = "What was given up: look at it, repair and replay it, or discard it"),
        (name = "graphs", description = "Nodes, facts and edges, and documents into them"),
        (name = "syntheses", description = "Texts about topics, from the facts of a graph"),
        (name = "sync", description = "Copying graphs to their read sides, and rows that could not be copied"),
        (name = "tokens", description = "Who may use this API"),
    ),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("ackord_..")
            .description(Some("A token of `ackord tokens create`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// What the routes add themselves to.
pub(crate) fn begun() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The whole document: every operation with the problems that any request can meet.
pub(crate) fn finished(document: &utoipa::openapi::OpenApi, kinds: &[&str]) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    say_what_is_in_events(&mut document["components"]["schemas"]);
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, methods) in paths {
        let Some(methods) = methods.as_object_mut() else { continue };
        for (method, operation) in methods.iter_mut().filter(|(_, operation)| operation.is_object()) {
            let name = name(method, path);
            complete(path, &name, operation);
            name_kinds(path, kinds, operation);
            operation["operationId"] = name.into();
        }
    }
    document
}

/// The data of an event is a text, and JSON is in it.
fn say_what_is_in_events(schemas: &mut Value) {
    for (event, data) in [("JobEvent", "JobProgress"), ("SynthesisEvent", "SynthesisProgress")] {
        schemas[event]["properties"]["data"]["contentSchema"] =
            json!({ "$ref": format!("#/components/schemas/{data}") });
    }
}

/// `get_jobs_id`: unlike any other, and the same as long as the path is.
fn name(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1/").split('/');
    let words = words.map(|word| word.trim_matches(['{', '}']).replace('-', "_"));
    std::iter::once(method.to_owned()).chain(words).collect::<Vec<_>>().join("_")
}

/// Which kinds a path can name.
fn name_kinds(path: &str, kinds: &[&str], operation: &mut Value) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    let in_path = |parameter: &&mut Value| parameter["name"] == "kind" && parameter["in"] == "path";
    if let Some(parameter) = parameters.iter_mut().find(in_path).filter(|_| path.contains("{kind}")) {
        parameter["schema"]["enum"] = json!(kinds);
    }
}

fn complete(path: &str, name: &str, operation: &mut Value) {
    let has_body = !operation["requestBody"].is_null();
    let names_something = path.contains('{');
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let common = [
        ("400", true, "The request cannot be read; `field` says where"),
        ("401", true, "No token, or one that does not count"),
        ("403", true, "The role of the token does not go that far"),
        ("404", names_something, "There is no such thing, or the caller may not know of it"),
        ("413", has_body, "The body is too large"),
        ("415", has_body, "The body is of another type"),
        ("422", has_body, "The body does not fit; `field` says where"),
        ("429", true, "Too many requests; `Retry-After` says when to come again"),
        ("500", true, "A mistake of ours; the log has it by the request's id"),
        ("503", true, "The database is away; `Retry-After` says when to come again"),
    ];
    for (status, _, description) in common.into_iter().filter(|(_, applies, _)| *applies) {
        responses.entry(status).or_insert_with(|| json!({ "description": description }));
    }
    for (status, response) in responses.iter_mut() {
        let Some(response) = response.as_object_mut() else { continue };
        if status.starts_with(['4', '5']) {
            let schema = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
            response.insert("content".to_owned(), json!({ PROBLEM_JSON: schema }));
        }
        if let Some(links) = crate::links::of(name, status) {
            response.insert("links".to_owned(), links);
        }
        headers(status, response);
    }
}

fn headers(status: &str, response: &mut Map<String, Value>) {
    let headers = response.entry("headers").or_insert_with(|| json!({}));
    let found_by = "By this the request is found in the log";
    headers["x-request-id"] = json!({ "description": found_by, "schema": { "type": "string" } });
    if matches!(status, "429" | "503") {
        let schema = json!({ "type": "integer", "minimum": 0 });
        headers["retry-after"] = json!({ "description": "Seconds", "schema": schema });
    }
}
