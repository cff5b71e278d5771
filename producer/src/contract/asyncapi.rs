//! The AsyncAPI 3.0 document: what may be sent to ackord over AMQP, and what ackord sends.

use ackord_entities::envelope::{TRACEPARENT_HEADER, VERSION_HEADER};
use ackord_entities::jobs::{Catalogue, KindSpec};
use schemars::transform::{ReplacePrefixItems, ReplaceUnevaluatedProperties, Transform};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use super::notice::{JobNotice, NoticeState};
use crate::broker::topology::{EVENTS_EXCHANGE, PUBLISH_EXCHANGE};

/// W3C trace context, level 1.
const TRACEPARENT: &str = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";

/// The document for `catalogue`. A kind that takes no messages past `enqueue` has no channel in it. `version` is the program's.
/// Fields stand in the order of their names, so the same contracts give the same text.
#[must_use]
pub fn asyncapi(catalogue: &Catalogue, version: &str) -> Value {
    let mut parts = Parts::default();
    for spec in catalogue.iter().filter(|spec| spec.accepts_direct) {
        parts.add_kind(spec);
    }
    parts.add_events(catalogue);
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "ackord",
            "version": version,
            "description": format!(
                "Jobs that any AMQP 0-9-1 client may publish, and notices of what becomes of jobs. Publish to the exchange \
                 `{PUBLISH_EXCHANGE}` with the kind as routing key and as property `type`, with a `message_id` of your own (the same \
                 id again is the same job), persistent, mandatory, and wait for the confirm."
            ),
        },
        "defaultContentType": "application/json",
        "channels": parts.channels,
        "operations": parts.operations,
        "components": { "messages": parts.messages, "schemas": parts.schemas },
    });
    document.sort_all_objects();
    document
}

#[derive(Default)]
struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Parts {
    fn add_kind(&mut self, spec: &KindSpec) {
        let kind = spec.kind;
        let schema = spec.schema();
        let description = schema.get("description").cloned().unwrap_or_default();
        let examples = schema.get("examples").and_then(Value::as_array).cloned().unwrap_or_default();
        self.add_schema(kind, schema);
        self.channels.insert(
            kind.to_owned(),
            json!({
                "address": kind,
                "title": format!("Jobs of the kind `{kind}`"),
                "messages": { kind: reference(&["components", "messages", kind]) },
                "bindings": exchange(PUBLISH_EXCHANGE, "direct"),
            }),
        );
        self.operations.insert(
            format!("publish-{kind}"),
            json!({
                "action": "receive",
                "title": format!("Publish a job of the kind `{kind}`"),
                "channel": reference(&["channels", kind]),
                "messages": [reference(&["channels", kind, "messages", kind])],
                "bindings": { "amqp": {
                    "deliveryMode": 2, "mandatory": true, "ack": true, "timestamp": false, "bindingVersion": "0.3.0",
                } },
            }),
        );
        let examples: Vec<Value> = examples
            .into_iter()
            .map(|payload| json!({ "headers": { VERSION_HEADER: spec.version }, "payload": payload }))
            .collect();
        self.messages.insert(
            kind.to_owned(),
            json!({
                "name": kind,
                "title": kind,
                "description": description,
                "contentType": "application/json",
                "headers": headers(spec),
                "payload": reference(&["components", "schemas", kind]),
                "bindings": { "amqp": { "messageType": kind, "bindingVersion": "0.3.0" } },
                "examples": examples,
                "x-amqp-properties": properties(kind),
            }),
        );
    }

    fn add_events(&mut self, catalogue: &Catalogue) {
        const NAME: &str = "events";
        const NOTICE: &str = "job-notice";
        let kinds: Vec<&str> = catalogue.iter().map(|spec| spec.kind).collect();
        let schema = schema_for!(JobNotice);
        let description = schema.get("description").cloned().unwrap_or_default();
        self.add_schema(NOTICE, schema);
        self.channels.insert(
            NAME.to_owned(),
            json!({
                "address": "job.{kind}.{state}",
                "title": "Notices of what becomes of jobs",
                "description": "Off by default, switched on for each kind. Bind a queue of your own, for example by \
                                `job.*.dead` or `job.#`.",
                "parameters": {
                    "kind": { "description": "The job's kind.", "enum": kinds },
                    "state": { "description": "Where the job stands now.", "enum": NoticeState::ALL.map(|state| state.to_string()) },
                },
                "messages": { NOTICE: reference(&["components", "messages", NOTICE]) },
                "bindings": exchange(EVENTS_EXCHANGE, "topic"),
            }),
        );
        self.operations.insert(
            "announce".to_owned(),
            json!({
                "action": "send",
                "title": "Tell that a job has come into another state",
                "channel": reference(&["channels", NAME]),
                "messages": [reference(&["channels", NAME, "messages", NOTICE])],
                "bindings": { "amqp": { "mandatory": false, "bindingVersion": "0.3.0" } },
            }),
        );
        self.messages.insert(
            NOTICE.to_owned(),
            json!({
                "name": NOTICE,
                "title": "Job notice",
                "description": description,
                "contentType": "application/json",
                "payload": reference(&["components", "schemas", NOTICE]),
                "examples": [{ "payload": {
                    "version": JobNotice::VERSION,
                    "job_id": "01890a5d-ac96-774b-bcce-b302099a8057",
                    "kind": kinds.last(),
                    "state": NoticeState::Dead.to_string(),
                    "attempt": 5,
                    "seq": 9,
                    "time": "2026-12-24T18:00:00Z",
                    "error": { "code": "timed_out", "text": "the attempt took longer than 60 s" },
                } }],
            }),
        );
    }

    /// Puts a schema and what it defines among the components. AsyncAPI's own schema format is a superset of draft 7.
    fn add_schema(&mut self, name: &str, mut schema: Schema) {
        ReplacePrefixItems::default().transform(&mut schema);
        ReplaceUnevaluatedProperties::default().transform(&mut schema);
        let mut schema = schema.to_value();
        let definitions = schema.as_object_mut().and_then(|fields| {
            fields.remove("$schema");
            fields.remove("$defs")
        });
        if let Some(Value::Object(definitions)) = definitions {
            for (inner, mut definition) in definitions {
                point_to_components(&mut definition, name);
                self.schemas.insert(format!("{name}.{inner}"), definition);
            }
        }
        point_to_components(&mut schema, name);
        self.schemas.insert(name.to_owned(), schema);
    }
}

/// `#/$defs/X` within a schema is `#/components/schemas/<name>.X` within the document.
fn point_to_components(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && let Some(inner) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/components/schemas/{name}.{inner}");
            }
            fields.values_mut().for_each(|value| point_to_components(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_to_components(item, name)),
        _ => {}
    }
}

fn reference(path: &[&str]) -> Value {
    json!({ "$ref": format!("#/{}", path.join("/")) })
}

fn exchange(name: &str, routing: &str) -> Value {
    json!({ "amqp": {
        "is": "routingKey",
        "exchange": { "name": name, "type": routing, "durable": true, "autoDelete": false },
        "bindingVersion": "0.3.0",
    } })
}

fn headers(spec: &KindSpec) -> Value {
    json!({
        "type": "object",
        "properties": {
            VERSION_HEADER: {
                "type": "integer",
                "minimum": 1,
                "maximum": spec.version,
                "default": 1,
                "description": "Version of the payload's shape. Older versions are still read; the schema here is the newest one's.",
            },
            TRACEPARENT_HEADER: {
                "type": "string",
                "pattern": TRACEPARENT,
                "description": "W3C trace context: the job and its follow-ups become part of that trace.",
            },
        },
    })
}

/// AMQP's own properties have no place in an AsyncAPI message, so they stand in an extension.
fn properties(kind: &str) -> Value {
    json!({
        "type": "object",
        "required": ["message_id", "type"],
        "properties": {
            "message_id": {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "pattern": "^[^\\u0000]+$",
                "description": "The publisher's own id: the same one again is the same job. A UUID of version 7 is the job's id.",
            },
            "type": { "const": kind, "description": "The kind." },
            "content_type": { "const": "application/json" },
            "delivery_mode": { "const": 2, "description": "Persistent." },
        },
    })
}

#[cfg(test)]
mod tests {
    use ackord_entities::jobs::catalogue;

    use super::*;

    #[test]
    fn a_kind_that_takes_no_direct_messages_has_no_channel() {
        let document = asyncapi(&catalogue(), "1.2.3");
        for spec in catalogue().iter() {
            assert_eq!(document["channels"].get(spec.kind).is_some(), spec.accepts_direct, "{}", spec.kind);
        }
        assert_eq!(document["channels"]["events"]["bindings"]["amqp"]["exchange"]["name"], EVENTS_EXCHANGE);
    }

    #[test]
    fn every_reference_has_its_target() {
        fn references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|inner| references(inner, found));
                }
                Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
                _ => {}
            }
        }
        let document = asyncapi(&catalogue(), "1.2.3");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 8, "{found:?}");
        for target in found {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
    }
}
