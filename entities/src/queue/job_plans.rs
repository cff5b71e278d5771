//! How Postgres finds the jobs of a group in a backlog that its statistics do not know of: by their ids, and not by reading the backlog.

#![allow(clippy::unwrap_used, reason = "tests")]

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, QuerySelect as _, QueryTrait as _, Statement,
};

use super::job::{self, NewJob, Origin, Transition};
use super::state::JobState;
use crate::clock::{Moment, machine_now};
use crate::ids::JobId;
use crate::testing::TestDatabase;

const BACKLOG: usize = 3_000;
const GROUP: usize = 10;

/// A database whose statistics are from an hour when everything was done, and the ids of what has come since.
async fn after_a_quiet_hour() -> Option<(TestDatabase, Vec<JobId>)> {
    let database = TestDatabase::postgres().await?;
    let put = async |count: usize| {
        let jobs: Vec<NewJob> = (0..count).map(|_| new()).collect();
        let tx = database.database().begin().await.unwrap();
        let ids = job::insert(&tx, &jobs, machine_now()).await.unwrap();
        tx.commit().await.unwrap();
        ids
    };
    put(BACKLOG).await;
    let write = database.database().write();
    write.execute_unprepared("UPDATE jobs SET state = 'succeeded', finished_at = now()").await.unwrap();
    write.execute_unprepared("VACUUM ANALYZE jobs").await.unwrap();
    let ids = put(BACKLOG).await;
    Some((database, ids))
}

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

/// Rows of the table that this transaction's statements have fetched through an index or read one after the other.
async fn rows_read(tx: &DatabaseTransaction) -> i64 {
    let sql = "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'jobs'";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    tx.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Ids and rows of an hour of three weeks ago.
async fn long_ago(database: &TestDatabase) {
    let then = machine_now() - chrono::TimeDelta::weeks(3);
    let millis = u64::try_from(then.timestamp_millis()).unwrap();
    let jobs: Vec<NewJob> = (0..BACKLOG)
        .map(|number| {
            let rest = [&[0; 6], &u32::try_from(number).unwrap().to_be_bytes()[..]].concat();
            let id = uuid::Builder::from_unix_timestamp_millis(millis, &rest.try_into().unwrap()).into_uuid();
            NewJob { id: JobId(id), ..new() }
        })
        .collect();
    let tx = database.database().begin().await.unwrap();
    job::insert(&tx, &jobs, then).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_was_published_lately_is_listed_without_reading_what_is_older() {
    let Some(database) = TestDatabase::postgres().await else { return };
    long_ago(&database).await;
    let lately: Vec<NewJob> = (0..GROUP).map(|_| new()).collect();
    let tx = database.database().begin().await.unwrap();
    job::insert(&tx, &lately, machine_now()).await.unwrap();
    tx.commit().await.unwrap();
    database.database().write().execute_unprepared("VACUUM ANALYZE jobs").await.unwrap();
    let since = Some(machine_now() - chrono::TimeDelta::days(1));
    let filter = job::Filter { since, ..job::Filter::default() };
    let tx = database.database().begin().await.unwrap();
    assert_eq!(job::list(&tx, &filter, 50).await.unwrap().len(), GROUP);
    assert!(rows_read(&tx).await <= 50, "{} rows for {GROUP} jobs", rows_read(&tx).await);
}

/// How SQLite runs a list.
async fn plan(database: &TestDatabase, filter: &job::Filter) -> String {
    let mut statement = job::listed(filter, DbBackend::Sqlite).limit(50).build(DbBackend::Sqlite);
    statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let rows = database.database().read().query_all_raw(statement).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
    lines.join("; ")
}

#[tokio::test]
async fn sqlite_lists_what_few_jobs_have_from_an_index() {
    let database = TestDatabase::sqlite().await;
    let all = job::Filter::default;
    let kind = || Some("apple".to_owned());
    for (filter, index) in [
        (job::Filter { states: vec![JobState::Failed], ..all() }, "jobs_ended_badly (state=?"),
        (
            job::Filter { states: vec![JobState::Dead, JobState::Failed], ..all() },
            "jobs_ended_badly (state=?",
        ),
        (
            job::Filter { kind: kind(), states: vec![JobState::Dead], ..all() },
            "jobs_ended_badly_by_kind (kind=? AND state=?",
        ),
        (
            job::Filter { kind: kind(), states: vec![JobState::Pending], ..all() },
            "jobs_unfinished (kind=? AND state=?",
        ),
        (job::Filter { since: Some(machine_now()), ..all() }, "sqlite_autoindex_jobs_1 (id>?"),
        (job::Filter { subject: kind(), ..all() }, "jobs_by_subject (subject=?"),
    ] {
        let plan = plan(&database, &filter).await;
        assert!(plan.starts_with("SEARCH") && plan.contains(index), "{filter:?}: {plan}");
    }
}

#[tokio::test]
async fn a_group_is_found_by_its_ids_whatever_the_statistics_say() {
    let Some((database, ids)) = after_a_quiet_hour().await else { return };
    let tx = database.database().begin().await.unwrap();
    let group: Vec<(JobId, i32)> = ids[..GROUP].iter().map(|id| (*id, 1)).collect();
    let ended = job::end_ahead(&tx, "apple", &group, Moment::At(machine_now())).await.unwrap();
    assert_eq!(ended.jobs.len(), GROUP);
    assert!(rows_read(&tx).await < 100, "{} rows for {GROUP} jobs", rows_read(&tx).await);
    let transitions: Vec<Transition> = ids[GROUP..2 * GROUP]
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
    assert_eq!(job::transition(&tx, &transitions, machine_now()).await.unwrap(), GROUP as u64);
    assert!(rows_read(&tx).await < 200, "{} rows for {GROUP} jobs more", rows_read(&tx).await);
}
