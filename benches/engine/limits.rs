//! What the same disk and the same database give without the engine: the most that could be reached.

use std::io::Write;
use std::time::{Duration, Instant};

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job::{self, NewJob, Origin, Transition};
use ackord_entities::queue::state::JobState;

use crate::figures::percentile_ms;
use crate::kinds::{note, write_one, write_set};
use crate::stage::{BATCH, folder, open};

/// How long the disk takes to keep a block: p50 and p99 in milliseconds of appending 4 KiB and `fdatasync`.
pub(crate) fn fsync(times: usize) -> (f64, f64) {
    let folder = folder();
    let mut file = std::fs::File::create(folder.path().join("blocks")).unwrap();
    let mut taken: Vec<Duration> = (0..times)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    taken.sort_unstable();
    (percentile_ms(&taken, 0.5), percentile_ms(&taken, 0.99))
}

pub(crate) const NAMES: [&str; 3] = [
    "the effect rows alone, as a set",
    "the effect rows alone, one statement each",
    "the worker's statements alone (lock, effect as a set, end)",
];

/// Rows per second in transactions of `group` rows, in the order of [`NAMES`].
pub(crate) async fn of_group(rows: usize, group: usize) -> Vec<f64> {
    vec![as_sets(rows, group).await, one_by_one(rows, group).await, worker_statements(rows, group).await]
}

fn effects(rows: usize) -> Vec<(JobId, String)> {
    (0..rows).map(|number| (JobId::new(), note(number))).collect()
}

async fn as_sets(rows: usize, group: usize) -> f64 {
    let folder = folder();
    let database = open(folder.path()).await;
    let effects = effects(rows);
    let begun = Instant::now();
    for group in effects.chunks(group) {
        let tx = database.begin().await.unwrap();
        write_set(&tx, group).await.unwrap();
        tx.commit().await.unwrap();
    }
    rate(database, rows, begun).await
}

async fn one_by_one(rows: usize, group: usize) -> f64 {
    let folder = folder();
    let database = open(folder.path()).await;
    let effects = effects(rows);
    let begun = Instant::now();
    for group in effects.chunks(group) {
        let tx = database.begin().await.unwrap();
        for (id, note) in group {
            write_one(&tx, *id, note).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    rate(database, rows, begun).await
}

/// What a worker's transaction has to say to the database, said by a loop.
async fn worker_statements(rows: usize, group: usize) -> f64 {
    let folder = folder();
    let database = open(folder.path()).await;
    let effects = effects(rows);
    for batch in effects.chunks(BATCH) {
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let jobs: Vec<NewJob> = batch.iter().map(|(id, note)| pending(*id, note)).collect();
        job::insert(&tx, &jobs, now).await.unwrap();
        tx.commit().await.unwrap();
    }
    let begun = Instant::now();
    for group in effects.chunks(group) {
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let ids: Vec<JobId> = group.iter().map(|(id, _)| *id).collect();
        assert_eq!(job::lock(&tx, &ids).await.unwrap().len(), group.len());
        write_set(&tx, group).await.unwrap();
        let ends: Vec<Transition> = ids.into_iter().map(succeeded).collect();
        assert_eq!(job::transition(&tx, &ends, now).await.unwrap(), group.len() as u64);
        tx.commit().await.unwrap();
    }
    rate(database, rows, begun).await
}

async fn rate(database: Database, rows: usize, begun: Instant) -> f64 {
    let seconds = begun.elapsed().as_secs_f64();
    database.close().await;
    rows as f64 / seconds
}

fn pending(id: JobId, note: &str) -> NewJob {
    NewJob {
        id,
        kind: "load",
        version: 1,
        origin: Origin::Enqueue,
        max_attempts: 5,
        payload: format!("{{\"number\":1,\"note\":\"{note}\"}}"),
        subject: None,
        dedup_key: None,
        parent_id: None,
        traceparent: None,
    }
}

fn succeeded(id: JobId) -> Transition {
    Transition {
        id,
        seq: 1,
        next_seq: 1,
        state: JobState::Succeeded,
        attempt: 1,
        deferrals: 0,
        started_at: None,
        error: None,
        result: None,
    }
}
