//! How one operation leads to others: the links of the OpenAPI document, by which a program finds its way from a list to what is in it.

use serde_json::{Map, Value, json};

/// From an answer to the operations that take something of it: parameters with where their values stand.
struct Way {
    from: &'static str,
    status: &'static str,
    with: &'static [(&'static str, &'static str)],
    to: &'static [&'static str],
}

const WAYS: [Way; 17] = [
    Way { from: "get_jobs", status: "200", with: &[("id", FIRST)], to: &JOB },
    Way { from: "post_kinds_kind_jobs", status: "202", with: &[("id", ID)], to: &JOB },
    Way { from: "get_kinds", status: "200", with: &[("kind", "$response.body#/kinds/0/kind")], to: &KIND },
    Way {
        from: "get_schedules",
        status: "200",
        with: &[("name", "$response.body#/items/0/name")],
        to: &SCHEDULE,
    },
    Way { from: "post_schedules_name_fire", status: "202", with: &[("id", ID)], to: &JOB },
    Way { from: "get_dead_letters", status: "200", with: &[("id", FIRST)], to: &LETTER },
    Way { from: "get_replay_runs", status: "200", with: &[("id", FIRST)], to: &RUN },
    Way {
        from: "post_dead_letters_replay",
        status: "202",
        with: &[("id", "$response.body#/run/id")],
        to: &RUN,
    },
    Way {
        from: "get_graphs",
        status: "200",
        with: &[("graph", "$response.body#/graphs/0/slug")],
        to: &GRAPH,
    },
    Way {
        from: "post_graphs_graph_sync",
        status: "202",
        with: &[("id", "$response.body#/job_id")],
        to: &JOB,
    },
    Way {
        from: "get_graphs_graph_nodes",
        status: "200",
        with: &[("graph", "$request.path.graph"), ("node", "$response.body#/items/0/key")],
        to: &NODE,
    },
    Way { from: "get_syntheses", status: "200", with: &[("id", FIRST)], to: &SYNTHESIS },
    Way { from: "post_syntheses", status: "202", with: &[("id", ID)], to: &SYNTHESIS },
    Way { from: "post_super_syntheses", status: "202", with: &[("id", ID)], to: &SYNTHESIS },
    Way {
        from: "get_syntheses_id",
        status: "200",
        with: &[("id", "$request.path.id"), ("position", "$response.body#/text/sentences/0/position")],
        to: &["get_syntheses_id_sentences_position_facts"],
    },
    Way {
        from: "get_syntheses_id_versions",
        status: "200",
        with: &[("id", "$request.path.id"), ("version", "$response.body#/versions/0/version")],
        to: &["get_syntheses_id_versions_version"],
    },
    Way {
        from: "post_tokens",
        status: "201",
        with: &[("id", ID)],
        to: &["get_tokens_id", "post_tokens_id_revoke"],
    },
];

const ID: &str = "$response.body#/id";
const FIRST: &str = "$response.body#/items/0/id";

const JOB: [&str; 5] = [
    "get_jobs_id",
    "get_jobs_id_progress",
    "get_jobs_id_events",
    "post_jobs_id_cancel",
    "post_jobs_id_retry",
];
const KIND: [&str; 3] = ["post_kinds_kind_jobs", "post_kinds_kind_pause", "post_kinds_kind_resume"];
const SCHEDULE: [&str; 6] = [
    "get_schedules_name",
    "put_schedules_name",
    "delete_schedules_name",
    "post_schedules_name_enable",
    "post_schedules_name_disable",
    "post_schedules_name_fire",
];
const LETTER: [&str; 2] = ["get_dead_letters_id", "post_dead_letters_id_replay"];
const RUN: [&str; 3] = ["get_replay_runs_id", "post_replay_runs_id_stop", "post_replay_runs_id_resume"];
const GRAPH: [&str; 5] = [
    "get_graphs_graph_nodes",
    "get_graphs_graph_facts",
    "post_graphs_graph_imports",
    "get_graphs_graph_sync",
    "post_graphs_graph_sync",
];
const NODE: [&str; 3] =
    ["get_graphs_graph_nodes_node", "get_graphs_graph_nodes_node_facts", "get_graphs_graph_nodes_node_edges"];
const SYNTHESIS: [&str; 7] = [
    "get_syntheses_id",
    "patch_syntheses_id",
    "delete_syntheses_id",
    "get_syntheses_id_progress",
    "get_syntheses_id_events",
    "get_syntheses_id_versions",
    "post_syntheses_id_regenerate",
];

/// The links of an answer, if it has any.
pub(crate) fn of(operation: &str, status: &str) -> Option<Value> {
    let way = WAYS.iter().find(|way| way.from == operation && way.status == status)?;
    let parameters: Map<String, Value> =
        way.with.iter().map(|(name, place)| ((*name).to_owned(), json!(place))).collect();
    let link = |to: &&str| ((*to).to_owned(), json!({ "operationId": to, "parameters": parameters }));
    Some(Value::Object(way.to.iter().map(link).collect()))
}
