//! The OpenAPI document, and the page to browse it.

use std::collections::HashSet;

use ackord_entities::queue::api_token::ApiRole;
use sea_orm::DbBackend;
use serde_json::Value;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_says_what_it_is_what_it_takes_and_what_can_go_wrong() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let document = world.document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut names = HashSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].to_string()), "{what}: another one has its name");
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{what} says nothing"
            );
            assert!(operation["tags"][0].is_string(), "{what} has no tag");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{what} cannot succeed");
            for status in ["400", "401", "403", "429", "500", "503"] {
                let schema = &responses[status]["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{what} {status}");
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|one| one["in"] == "path");
            let named: HashSet<String> =
                in_path.map(|one| format!("{{{}}}", one["name"].as_str().unwrap())).collect();
            let templates: HashSet<String> =
                path.split('/').filter(|part| part.starts_with('{')).map(str::to_owned).collect();
            assert_eq!(named, templates, "{what}");
            for parameter in &parameters {
                assert!(parameter["description"].is_string(), "{what}: {parameter}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_names_an_operation_and_its_parameters() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let document = world.document();
    let operations: Vec<&Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|methods| methods.as_object().unwrap().values())
        .collect();
    let mut found = 0;
    for operation in &operations {
        for response in operation["responses"].as_object().unwrap().values() {
            for (name, link) in response["links"].as_object().into_iter().flatten() {
                let to = operations.iter().find(|other| other["operationId"] == link["operationId"]);
                let to = to.unwrap_or_else(|| panic!("{name} leads nowhere"));
                for parameter in link["parameters"].as_object().unwrap().keys() {
                    let known = to["parameters"].as_array().unwrap();
                    assert!(known.iter().any(|one| one["name"] == parameter.as_str()), "{name}: {parameter}");
                }
                found += 1;
            }
        }
    }
    // As many as there are in the list of them.
    assert_eq!(found, 70);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_leads_somewhere_and_every_schema_is_one() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let document = world.document();
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for reference in found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_from_here_alone_and_needs_no_token() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    world.token("anna", ApiRole::Admin, None).await;
    world.get("/openapi.json").undocumented().expect(200).await;
    let page = world.get("/docs/").undocumented().expect(200).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && policy.contains("default-src 'none'"), "{policy}");
    let quoted: Vec<&str> = page.text.split('"').collect();
    let is_part = |part: &str| part.rsplit_once('.').is_some_and(|(_, kind)| ["js", "css"].contains(&kind));
    let parts: Vec<&str> = quoted.into_iter().filter(|part| is_part(part)).collect();
    assert!(parts.len() >= 3, "{}", page.text);
    for part in parts {
        assert!(!part.contains("//"), "{part} is elsewhere");
        let part = world.get(&format!("/docs/{}", part.trim_start_matches("./"))).undocumented();
        assert!(!part.expect(200).await.text.is_empty());
    }
    let settings = world.get("/docs/swagger-initializer.js").undocumented().expect(200).await.text;
    assert!(settings.contains("/api/v1/openapi.json"), "{settings}");
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "$ref" => found.push(text.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
