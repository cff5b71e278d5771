//! Documents into a graph, and what it holds then.

use ackord_entities::queue::api_token::ApiRole;
use rstest::rstest;
use sea_orm::{DbBackend, EntityTrait as _};
use serde_json::json;

use crate::world::World;

const LEASES: &str = "\
# Leases

A lease is an exclusive claim on a key that ends by itself. The sweeper puts back the job of an expired lease.
A lease has a term, and the term is compared when a worker commits. The Sweeper Process looks for expired leases.

# Outbox

The outbox is a table in which messages wait. A relay moves them to the broker.
";

pub(crate) async fn import(world: &World, uri: &str, text: &str) -> serde_json::Value {
    let path = format!("/graphs/default/imports?uri={uri}");
    world.post(&path).text("text/markdown", text).expect(200).await.json()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_taken_replaced_and_passed_over(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let taken = import(&world, "upload:leases.md", LEASES).await;
    assert_eq!(taken["outcome"], "taken", "{taken}");
    assert!(taken["facts"].as_u64().unwrap() >= 5, "{taken}");
    assert_eq!(import(&world, "upload:leases.md", LEASES).await["outcome"], "unchanged");
    let more = format!("{LEASES}\nA broker is told.\n");
    assert_eq!(import(&world, "upload:leases.md", &more).await["outcome"], "updated");

    let graphs = world.get("/graphs").expect(200).await.json();
    assert_eq!(graphs["graphs"][0]["slug"], "default");
    // By its id it is the same graph, and an id that is nobody's is no name for another one.
    let id = graphs["graphs"][0]["id"].as_str().unwrap();
    let again = |graph: &str| {
        world.post(&format!("/graphs/{graph}/imports?uri=upload:leases.md")).text("text/markdown", &more)
    };
    assert_eq!(again(id).expect(200).await.json()["outcome"], "unchanged");
    again("01890a5d-ac96-774b-bcce-b302099a8057").expect(404).await;
    assert_eq!(world.get("/graphs").expect(200).await.json()["graphs"].as_array().unwrap().len(), 1);
    let found = world.get("/graphs/default/facts?query=expired%20leases").expect(200).await.json();
    let best = &found["facts"][0];
    assert!(best["content"].as_str().unwrap().contains("expired lease"), "{found}");
    assert_eq!(best["source_uri"], "upload:leases.md");

    let nodes = world.get("/graphs/default/nodes?query=LEASE").expect(200).await.json();
    let node =
        nodes["items"].as_array().unwrap().iter().find(|node| node["fact_count"].as_i64() > Some(1)).unwrap();
    let (id, key) = (node["id"].as_str().unwrap(), node["key"].as_str().unwrap());
    for name in [id, key] {
        assert_eq!(
            world.get(&format!("/graphs/default/nodes/{name}")).expect(200).await.json()["key"],
            json!(key)
        );
        let edges = world.get(&format!("/graphs/default/nodes/{name}/edges")).expect(200).await.json();
        assert_eq!(edges["more"], false);
    }
    let (mut facts, mut path) = (Vec::new(), format!("/graphs/default/nodes/{key}/facts?limit=1"));
    loop {
        let page = world.get(&path).expect(200).await.json();
        facts.extend(page["items"].as_array().unwrap().iter().map(|fact| fact["id"].to_string()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/graphs/default/nodes/{key}/facts?limit=1&cursor={cursor}");
    }
    assert_eq!(json!(facts.len()), node["fact_count"]);

    let (mut keys, mut path) = (Vec::new(), "/graphs/default/nodes?limit=2".to_owned());
    loop {
        let page = world.get(&path).expect(200).await.json();
        keys.extend(page["items"].as_array().unwrap().iter().map(|node| node["key"].to_string()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/graphs/default/nodes?limit=2&cursor={cursor}");
    }
    let mut once = keys.clone();
    once.dedup();
    assert!(keys.len() > 3 && keys == once, "{keys:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn records_are_taken_line_by_line_and_the_others_are_named(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let record = json!({
        "source": { "uri": "https://example.org/a", "title": "On leases" },
        "facts": ["A lease ends by itself."],
        "nodes": ["Lease"],
    });
    let lines = format!("{record}\nno json\n");
    let path = "/graphs/research/imports?uri=upload:records.jsonl";
    let done = world.post(path).text("application/jsonl", &lines).send().await;
    assert_eq!(done.status, 200, "{}", done.text);
    let done = done.json();
    assert_eq!(
        (&done["outcome"], &done["refused_lines"], &done["refused"][0]["line"]),
        (&json!("taken"), &json!(1), &json!(2))
    );
    let found = world.get("/graphs/research/facts?query=lease").expect(200).await.json();
    assert_eq!(found["facts"][0]["source_uri"], "https://example.org/a");
    let none = world.post(path).text("application/jsonl", "no json\n").expect(422).await;
    assert_eq!((&none.json()["field"], &none.json()["refused"][0]["line"]), (&json!("body"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_document_is_refused_with_the_reason() {
    let world = World::with(DbBackend::Sqlite, |options| options.largest_document = 10_000).await.unwrap();
    let post = |path: &str, media: &str, text: &str| world.post(path).text(media, text);
    let good = "/graphs/default/imports?uri=upload:a.md";
    assert_eq!(post(good, "application/pdf", "x").expect(415).await.problem(), "unsupported_media_type");
    assert_eq!(post(good, "text/plain", " ").expect(422).await.json()["field"], "body");
    assert_eq!(post(good, "text/plain", "a\u{0}b").expect(422).await.json()["field"], "body");
    assert_eq!(post(good, "text/plain", &"x".repeat(10_001)).expect(413).await.problem(), "body_too_large");
    for (path, field) in [
        ("/graphs/default/imports", "uri"),
        ("/graphs/default/imports?uri=file:///etc/passwd", "uri"),
        ("/graphs/default/imports?uri=notes", "uri"),
        ("/graphs/No%20Slug/imports?uri=upload:a.md", "graph"),
    ] {
        let answer = post(path, "text/plain", "A fact.").expect(400).await;
        assert_eq!(answer.json()["field"], field, "{path}: {}", answer.text);
    }
    for path in ["/graphs/none/nodes", "/graphs/none/facts?query=x", "/graphs/default/nodes/none"] {
        world.get(path).expect(404).await;
    }
    post(good, "text/plain", "A fact about leases.").expect(200).await;
    world.get("/graphs/default/nodes?query=%3F").expect(400).await;
    world.get("/graphs/default/facts?query=%20").expect(400).await;
    let viewer = world.token("viewer", ApiRole::Viewer, None).await;
    post(good, "text/plain", "x").token(&viewer).expect(403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_from_the_servers_disk_and_nothing_sent_is_taken_for_a_file() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let folder = world.test.folder().unwrap().to_owned();
    let secret = folder.join("secret.md");
    std::fs::write(&secret, "# Vault\n\nThe combination of the vault is nineteen.\n").unwrap();
    let at = secret.display().to_string();
    let address = ackord_graph::import::file_uri(&secret);
    let record =
        |source: serde_json::Value| json!({ "source": source, "facts": ["A lease ends by itself."] });
    let lines = [
        record(json!(address)),
        record(json!({ "uri": address.replace("file:", "FILE:") })),
        record(json!({ "uri": format!(" {address}") })),
        record(json!({ "uri": "https://example.org/a", "canonical_url": address })),
        // A path is not an address: it is a name like any other, and nothing is looked for under it.
        record(json!(at)),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    let path = |uri: &str| format!("/graphs/default/imports?uri={uri}");
    let done =
        world.post(&path("upload:records.jsonl")).text("application/jsonl", &text).expect(200).await.json();
    assert_eq!(done["refused_lines"], 4, "{done}");
    for (refused, line) in done["refused"].as_array().unwrap().iter().zip(1..) {
        assert_eq!(refused["line"], line, "{done}");
        assert!(refused["reason"].as_str().unwrap().contains("address of a file"), "{done}");
    }
    for uri in [format!("upload:{at}"), "upload:secret.md".to_owned(), "upload:../secret.md".to_owned()] {
        let text =
            format!("# Notes\n\n![vault]({address}) A lease is told apart by its term: [{at}]({at}).\n");
        world.post(&path(&uri)).text("text/markdown", &text).expect(200).await;
    }
    for uri in
        [address.clone(), address.replace("file:", "File:"), address.replace("file:", "file%3A"), at.clone()]
    {
        let refused = world.post(&path(&uri)).text("text/plain", "A fact about leases.").expect(400).await;
        assert_eq!(refused.json()["field"], "uri", "{uri}");
    }
    let found = world.get("/graphs/default/facts?query=combination%20vault%20nineteen").expect(200).await;
    assert!(!found.text.contains("nineteen"), "{}", found.text);
    let read = world.test.reopen().await;
    let sources = ackord_entities::graph::source::Entity::find().all(read.read()).await.unwrap();
    assert!(sources.len() >= 5, "{sources:?}");
    for source in sources {
        for uri in [Some(source.uri), source.canonical_url].into_iter().flatten() {
            assert!(!uri.to_lowercase().starts_with("file:"), "{uri}");
        }
    }
}
