#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ackord_entities::database::Database;
use ackord_entities::ids::{GraphId, JobId};
use ackord_entities::jobs::SyncDispatch;
use ackord_entities::queue::job;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_graph::sync::SyncProvider;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait as _, Statement};
use tokio::sync::Notify;

use super::*;
use crate::jobs::SyncDispatchHandler;
use crate::jobs::world::{LEASES, OUTBOX, import};
use crate::registry::Registry;
use crate::testing::{Stage, StageOptions, eventually};

fn registry(handler: SyncCycleHandler) -> Registry {
    Registry::new().with(handler).with(SyncDispatchHandler)
}

async fn quiet(stage: &Stage) {
    eventually("every job has ended", async || {
        let jobs = job::Entity::find().all(stage.database.read()).await.ok()?;
        jobs.iter().all(|job| job.state.is_end()).then_some(())
    })
    .await;
}

async fn cycles(stage: &Stage, slug: &str) -> Vec<cycle::Model> {
    let other = stage.reopen().await;
    let found = cycle::newest(other.read(), graphs::id_of(slug), 100).await.unwrap();
    other.close().await;
    found
}

async fn count(database: &Database, what: &str) -> i64 {
    let sql = format!("SELECT count(*) AS n FROM {what}");
    let row = database.read().query_one_raw(Statement::from_string(database.backend(), sql)).await.unwrap();
    row.unwrap().try_get("", "n").unwrap()
}

#[rstest]
#[tokio::test]
async fn a_dispatch_copies_every_graph_and_a_second_one_finds_nothing_to_do(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let mut stage = Stage::new(test, registry(SyncCycleHandler::default())).await;
    import(&stage.database, "default", "leases.md", LEASES).await;
    import(&stage.database, "other", "outbox.md", OUTBOX).await;
    stage.start(StageOptions::default());
    let dispatch = stage.publish(&SyncDispatch {}).await;
    quiet(&stage).await;
    let other = stage.reopen().await;
    for (written, read) in [("write_facts", "facts"), ("write_nodes", "nodes"), ("write_edges", "edges")] {
        assert_eq!(count(&other, read).await, count(&other, written).await, "{read}");
    }
    let fence = count(&other, "ackord_fence WHERE fence_key = 'sync:default' AND term >= 1").await;
    assert_eq!(fence, 1, "the term of the lease stands where it is written");
    let result = stage.job(dispatch).await.result.unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&result).unwrap(),
        json!({"published": 2, "waiting": 0})
    );
    for slug in ["default", "other"] {
        let cycles = cycles(&stage, slug).await;
        assert_eq!(cycles[0].outcome, CycleOutcome::Complete, "{:?}", cycles[0].error);
        assert!(cycles.iter().map(|cycle| cycle.moved).sum::<i64>() > 5);
        assert_eq!(
            (cycles[0].provider.as_str(), cycles[0].provider_resolution),
            ("default", Resolution::Default)
        );
    }
    stage.publish(&SyncDispatch {}).await;
    quiet(&stage).await;
    assert_eq!(cycles(&stage, "default").await[0].outcome, CycleOutcome::Idle);
    stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_cycle_whose_time_is_over_is_continued_by_another_job(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let handler = SyncCycleHandler::default().within(Duration::ZERO);
    let mut stage = Stage::new(test, registry(handler)).await;
    import(&stage.database, "default", "leases.md", LEASES).await;
    stage.start(StageOptions::default());
    let first = stage.publish(&SyncCycle::of("default")).await;
    quiet(&stage).await;
    let cycles = cycles(&stage, "default").await;
    assert!(cycles.len() > 5, "{}", cycles.len());
    assert_eq!(cycles[0].outcome, CycleOutcome::Complete);
    assert!(cycles[1..].iter().all(|cycle| cycle.outcome == CycleOutcome::Continued));
    assert_eq!(cycles.last().unwrap().job_id, first);
    assert_eq!(count(&stage.database, "facts").await, count(&stage.database, "write_facts").await);
    stage.stop().await;
}

#[tokio::test]
async fn a_graph_that_is_not_there_is_a_failure_that_names_it() {
    let test = TestDatabase::sqlite().await;
    let mut stage = Stage::new(test, registry(SyncCycleHandler::default())).await;
    stage.start(StageOptions::default());
    let job = stage.publish(&SyncCycle::of("nowhere")).await;
    let ended = stage.ended(job).await;
    assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Failed, Some("not_found")));
    assert!(ended.public_error.unwrap().contains("nowhere"));
    stage.stop().await;
}

/// A provider that does what it is told.
#[derive(Debug, Default)]
struct Scripted {
    initialised: AtomicUsize,
    failing: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    cycled: AtomicUsize,
    hold: Mutex<Option<Arc<Notify>>>,
    entered: Notify,
}

#[async_trait]
impl SyncProvider for Scripted {
    fn id(&self) -> &'static str {
        "scripted"
    }

    async fn initialise(&self) -> Result<(), SyncError> {
        self.initialised.fetch_add(1, Ordering::SeqCst);
        let fails = self.failing.load(Ordering::SeqCst) > 0;
        if fails {
            self.failing.fetch_sub(1, Ordering::SeqCst);
            return Err(SyncError::Other("not yet".to_owned()));
        }
        Ok(())
    }

    async fn cycle(&self, _: &SyncContext, _: &Progress) -> Result<Cycle, SyncError> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.entered.notify_one();
        let hold = self.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.notified().await;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.cycled.fetch_add(1, Ordering::SeqCst);
        let refused = |key: &str| {
            let record = failure::Record { table: "nodes", key: key.to_owned() };
            (record, Cause::Refused { code: "refused", error: "no".to_owned() })
        };
        let count = TableCount { moved: 1, failed: 3, ..TableCount::default() };
        Ok(Cycle {
            end: CycleEnd::Complete,
            held: vec![refused("a"), refused("b"), refused("c")],
            tables: [("nodes", count)].into(),
            ..Cycle::default()
        })
    }
}

async fn compose(database: &Database, slug: &str, composition: &str) -> GraphId {
    let now = database.clock().now(database.read()).await.unwrap();
    let id = graphs::ensure(database.write(), slug, now).await.unwrap();
    let sql = "UPDATE graphs SET composition = $1 WHERE id = $2";
    let values = [composition.into(), id.into()];
    database
        .write()
        .execute_raw(Statement::from_sql_and_values(database.backend(), sql, values))
        .await
        .unwrap();
    id
}

async fn scripted(backend: DbBackend) -> Option<(Stage, Arc<Scripted>)> {
    let test = TestDatabase::open(backend).await?;
    let provider = Arc::new(Scripted::default());
    let providers = Providers::default().with(Arc::clone(&provider) as Arc<dyn SyncProvider>);
    let handler = SyncCycleHandler::new(Arc::new(providers), Places::default());
    let stage = Stage::new(test, registry(handler)).await;
    compose(&stage.database, "default", r#"{"sync": "scripted"}"#).await;
    Some((stage, provider))
}

#[rstest]
#[tokio::test]
async fn the_provider_of_the_composition_runs_and_its_failures_are_told_everywhere(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some((mut stage, provider)) = scripted(backend).await else { return };
    stage.start(StageOptions::default());
    for _ in 0..5 {
        let job = stage.publish(&SyncCycle::of("default")).await;
        let ended = stage.ended(job).await;
        let result: serde_json::Value = serde_json::from_str(&ended.result.unwrap()).unwrap();
        assert_eq!((&result["failures"], &result["outcome"]), (&json!(3), &json!("partial")));
    }
    let newest = cycles(&stage, "default").await.remove(0);
    assert_eq!(
        (newest.outcome, newest.failed, newest.provider.as_str()),
        (CycleOutcome::Partial, 3, "scripted")
    );
    assert_eq!(newest.provider_resolution, Resolution::Composition);
    assert_eq!(provider.initialised.load(Ordering::SeqCst), 1, "made ready once for five cycles");
    assert_eq!(count(&stage.database, "sync_failures WHERE tries = 5 AND state = 'abandoned'").await, 3);
    stage.stop().await;
}

#[tokio::test]
async fn a_provider_that_was_not_ready_is_asked_again() {
    let (mut stage, provider) = scripted(DbBackend::Sqlite).await.unwrap();
    provider.failing.store(1, Ordering::SeqCst);
    stage.start(StageOptions::default());
    let job = stage.publish(&SyncCycle::of("default")).await;
    eventually("the attempt has failed", async || {
        let job = job::find(stage.database.read(), job).await.ok()??;
        (job.error_code.as_deref() == Some("provider_not_ready")).then_some(())
    })
    .await;
    stage.database.clock().advance(Duration::from_secs(600));
    stage.doorbell.ring();
    assert_eq!(stage.ended(job).await.state, JobState::Succeeded);
    assert_eq!(provider.initialised.load(Ordering::SeqCst), 2);
    stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn of_two_cycles_of_a_graph_one_waits_for_the_other_and_another_graph_does_not(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some((mut stage, provider)) = scripted(backend).await else { return };
    compose(&stage.database, "other", r#"{"sync": "scripted"}"#).await;
    let hold = Arc::new(Notify::new());
    *provider.hold.lock().unwrap() = Some(Arc::clone(&hold));
    stage.start(StageOptions::default());
    let first = stage.publish(&SyncCycle::of("default")).await;
    provider.entered.notified().await;
    // It let go of its dedup key when it began: this one is another job, and waits for the lease.
    let second = stage.publish(&SyncCycle::of("default")).await;
    assert_ne!(first, second);
    eventually("the second waits for the lease", async || {
        let row = ackord_entities::queue::outbox::Entity::find_by_id(second)
            .one(stage.database.read())
            .await
            .ok()??;
        (row.waits_for.as_deref() == Some("sync:default")).then_some(())
    })
    .await;
    let third = stage.publish(&SyncCycle::of("default")).await;
    assert_eq!(third, second, "one waits at most");
    stage.publish(&SyncCycle::of("other")).await;
    provider.entered.notified().await;
    assert_eq!(provider.most.load(Ordering::SeqCst), 2, "the two graphs at once, one graph never");
    *provider.hold.lock().unwrap() = None;
    hold.notify_waiters();
    quiet(&stage).await;
    assert_eq!(provider.most.load(Ordering::SeqCst), 2);
    assert_eq!(provider.cycled.load(Ordering::SeqCst), 3);
    stage.stop().await;
}

#[tokio::test]
async fn an_unknown_provider_puts_the_cycle_off_and_the_reason_is_there() {
    let test = TestDatabase::sqlite().await;
    let mut stage = Stage::new(test, registry(SyncCycleHandler::default())).await;
    compose(&stage.database, "default", r#"{"sync": "elsewhere"}"#).await;
    stage.start(StageOptions::default());
    let id: JobId = stage.publish(&SyncCycle::of("default")).await;
    let reason = eventually("the job is put off", async || {
        let row = ackord_entities::queue::outbox::Entity::find_by_id(id)
            .one(stage.database.read())
            .await
            .ok()??;
        row.reason
    })
    .await;
    assert!(reason.contains("`elsewhere`") && reason.contains("it has default"), "{reason}");
    let row = stage.job(id).await;
    assert_eq!((row.state, row.attempt), (JobState::Pending, 0), "put off, no attempt");
    stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_graph_that_nobody_copies_notes_no_changes_and_is_copied_as_a_whole_later(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let mut stage = Stage::new(test, registry(SyncCycleHandler::default())).await;
    import(&stage.database, "default", "leases.md", LEASES).await;
    stage.start(StageOptions::default());
    stage.publish(&SyncCycle::of("default")).await;
    quiet(&stage).await;
    assert_eq!(count(&stage.database, "write_followers").await, 1);
    let copied = count(&stage.database, "facts").await;
    compose(&stage.database, "default", r#"{"sync": "none"}"#).await;
    stage.publish(&SyncCycle::of("default")).await;
    quiet(&stage).await;
    import(&stage.database, "default", "outbox.md", OUTBOX).await;
    stage.publish(&SyncCycle::of("default")).await;
    quiet(&stage).await;
    for noted in ["write_followers", "write_changes"] {
        assert_eq!(count(&stage.database, noted).await, 0, "{noted}");
    }
    assert_eq!(count(&stage.database, "facts").await, copied, "what is there stays");
    compose(&stage.database, "default", "{}").await;
    eventually("everything is copied", async || {
        stage.publish(&SyncCycle::of("default")).await;
        quiet(&stage).await;
        let written = count(&stage.database, "write_facts").await;
        (count(&stage.database, "facts").await == written && written > copied).then_some(())
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn a_composition_that_cannot_be_read_is_a_dead_letter_and_a_failed_cycle() {
    let test = TestDatabase::sqlite().await;
    let mut stage = Stage::new(test, registry(SyncCycleHandler::default())).await;
    compose(&stage.database, "default", "[not json").await;
    stage.start(StageOptions::default());
    let id = stage.publish(&SyncCycle::of("default")).await;
    assert_eq!(stage.ended(id).await.state, JobState::Dead);
    let newest = cycles(&stage, "default").await.remove(0);
    assert_eq!(newest.outcome, CycleOutcome::Failed);
    assert!(newest.error.unwrap().contains("composition"));
    stage.stop().await;
}

/// The slow half ends, and the process dies before it is committed; then again after the commit, before the ack.
#[rstest]
#[tokio::test]
async fn a_worker_that_is_killed_between_the_halves_loses_and_doubles_nothing(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some((mut stage, provider)) = scripted(backend).await else { return };
    let hold = Arc::new(Notify::new());
    *provider.hold.lock().unwrap() = Some(Arc::clone(&hold));
    stage.start(StageOptions::default());
    let id = stage.publish(&SyncCycle::of("default")).await;
    provider.entered.notified().await;
    stage.kill().await;
    *provider.hold.lock().unwrap() = None;
    stage.recover().await;
    stage.start(StageOptions::default());
    assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
    assert_eq!(cycles(&stage, "default").await.len(), 1, "one cycle counts");
    stage.stop().await;
}

/// What the registry says of ids it does not know: a warning once for each graph and id.
#[tokio::test]
async fn an_unknown_provider_is_warned_of_once_for_each_graph() {
    let providers = Providers::default();
    let [first, second] =
        ["first", "second"].map(|name| GraphId::derived(sea_orm::prelude::Uuid::nil(), name));
    let said = Said::default();
    let _listening = tracing::subscriber::set_default(said.clone());
    for _ in 0..60 {
        let error = providers.resolve(first, Some(r#"{"sync": "elsewhere"}"#)).await.unwrap_err();
        assert!(matches!(&error, ResolveError::Unknown { id, .. } if id == "elsewhere"), "{error}");
    }
    assert_eq!(said.lines(), [1, 59]);
    providers.resolve(second, Some(r#"{"sync": "elsewhere"}"#)).await.unwrap_err();
    assert_eq!(said.lines(), [2, 59], "another graph warns for itself");
    for empty in [None, Some("{}")] {
        let resolved = providers.resolve(first, empty).await.unwrap();
        assert_eq!((resolved.provider.id(), resolved.resolution), ("default", Resolution::Default));
    }
}

/// Counts what the registry says.
#[derive(Clone, Default)]
struct Said(Arc<[AtomicUsize; 2]>);

impl Said {
    /// Warnings, and what is for those who look for something.
    fn lines(&self) -> [usize; 2] {
        [0, 1].map(|level| self.0[level].load(Ordering::SeqCst))
    }
}

impl tracing::Subscriber for Said {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "ackord_graph::sync::registry"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let level = usize::from(*event.metadata().level() != tracing::Level::WARN);
        self.0[level].fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
