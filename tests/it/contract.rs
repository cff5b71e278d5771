//! `ackord contract`: what publishers in other languages are given is right, by the standards' own schemas.

use std::path::Path;

use ackord_entities::jobs::catalogue;
use serde_json::{Value, json};

use crate::program::Folder;

/// The official schema of AsyncAPI 3.0 documents, from `@asyncapi/specs` 6.11.1 (Apache-2.0).
const ASYNCAPI: &str = include_str!("testdata/asyncapi-3.0.0.json");

fn document(folder: &Folder) -> Value {
    folder.ackord(&["contract", "--json"]).expect(0).json()
}

fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    let complaint = |error: jsonschema::ValidationError| format!("{} at {}", error, error.instance_path());
    validator.iter_errors(value).map(complaint).collect()
}

/// The schema at `place` of the document, with the document's other schemas beside it.
fn schema_at(document: &Value, place: &str) -> Value {
    let mut schema = document.pointer(place).unwrap().clone();
    schema["components"] = document["components"].clone();
    schema
}

#[test]
fn the_asyncapi_document_is_one() {
    let folder = Folder::empty();
    let official: Value = serde_json::from_str(ASYNCAPI).unwrap();
    let mut document = document(&folder);
    assert_eq!(complaints(&official, &document), [""; 0]);
    document["channels"]["synthesis"]["bindings"]["amqp"]["is"] = json!("pigeon");
    assert_ne!(complaints(&official, &document), [""; 0], "the official schema checks nothing");
}

#[test]
fn every_example_is_a_valid_message() {
    let folder = Folder::empty();
    let document = document(&folder);
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "`{name}` has no example");
        for example in examples {
            let payload = schema_at(&document, &format!("/components/schemas/{name}"));
            assert_eq!(complaints(&payload, &example["payload"]), [""; 0], "{name}");
            if let Some(headers) = example.get("headers") {
                let schema = schema_at(&document, &format!("/components/messages/{name}/headers"));
                assert_eq!(complaints(&schema, headers), [""; 0], "{name}");
            }
        }
    }
}

#[test]
fn a_channel_says_where_and_how_to_publish() {
    let folder = Folder::empty();
    let document = document(&folder);
    let channel = &document["channels"]["synthesis"];
    assert_eq!(channel["address"], "synthesis");
    assert_eq!(channel["bindings"]["amqp"]["exchange"]["name"], "ackord.publish");
    let message = &document["components"]["messages"]["synthesis"];
    assert_eq!(message["bindings"]["amqp"]["messageType"], "synthesis");
    assert_eq!(message["x-amqp-properties"]["required"], json!(["message_id", "type"]));
    let headers = message["headers"]["properties"].as_object().unwrap();
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["traceparent", "x-schema-version"]);
    let events = &document["channels"]["events"];
    assert_eq!(
        events["bindings"]["amqp"]["exchange"],
        json!({"name": "ackord.events", "type": "topic", "durable": true, "autoDelete": false})
    );
}

#[test]
fn the_same_program_writes_the_same_bytes() {
    let folder = Folder::empty();
    for format in ["asyncapi", "json-schema"] {
        let once = folder.ackord(&["contract", "--format", format]).expect(0).stdout;
        let again = folder.ackord(&["contract", "--format", format]).expect(0).stdout;
        assert_eq!(once, again);
    }
}

#[test]
fn files_have_the_document_and_a_schema_for_each_kind() {
    let folder = Folder::empty();
    let written = folder.ackord(&["contract", "--output", "a/b", "--json"]).expect(0).json();
    let files: Vec<&str> =
        written["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    let mut expected = vec!["a/b/asyncapi.json".to_owned()];
    expected
        .extend(catalogue().iter().map(|spec| format!("a/b/schemas/{}.v{}.json", spec.kind, spec.version)));
    assert_eq!(files, expected);
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.path().join(path)).unwrap()).unwrap()
    };
    assert_eq!(read("a/b/asyncapi.json"), document(&folder));
    for spec in catalogue().iter() {
        let schema = read(&format!("a/b/schemas/{}.v{}.json", spec.kind, spec.version));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("urn:ackord:kind:{}:{}", spec.kind, spec.version));
        let one =
            folder.ackord(&["contract", "--format", "json-schema", "--kind", spec.kind]).expect(0).stdout;
        assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), schema);
        for example in schema["examples"].as_array().unwrap() {
            assert_eq!(complaints(&schema, example), [""; 0], "{}", spec.kind);
        }
    }
    // Once more into the same folder.
    folder.ackord(&["contract", "--output", "a/b"]).expect(0);
}

#[test]
fn what_cannot_be_written_is_said() {
    let folder = Folder::empty();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let told = folder.ackord(&["contract", "--output", "file/below", "--json"]).expect(1).error();
    assert!(told["message"].as_str().unwrap().contains("file/below"), "{told}");
    let told = folder.ackord(&["contract", "--kind", "nope", "--json"]).expect(3).error();
    assert!(told["message"].as_str().unwrap().contains("nope"), "{told}");
    assert!(!Path::new("nope").exists());
}
