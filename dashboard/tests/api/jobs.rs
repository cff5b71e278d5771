//! Publishing jobs, listing them, and what operators do to them.

use std::collections::HashSet;

use ackord_entities::ids::JobId;
use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::queue::job::{self, ErrorText, Transition};
use ackord_entities::queue::outbox;
use ackord_entities::queue::state::JobState;
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::world::World;

fn id_of(answer: &Value) -> JobId {
    answer["id"].as_str().unwrap().parse().unwrap()
}

async fn publish(world: &World, topic: &str) -> JobId {
    id_of(&world.post("/kinds/synthesis/jobs").json(&json!({ "topic": topic })).expect(202).await.json())
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_published_job_and_its_message_are_there_when_the_answer_is(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let answer = world.post("/kinds/synthesis/jobs").json(&json!({ "topic": "Leases" })).expect(202).await;
    let id = id_of(&answer.json());
    assert_eq!(answer.header("location"), Some(format!("/api/v1/jobs/{id}").as_str()));
    let other = world.test.reopen().await;
    let row = job::find(other.read(), id).await.unwrap().unwrap();
    assert_eq!(
        (row.kind.as_str(), row.state, row.payload.as_str()),
        ("synthesis", JobState::Pending, r#"{"topic":"Leases"}"#)
    );
    assert_eq!(outbox::of_jobs(other.read(), &[id]).await.unwrap().len(), 1);

    let story = world.get(&format!("/jobs/{id}")).expect(200).await.json();
    assert_eq!((&story["job"]["state"], &story["payload"]["topic"]), (&json!("queued"), &json!("Leases")));
    assert_eq!(story["why_not_running"][0]["code"], "sending");
    assert_eq!(story["timeline"][0]["what"], "published");

    let later = world
        .post("/kinds/synthesis/jobs?delay_seconds=3600")
        .json(&json!({ "topic": "Later" }))
        .expect(202)
        .await;
    let story = world.get(&format!("/jobs/{}", id_of(&later.json()))).expect(200).await.json();
    assert_eq!(story["job"]["state"], "scheduled");
    world
        .post("/kinds/synthesis/jobs?delay_seconds=400000000")
        .json(&json!({ "topic": "x" }))
        .expect(400)
        .await;
    let unknown = world.post("/kinds/sinthesis/jobs").json(&json!({})).expect(404).await;
    assert!(unknown.json()["detail"].as_str().unwrap().contains("synthesis"));
    world.get(&format!("/jobs/{}", JobId::new())).expect(404).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_publishes_once_and_is_each_callers_own(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let anna = world.token("anna", ApiRole::Publisher, None).await;
    let ben = world.token("ben", ApiRole::Publisher, None).await;
    let send = |token: &str, topic: &str| {
        world
            .post("/kinds/synthesis/jobs")
            .token(token)
            .header("idempotency-key", "k1")
            .json(&json!({ "topic": topic }))
    };
    let first = send(&anna, "Leases").expect(202).await;
    let again = send(&anna, "Leases").expect(202).await;
    assert_eq!((first.json(), first.header("location")), (again.json(), again.header("location")));
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
    let other = send(&anna, "Outbox").expect(422).await;
    assert_eq!(
        (other.problem().as_str(), &other.json()["field"]),
        ("idempotency_key_reused", &json!("idempotency-key"))
    );
    assert_ne!(send(&ben, "Leases").expect(202).await.json()["id"], first.json()["id"]);
    let all = job::list(world.test.reopen().await.read(), &job::Filter::default(), 10).await.unwrap();
    assert_eq!(all.len(), 2);
    let empty = world
        .post("/kinds/synthesis/jobs")
        .token(&anna)
        .header("idempotency-key", " ")
        .json(&json!({ "topic": "x" }));
    empty.expect(400).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_at_the_same_time_publishes_once(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let send = || {
        world
            .post("/kinds/synthesis/jobs")
            .header("idempotency-key", "k1")
            .json(&json!({ "topic": "Leases" }))
    };
    let answers = futures::future::join_all((0..6).map(|_| send().send())).await;
    let ids: HashSet<JobId> = answers.iter().map(|answer| id_of(&answer.json())).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(job::list(world.database().read(), &job::Filter::default(), 10).await.unwrap().len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_where_its_page_ended_and_each_filter_narrows(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let mut published = Vec::new();
    for number in 0..5 {
        published.push(publish(&world, &format!("Topic {number}")).await);
    }
    published.reverse();
    let (mut seen, mut path) = (Vec::new(), "/jobs?limit=2&kind=synthesis".to_owned());
    loop {
        let page = world.get(&path).expect(200).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(id_of));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        // Somebody publishes meanwhile: nothing is seen twice or missed.
        publish(&world, "Meanwhile").await;
        path = format!("/jobs?limit=2&kind=synthesis&cursor={cursor}");
    }
    assert_eq!(seen, published);
    let cursor =
        world.get("/jobs?limit=2").expect(200).await.json()["next_cursor"].as_str().unwrap().to_owned();
    let mixed_up = world.get(&format!("/jobs?limit=2&kind=synthesis&cursor={cursor}")).expect(400).await;
    assert_eq!(mixed_up.problem(), "invalid_cursor");
    let mut tampered = cursor.clone().into_bytes();
    tampered[20] = if tampered[20] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    assert_eq!(
        world.get(&format!("/jobs?limit=2&cursor={tampered}")).expect(400).await.problem(),
        "invalid_cursor"
    );

    let count = async |query: &str| {
        world.get(&format!("/jobs?{query}")).expect(200).await.json()["items"].as_array().unwrap().len()
    };
    assert_eq!(count("state=queued").await, 7);
    assert_eq!(count("state=scheduled,retrying").await, 0);
    assert_eq!(count("kind=replay").await, 0);
    assert_eq!(count("subject=graph:default&state=queued,failed").await, 7);
    assert_eq!(count(&format!("parent={}", JobId::new())).await, 0);
    assert_eq!(count("since=2999-01-01T00:00:00Z").await, 0);
    assert_eq!(count("since=2000-01-01T00:00:00Z").await, 7);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_since_a_moment_is_listed_whatever_the_publishers_clock_says(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let database = world.database();
    let now = database.clock().now(database.read()).await.unwrap();
    // By minutes: what the publisher's clock said when the id was made, what the database's said.
    let mut ids = Vec::new();
    for (made, created) in [(-50, 0), (50, 0), (0, -1), (-600, -600)] {
        let at = |minutes: i64| now + chrono::TimeDelta::minutes(minutes);
        let millis = u64::try_from(at(made).timestamp_millis()).unwrap();
        let id = JobId(uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid());
        let new = job::NewJob {
            id,
            kind: "synthesis",
            version: 1,
            origin: job::Origin::Enqueue,
            max_attempts: 1,
            payload: "{}".to_owned(),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
        };
        let tx = database.begin().await.unwrap();
        job::insert(&tx, &[new], at(created)).await.unwrap();
        tx.commit().await.unwrap();
        ids.push(id);
    }
    let since = async |moment: chrono::DateTime<chrono::Utc>| {
        let moment = moment.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let page = world.get(&format!("/jobs?since={moment}")).expect(200).await.json();
        page["items"].as_array().unwrap().iter().map(id_of).collect::<Vec<_>>()
    };
    assert_eq!(
        since(now).await,
        [ids[1], ids[0]],
        "clocks may differ by an hour, and a job is as old as its row"
    );
    let minute = chrono::TimeDelta::minutes(1);
    assert_eq!(since(now - minute).await, [ids[1], ids[2], ids[0]]);
    assert_eq!(since(now + minute).await, []);
    assert_eq!(since(now - minute * 600).await.len(), 4);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_called_off_and_run_now_and_an_ended_one_is_not(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let later = world
        .post("/kinds/synthesis/jobs?delay_seconds=3600")
        .json(&json!({ "topic": "Later" }))
        .expect(202)
        .await;
    let id = id_of(&later.json());
    let outcome = async |verb: &str| {
        let done =
            world.post(&format!("/jobs/{id}/{verb}")).json(&json!({ "reason": "a test" })).expect(200).await;
        done.json()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(outcome("retry").await, "due_now");
    assert_eq!(outcome("cancel").await, "cancel_requested");
    let story = world.get(&format!("/jobs/{id}")).expect(200).await.json();
    assert_eq!(story["why_not_running"][0]["code"], "called_off");
    assert!(
        story["timeline"].as_array().unwrap().iter().any(|event| event["text"] == "cancel by api: a test")
    );

    end(&world, id, JobState::Failed).await;
    let answer = world.post(&format!("/jobs/{id}/cancel")).expect(409).await;
    assert_eq!((answer.problem().as_str(), &answer.json()["state"]), ("already_ended", &json!("failed")));
    world.post(&format!("/jobs/{id}/retry")).expect(409).await;
    world.post(&format!("/jobs/{}/retry", JobId::new())).expect(404).await;
}

/// Ends a job as a worker would, with an error that has secrets in it.
async fn end(world: &World, id: JobId, state: JobState) {
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    let error = ErrorText {
        code: "refused".to_owned(),
        operator: "postgres://me:s3cret@db/jobs said SELECT no".to_owned(),
        public: "the server said no".to_owned(),
    };
    let transition = Transition {
        id,
        seq: 1,
        next_seq: 1,
        state,
        attempt: 1,
        deferrals: 0,
        started_at: None,
        error: Some(error),
        result: None,
    };
    assert_eq!(job::transition(&tx, &[transition], now).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn causes_and_payloads_are_for_operators(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let id = publish(&world, "A secret topic").await;
    end(&world, id, JobState::Failed).await;
    let viewer = world.token("viewer", ApiRole::Viewer, None).await;
    let operator = world.token("operator", ApiRole::Operator, None).await;
    for path in [format!("/jobs/{id}"), "/jobs".to_owned(), format!("/jobs/{id}/progress")] {
        let answer = world.get(&path).token(&viewer).expect(200).await;
        for word in ["s3cret", "SELECT", "A secret topic"] {
            assert!(!answer.text.contains(word), "{path}: {}", answer.text);
        }
        assert!(answer.text.contains("the server said no"), "{path}: {}", answer.text);
        let answer = world.get(&path).token(&operator).expect(200).await;
        assert!(answer.text.contains("s3cret"), "{path}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_lends_himself_no_other_name_and_no_operators_verb() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    let anna = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let publish = |creator: &str| {
        world
            .post("/kinds/synthesis/jobs")
            .token(&anna)
            .json(&json!({ "topic": "Leases", "creator_id": creator }))
    };
    publish("anna").expect(202).await;
    assert_eq!(publish("ben").expect(403).await.json()["field"], "creator_id");
    let run = json!({ "run": "01890a5d-ac96-774b-bcce-b302099a8057" });
    let answer = world.post("/kinds/replay/jobs").token(&anna).json(&run).send().await;
    assert_eq!(answer.status, 403, "{}", answer.text);
}
