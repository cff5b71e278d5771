//! A super-synthesis from its plan to the removal of a part, as readers see it.

use ackord_entities::graph::synthesis_link;
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{SubConfig, SuperSynthesis, Synthesis};
use ackord_entities::queue::api_token::ApiRole;
use ackord_graph::synthesis::document::Document;
use ackord_graph::synthesis::{
    Combination, ComposedText, GraphPlanner, NewPart, PlanRequest, Run, begin_combining, find_graph, gather,
    plan, start, store_combination, store_plan,
};
use ackord_producer::Publish;
use ackord_producer::syntheses::part_ended;
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::graphs::import;
use crate::syntheses::{Asked, LEASES, break_down, write};
use crate::world::World;

/// Plans as the worker of the job would: the parts are pending.
async fn planned(world: &World, whole: &Asked, topics: &[&str]) -> Vec<Asked> {
    let database = world.database();
    let given: Vec<SubConfig> = topics.iter().map(|topic| SubConfig::about(*topic)).collect();
    let graph = find_graph(database.read(), "default").await.unwrap().unwrap();
    let request = PlanRequest { graph, topic: "Jobs", given: &given, scope_count: 0, existing: &[] };
    let plan = plan(database.read(), &GraphPlanner, &request, &Run::unwatched()).await.unwrap();
    let parts: Vec<(JobId, Synthesis, String)> = given
        .iter()
        .map(|part| SuperSynthesis::about("Jobs").part(part))
        .map(|part| (JobId::new(), serde_json::to_string(&part).unwrap(), part))
        .map(|(job, input, part)| (job, part, input))
        .collect();
    let new: Vec<NewPart<'_>> =
        parts.iter().map(|(job, part, input)| NewPart { job: *job, topic: &part.topic, input }).collect();
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    start(&tx, whole.id, whole.job, now).await.unwrap().unwrap();
    let ids = store_plan(&tx, whole.id, whole.job, &plan, &new, &[], now).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    ids.into_iter().zip(parts).map(|(id, (job, ..))| Asked { id, job }).collect()
}

/// Tells the whole that a part has ended. Answers the job that combines it, once there is one.
async fn ended(world: &World, part: &Asked) -> Option<JobId> {
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    let published = part_ended(&tx, part.id, &Publish::at(now)).await.unwrap();
    tx.commit().await.unwrap();
    published.first().map(|job| job.id)
}

async fn combined(world: &World, id: SynthesisId, job: JobId) {
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    begin_combining(&tx, id, job, now).await.unwrap().unwrap();
    let gathered = gather(&tx, id).await.unwrap().unwrap();
    let markdown = "Leases end by themselves.".to_owned();
    let text = ComposedText { document: Document::of(&markdown, &[], &[]), markdown };
    let outcome = gathered.outcome();
    let combination = Combination { text: &text, producer: "test", read: &gathered.read, outcome: &outcome };
    store_combination(&tx, id, job, &combination, &gathered.record(), now).await.unwrap().unwrap();
    tx.commit().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_super_synthesis_shows_how_far_its_parts_are_what_is_missing_and_when_it_is_out_of_date(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    import(&world, "upload:leases.md", LEASES).await;
    let anna = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let made = world
        .post("/super-syntheses")
        .token(&anna)
        .json(&json!({ "topic": "Jobs" }))
        .expect(202)
        .await
        .json();
    let read = |value: &Value| value.as_str().unwrap().to_owned();
    let whole = Asked { id: read(&made["id"]).parse().unwrap(), job: read(&made["job_id"]).parse().unwrap() };
    let path = format!("/syntheses/{}", whole.id);
    let shown = async || world.get(&path).token(&anna).expect(200).await.json();
    let far = async || {
        let progress = world.get(&format!("{path}/progress")).token(&anna).expect(200).await.json();
        (read(&progress["status"]), progress["parts"].clone())
    };
    assert_eq!(far().await, ("pending".to_owned(), json!(null)));

    let parts = planned(&world, &whole, &["Leases", "Arctic glaciers"]).await;
    assert_eq!(far().await, ("running".to_owned(), json!({ "ended": 0, "total": 2 })));
    assert_eq!((read(&shown().await["state"]), &shown().await["text"]), ("running".to_owned(), &json!(null)));
    write(&world, &parts[0]).await;
    assert_eq!(ended(&world, &parts[0]).await, None);
    assert_eq!(far().await, ("running".to_owned(), json!({ "ended": 1, "total": 2 })));
    break_down(&world, &parts[1]).await;
    let job = ended(&world, &parts[1]).await.unwrap();
    assert_eq!(
        far().await,
        ("running".to_owned(), json!({ "ended": 2, "total": 2 })),
        "it is to be combined"
    );

    combined(&world, whole.id, job).await;
    assert_eq!(far().await.0, "completed");
    let detail = shown().await;
    assert_eq!(
        (read(&detail["state"]), read(&detail["error"]["code"])),
        ("partial".to_owned(), "parts_missing".to_owned())
    );
    assert!(read(&detail["error"]["message"]).contains("Arctic glaciers"), "{detail}");
    assert_eq!(
        (&detail["family"]["stale"], &detail["family"]["parts"][1]["error"]["code"]),
        (&json!(false), &json!("no_facts"))
    );
    let listed = world.get("/syntheses?state=partial").token(&anna).expect(200).await.json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["id"]), (1, &made["id"]));
    let part = world.get(&format!("/syntheses/{}", parts[0].id)).token(&anna).expect(200).await.json();
    assert_eq!(part["family"]["parents"], json!([whole.id]));

    let operator = world.token("o", ApiRole::Operator, None).await;
    world.call("DELETE", &format!("/syntheses/{}", parts[0].id)).token(&operator).expect(204).await;
    let detail = shown().await;
    assert_eq!(
        (&detail["family"]["stale"], detail["family"]["parts"].as_array().unwrap().len()),
        (&json!(true), 1)
    );
    assert_eq!(detail["version"], json!(1), "the text stays");
    let left = synthesis_link::parts_of(world.test.reopen().await.read(), whole.id).await.unwrap();
    assert_eq!(left.iter().map(|part| part.sub_id).collect::<Vec<_>>(), [parts[1].id]);
}
