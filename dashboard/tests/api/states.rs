//! Where syntheses stand, in lists, by themselves and as progress; and what the lists are narrowed to.

use ackord_entities::ids::SynthesisId;
use ackord_entities::queue::api_token::ApiRole;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};

use crate::graphs::import;
use crate::syntheses::{Asked, ask, break_down, write};
use crate::world::World;

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews its lease while it performs.\n";

async fn run_sql(world: &World, sql: &str) {
    world.database().write().execute_unprepared(sql).await.unwrap();
}

/// As the database writes an id.
fn literal(world: &World, id: SynthesisId) -> String {
    match world.database().backend() {
        DbBackend::Sqlite => format!("x'{}'", id.0.simple()),
        _ => format!("'{id}'"),
    }
}

/// A synthesis in each state.
async fn one_of_each(world: &World, token: &str) -> Vec<(&'static str, &'static str, Asked)> {
    let mut all = Vec::new();
    for (state, status) in [
        ("pending", "pending"),
        ("running", "running"),
        ("completed", "completed"),
        ("error", "failed"),
        ("partial", "completed"),
    ] {
        let asked = ask(world, token, json!({ "topic": "Leases" })).await;
        match state {
            "completed" | "partial" => write(world, &asked).await,
            "error" => break_down(world, &asked).await,
            _ => {}
        }
        let set = match state {
            "running" => "attempts = 1",
            // As a super-synthesis is that lacks a part.
            "partial" => {
                "error_code = 'missing_parts', error_message = 'in /var/secret.db', error_public = '1 of 2 parts is missing', \
                          error_at = updated_at"
            }
            _ => "attempts = attempts",
        };
        let id = literal(world, asked.id);
        let job = literal(world, SynthesisId(asked.job.0));
        run_sql(
            world,
            &format!("UPDATE write_syntheses SET state = '{state}', job_id = {job}, {set} WHERE id = {id}"),
        )
        .await;
        all.push((state, status, asked));
    }
    all
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_told_alike_in_the_list_by_itself_and_as_progress(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    import(&world, "upload:leases.md", LEASES).await;
    let token = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    for (state, status, asked) in one_of_each(&world, &token).await {
        let get = async |path: &str| world.get(path).token(&token).expect(200).await.json();
        let shown = get(&format!("/syntheses/{}", asked.id)).await;
        let progress = get(&format!("/syntheses/{}/progress", asked.id)).await;
        let list = get(&format!("/syntheses?state={state}")).await;
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{state}: {list}");
        let told =
            |of: &Value| (of["id"].clone(), of["state"].clone(), of["error"].clone(), of["version"].clone());
        assert_eq!(told(&shown), told(&items[0]), "{state}");
        assert_eq!(told(&shown), told(&progress), "{state}");
        assert_eq!((&shown["state"], &progress["status"]), (&json!(state), &json!(status)));
        let has_text = matches!(state, "completed" | "partial");
        assert_eq!((shown["text"].is_object(), shown["version"].is_i64()), (has_text, has_text), "{state}");
        let message = match state {
            "error" => json!("the graph says nothing about it"),
            "partial" => json!("1 of 2 parts is missing"),
            _ => Value::Null,
        };
        assert_eq!(shown["error"]["message"], message, "{state}");
        let all = format!("{shown}{progress}{list}");
        assert!(!all.contains("secret.db"), "{state}: {all}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_running_whole_are_counted_as_they_end(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    import(&world, "upload:leases.md", LEASES).await;
    let token = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let made =
        world.post("/super-syntheses").token(&token).json(&json!({ "topic": "Leases" })).expect(202).await;
    let whole: SynthesisId = made.json()["id"].as_str().unwrap().parse().unwrap();
    let mut parts = Vec::new();
    for _ in 0..3 {
        parts.push(ask(&world, &token, json!({ "topic": "Leases" })).await);
    }
    let id = literal(&world, whole);
    run_sql(
        &world,
        &format!("UPDATE write_syntheses SET state = 'running', attempts = 1, job_id = {id} WHERE id = {id}"),
    )
    .await;
    for (position, part) in parts.iter().enumerate() {
        let part = literal(&world, part.id);
        let sql = format!(
            "INSERT INTO write_synthesis_links (super_id, sub_id, position, origin) VALUES ({id}, {part}, {position}, 'planned')"
        );
        run_sql(&world, &sql).await;
    }
    let path = format!("/syntheses/{whole}/progress");
    for ended in 0..=3 {
        let progress = world.get(&path).token(&token).expect(200).await.json();
        assert_eq!(
            (&progress["status"], &progress["parts"]),
            (&json!("running"), &json!({ "ended": ended, "total": 3 })),
            "{progress}"
        );
        match parts.get(ended) {
            // Whatever became of it.
            Some(part) if ended == 1 => break_down(&world, part).await,
            Some(part) => write(&world, part).await,
            None => {}
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_together_and_a_page_goes_on_within_them(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    let anna = world.token("anna's", ApiRole::Publisher, Some("anna")).await;
    let ben = world.token("ben's", ApiRole::Publisher, Some("ben")).await;
    let mut failed = Vec::new();
    for number in 0..4 {
        let asked = ask(&world, &anna, json!({ "topic": format!("Topic {number}") })).await;
        ask(&world, &ben, json!({ "topic": format!("Topic {number}") })).await;
        if number > 0 {
            break_down(&world, &asked).await;
            failed.push(json!(asked.id));
        }
    }
    failed.reverse();
    let (mut seen, filters) =
        (Vec::new(), "creator=anna&state=error&visibility=public&type=synthesis&limit=2");
    let mut path = format!("/syntheses?{filters}");
    loop {
        let page = world.get(&path).token(&ben).expect(200).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        let mixed =
            world.get(&format!("/syntheses?creator=ben&cursor={cursor}")).token(&ben).expect(400).await;
        assert_eq!(mixed.problem(), "invalid_cursor");
        path = format!("/syntheses?{filters}&cursor={cursor}");
    }
    assert_eq!(seen, failed);
    for (query, field) in [
        ("state=sleeping", "state"),
        ("type=poem", "type"),
        ("visibility=secret", "visibility"),
        ("limit=201", "limit"),
        ("offset=3", "offset"),
    ] {
        let answer = world.get(&format!("/syntheses?{query}")).token(&ben).expect(400).await;
        assert!(answer.json()["field"] == field || answer.text.contains(field), "{query}: {}", answer.text);
    }
}
