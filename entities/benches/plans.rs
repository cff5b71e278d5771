//! Prints how Postgres runs the hot statements on a table of millions: `docs/postgres.md` has the short form.
//!
//!     ACKORD_PLANS_URL=postgres://postgres@127.0.0.1/ackord_plans cargo bench -p ackord-entities --bench plans
//!
//! The database must be there and the user a superuser (for `auto_explain`). An empty one is migrated and filled, which takes
//! minutes and gigabytes; the next run finds it filled. What is run is the engine's own code, rolled back at the end: first
//! with plans made anew, then with prepared (generic) ones, then without statistics. `ACKORD_PLANS_FINISHED` is the number of finished jobs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use ackord_entities::database::{Database, DatabaseOptions, Limits};
use ackord_entities::ids::JobId;
use ackord_entities::queue::job::{self, Transition};
use ackord_entities::queue::outbox::{self, Window};
use ackord_entities::queue::retention;
use ackord_entities::queue::state::JobState;
use ackord_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};

const EXPLAIN: [&str; 6] = [
    "session_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_analyze=on",
    "auto_explain.log_buffers=on",
    "auto_explain.log_timing=off",
    "auto_explain.log_level=notice",
];

const FILL: [&str; 5] = [
    "CREATE OR REPLACE FUNCTION ackord_v7(at timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ \
     SELECT encode(substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) || set_byte(substring(decode(md5(n::text), 'hex') \
     FROM 1 FOR 10), 0, 112 + (get_byte(decode(md5(n::text), 'hex'), 0) & 15)), 'hex')::uuid $$",
    "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, subject, created_at, finished_at, \
     error_code, error) SELECT ackord_v7(at, n), 'kind-' || n % 4, 1, CASE WHEN n % 500 = 0 THEN 'dead' ELSE 'succeeded' END, 1, 'enqueue', 1, \
     5, 0, '{\"note\":\"' || repeat('x', 100) || '\"}', CASE WHEN n % 10 = 0 THEN 'subject-' || n % 1000 END, at, at + interval '1 second', \
     CASE WHEN n % 500 = 0 THEN 'missing' END, CASE WHEN n % 500 = 0 THEN 'it is missing' END \
     FROM (SELECT n, now() - interval '14 days' + n * (interval '14 days' / $finished) AS at FROM generate_series(1, $finished) AS n) AS s",
    "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, created_at) \
     SELECT ackord_v7(at, n), 'kind-' || n % 4, 1, 'pending', 1, 'enqueue', 0, 5, 0, '{\"note\":\"' || repeat('x', 100) || '\"}', at \
     FROM (SELECT n, now() + n * interval '0.1 ms' AS at FROM generate_series(1, 200000) AS n) AS s",
    "INSERT INTO outbox (job_id, kind, seq, cause, due_at, sends, created_at) SELECT id, kind, 1, 'publish', now() - random() * interval '1 minute', \
     0, created_at FROM jobs WHERE state = 'pending' ORDER BY id LIMIT 100000",
    "DROP FUNCTION ackord_v7",
];

const FORGET: [&str; 2] = [
    "DELETE FROM pg_statistic WHERE starelid IN ('jobs'::regclass, 'outbox'::regclass)",
    "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN \
     ('jobs'::regclass, 'outbox'::regclass) UNION ALL VALUES ('jobs'::regclass::oid), ('outbox'::regclass::oid))",
];

#[tokio::main]
async fn main() {
    let Ok(url) = std::env::var("ACKORD_PLANS_URL") else {
        println!("ACKORD_PLANS_URL names no database: left out");
        return;
    };
    tracing_subscriber::fmt()
        .with_env_filter("sqlx::postgres::notice=info")
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    fill(&url).await;
    for mode in ["force_custom_plan", "force_generic_plan"] {
        println!("# {mode}");
        print(&explained(&url, mode).await, &[]).await;
    }
    println!("# force_generic_plan, without statistics");
    print(&explained(&url, "force_generic_plan").await, &FORGET).await;
}

async fn open(url: String) -> Database {
    let hours = std::time::Duration::from_secs(3600);
    let limits = Limits { statement: hours, answer: hours, ..Limits::default() };
    DatabaseOptions { limits, ..DatabaseOptions::new(url) }.open().await.unwrap()
}

async fn explained(url: &str, plan_cache_mode: &str) -> Database {
    let settings: Vec<String> = EXPLAIN.iter().map(|setting| format!("-c%20{setting}")).collect();
    let separator = if url.contains('?') { '&' } else { '?' };
    open(format!("{url}{separator}options={}%20-c%20plan_cache_mode={plan_cache_mode}", settings.join("%20")))
        .await
}

async fn fill(url: &str) {
    let database = open(url.to_owned()).await;
    let tx = database.begin_unlimited().await.unwrap();
    Migrator::up(&tx, None).await.unwrap();
    tx.commit().await.unwrap();
    let any = Statement::from_string(DbBackend::Postgres, "SELECT 1 FROM jobs LIMIT 1");
    if database.read().query_one_raw(any).await.unwrap().is_none() {
        let finished = std::env::var("ACKORD_PLANS_FINISHED").unwrap_or_else(|_| "5000000".to_owned());
        let tx = database.begin_unlimited().await.unwrap();
        for sql in FILL {
            tx.execute_unprepared(&sql.replace("$finished", &finished)).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    database.write().execute_unprepared("VACUUM (ANALYZE) jobs").await.unwrap();
    database.write().execute_unprepared("VACUUM (ANALYZE) outbox").await.unwrap();
    database.close().await;
}

/// Runs everything once, after `before`, and takes it back.
async fn print(database: &Database, before: &[&str]) {
    let tx = database.begin_unlimited().await.unwrap();
    for sql in before {
        tx.execute_unprepared(sql).await.unwrap();
    }
    let now = database.clock().now(&tx).await.unwrap();
    let waiting = job::Filter { states: vec![JobState::Pending], ..job::Filter::default() };
    let jobs = job::list(&tx, &waiting, 200).await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    outbox::next_due(&tx, database.clock()).await.unwrap();
    let due = outbox::claim_due(&tx, now, Window { messages: 1_000, bytes: u32::MAX }).await.unwrap();
    let sent: Vec<_> = due.iter().map(|one| (one.job_id, one.seq)).collect();
    outbox::remove_sent(&tx, &sent).await.unwrap();
    job::lock(&tx, &ids).await.unwrap();
    end(&tx, &ids, now).await;
    job::count_unfinished(&tx).await.unwrap();
    retention::finished(&tx, "kind-1", now - chrono::TimeDelta::days(13), None, 200).await.unwrap();
    outbox::reconcile(&tx, Some("kind-1"), now).await.unwrap();
    tx.rollback().await.unwrap();
}

async fn end(tx: &DatabaseTransaction, ids: &[JobId], now: chrono::DateTime<chrono::Utc>) {
    let ends: Vec<Transition> = ids
        .iter()
        .map(|id| Transition {
            id: *id,
            seq: 1,
            next_seq: 1,
            state: JobState::Succeeded,
            attempt: 1,
            deferrals: 0,
            started_at: None,
            error: None,
            result: None,
        })
        .collect();
    assert_eq!(job::transition(tx, &ends, now).await.unwrap(), ids.len() as u64);
}
