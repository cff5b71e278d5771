//! What a plan costs that Postgres made when the tables were almost empty and keeps for the backlog that follows.

#![allow(clippy::unwrap_used, reason = "tests")]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};

use super::job::{self, NewJob, Origin};
use super::outbox::{self, Cause, NewMessage, Window};
use crate::clock::{Clock, Moment, machine_now};
use crate::ids::JobId;
use crate::testing::TestDatabase;

const BACKLOG: usize = 5_000;
const GROUP: usize = 10;

fn new() -> NewJob {
    NewJob {
        id: JobId::new(),
        kind: "apple",
        version: 1,
        origin: Origin::Enqueue,
        max_attempts: 1,
        payload: "{}".to_owned(),
        subject: None,
        dedup_key: None,
        parent_id: None,
        traceparent: None,
    }
}

async fn waiting(tx: &DatabaseTransaction, count: usize, now: DateTime<Utc>) -> Vec<JobId> {
    let jobs: Vec<NewJob> = (0..count).map(|_| new()).collect();
    let ids = job::insert(tx, &jobs, now).await.unwrap();
    let message = |id: &JobId| NewMessage {
        job_id: *id,
        kind: "apple".to_owned(),
        seq: 1,
        cause: Cause::Publish,
        reason: None,
        waits_for: None,
        due_at: now,
    };
    let messages: Vec<NewMessage> = ids.iter().map(message).collect();
    outbox::put(tx, &messages, now).await.unwrap();
    ids
}

/// Rows of the tables that this transaction's statements have fetched through an index or read one after the other.
async fn rows_read(tx: &DatabaseTransaction) -> i64 {
    let sql = "SELECT sum(idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_xact_user_tables WHERE relname IN ('outbox', 'jobs')";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    tx.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// What a relay and a worker ask again and again, and the rows that each statement has read.
async fn work(tx: &DatabaseTransaction, ids: &[JobId]) -> Vec<(&'static str, i64)> {
    let clock = Clock::default();
    let now = machine_now() + TimeDelta::hours(1);
    let moment = Moment::At(now);
    let group: Vec<(JobId, i32)> = ids.iter().take(GROUP).map(|id| (*id, 1)).collect();
    let ids: Vec<JobId> = group.iter().map(|(id, _)| *id).collect();
    let window = Window { messages: 10, of_a_kind: 10, bytes: u32::MAX };
    let mut read = Vec::new();
    macro_rules! measured {
        ($name:literal, $call:expr) => {
            let before = rows_read(tx).await;
            $call.await.unwrap();
            read.push(($name, rows_read(tx).await - before));
        };
    }
    measured!("next_due", outbox::next_due(tx, &clock, &[]));
    measured!("next_due without a kind", outbox::next_due(tx, &clock, &["apple".to_owned()]));
    measured!("claim_due", outbox::claim_due(tx, moment, window, &[]));
    measured!("backlog", outbox::backlog(tx, now, 10));
    measured!("longest_due", outbox::longest_due(tx, "apple", now));
    measured!("of_jobs", outbox::of_jobs(tx, &ids));
    measured!("remove_sent", outbox::remove_sent(tx, &group));
    measured!("fences", job::fences(tx, &ids));
    measured!("lock", job::lock(tx, &ids));
    measured!("called_off", job::called_off(tx, &ids));
    measured!("end_ahead", job::end_ahead(tx, "apple", &group, moment));
    read
}

#[tokio::test]
async fn a_plan_from_when_the_tables_were_empty_reads_no_backlog() {
    let Some(test) = TestDatabase::postgres().await else { return };
    let database = test.database();
    let tx = database.begin().await.unwrap();
    waiting(&tx, BACKLOG, machine_now()).await;
    tx.commit().await.unwrap();
    for sql in ["DELETE FROM outbox", "DELETE FROM jobs", "VACUUM ANALYZE outbox", "VACUUM ANALYZE jobs"] {
        database.write().execute_unprepared(sql).await.unwrap();
    }
    // One connection for all of it: plans are kept by connection.
    let tx = database.begin().await.unwrap();
    tx.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.unwrap();
    let few = waiting(&tx, 2, machine_now()).await;
    work(&tx, &few).await;
    let ids = waiting(&tx, BACKLOG, machine_now()).await;
    let read = work(&tx, &ids).await;
    assert!(read.iter().all(|(_, rows)| *rows < 100), "rows of {BACKLOG}: {read:?}");
}
