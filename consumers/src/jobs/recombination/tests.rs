#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};

use ackord_entities::database::Database;
use ackord_entities::envelope::Message;
use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::synthesis_link::Part;
use ackord_entities::graph::{synthesis_link, synthesis_part_read, synthesis_version};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{Job, Regeneration, SuperSynthesis, Synthesis};
use ackord_entities::queue::state::JobState;
use ackord_graph::synthesis::{ExtractiveProducer, Parts, Run, WriteError, Written};
use ackord_producer::Publish;
use ackord_producer::broker::Broker;
use ackord_producer::syntheses::remove;
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, Statement};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::jobs::world::{GLACIERS, World, about, import, planned, registry};
use crate::jobs::writing::{give_up, keep, write};
use crate::testing::{StageOptions, eventually};
use crate::worker::{Worker, WorkerOptions};

/// Fails as often as it is told, then combines as the default does. Says when it is asked, and may be held.
#[derive(Debug, Default)]
struct Unsteady {
    failures: AtomicUsize,
    asked: Notify,
    hold: AtomicUsize,
    go: Notify,
}

#[async_trait]
impl Combiner for Unsteady {
    fn name(&self) -> &'static str {
        "unsteady"
    }

    async fn combine(&self, parts: &Parts, run: &Run<'_>) -> Result<Written, WriteError> {
        self.asked.notify_one();
        if self.hold.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            self.go.notified().await;
        }
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            return Ok(Written::NoText(NoText::empty(&parts.topic)));
        }
        ExtractiveCombiner.combine(parts, run).await
    }
}

async fn unsteady(backend: DbBackend) -> Option<(World, Arc<Unsteady>)> {
    let combiner = Arc::new(Unsteady::default());
    let handler = RecombinationHandler::new(Arc::clone(&combiner) as Arc<dyn Combiner>);
    let world = World::with(backend, |writer| registry(writer).with(handler)).await?;
    Some((world, combiner))
}

#[rstest]
#[tokio::test]
async fn a_failed_combination_keeps_what_was_good_and_is_done_again_without_its_parts(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some((mut world, combiner)) = unsteady(backend).await else { return };
    combiner.failures.store(1, Ordering::SeqCst);
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Leases", "Arctic glaciers"])).await;
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.error_code.as_deref()), (State::Error, Some("no_text")));
    assert_eq!(world.parts(id).await.len(), 2, "the links are there although nothing was combined");

    assert_eq!(world.regenerate(id).await.unwrap().kind, Recombination::KIND);
    world.quiet().await;
    assert_eq!((world.row(id).await.state, world.writer.times("Leases")), (State::Partial, 1));
    let good = world.text(id).await;

    // Another one fails: text, owner and visibility stay.
    combiner.failures.store(1, Ordering::SeqCst);
    import(&world.stage.database, "default", "glaciers.md", GLACIERS).await;
    world.regenerate(world.part(id, "Arctic glaciers").await.sub_id).await.unwrap();
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Error, Some(1)));
    assert_eq!((row.visibility, row.creator_id.as_deref()), (Visibility::Private, Some("anna")));
    assert_eq!(world.text(id).await, good);

    world.regenerate(id).await.unwrap();
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version, row.error_code), (State::Completed, Some(2), None));
    let versions = synthesis_version::all_of(world.stage.database.read(), id).await.unwrap();
    assert_eq!((versions.len(), versions[0].markdown.as_str()), (2, good.as_str()), "every version is kept");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn several_parts_that_are_written_again_are_combined_together(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some((mut world, combiner)) = unsteady(backend).await else { return };
    let topics = ["Leases", "The outbox", "Expired leases"];
    for topic in topics {
        world.writer.fail(topic);
    }
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&topics)).await;
    world.quiet().await;
    assert_eq!(world.row(id).await.error_code.as_deref(), Some("all_parts_failed"));
    for topic in topics {
        world.writer.heal(topic);
    }

    // The first comes back, and while it is combined the two others do.
    combiner.hold.store(1, Ordering::SeqCst);
    let before = world.jobs_of(Recombination::KIND).await.len();
    world.regenerate(world.part(id, "Leases").await.sub_id).await.unwrap();
    combiner.asked.notified().await;
    for topic in ["The outbox", "Expired leases"] {
        let job = world.regenerate(world.part(id, topic).await.sub_id).await.unwrap().job;
        assert_eq!(world.stage.ended(job).await.state, JobState::Succeeded);
    }
    let waiting = world.jobs_of(Recombination::KIND).await;
    assert_eq!(waiting.len(), before + 2, "one runs, one waits for both");
    combiner.go.notify_one();
    world.quiet().await;

    let row = world.row(id).await;
    assert_eq!(row.state, State::Completed, "{:?}", row.error_message);
    let first = synthesis_part_read::of(world.stage.database.read(), id, 1).await.unwrap();
    let first: Vec<Option<i32>> = first.into_iter().map(|part| part.sub_version).collect();
    assert_eq!(
        first,
        [Some(1), None, None],
        "a version notes what it has read, not what there was in the end"
    );
    let read = world.read(id).await;
    assert!(
        read.iter().all(|(_, version)| *version == Some(1)) && read.len() == 3,
        "the last has read all: {read:?}"
    );
    assert_eq!(world.jobs_of(Recombination::KIND).await.len(), before + 2);
    world.stage.stop().await;
}

/// How many messages wait for a lease that somebody has.
async fn waiting_for_a_lease(database: &Database) -> i64 {
    let sql = "SELECT count(*) FROM outbox WHERE waits_for IS NOT NULL";
    let row = database.read().query_one_raw(Statement::from_string(database.backend(), sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_two_workers_one_combines_a_whole_and_the_other_waits(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some((mut world, combiner)) = unsteady(backend).await else { return };
    let topics = ["Leases", "The outbox", "Expired leases", "Refused messages"];
    for topic in topics {
        world.writer.fail(topic);
    }
    world.stage.start(StageOptions::default());
    let stop = CancellationToken::new();
    let handler = RecombinationHandler::new(Arc::clone(&combiner) as Arc<dyn Combiner>);
    let other = Worker::new(
        world.stage.database.clone(),
        Arc::clone(&world.stage.broker) as Arc<dyn Broker>,
        registry(&world.writer).with(handler),
        world.stage.doorbell.clone(),
        WorkerOptions { name: "another".to_owned(), ..StageOptions::default().worker },
    );
    let other = tokio::spawn(other.unwrap().run(stop.clone()));
    let (id, _) = world.ask_super(&about(&topics)).await;
    world.quiet().await;
    for topic in topics {
        world.writer.heal(topic);
    }
    combiner.hold.store(1, Ordering::SeqCst);
    let before = world.jobs_of(Recombination::KIND).await.len();
    world.regenerate(world.part(id, "Leases").await.sub_id).await.unwrap();
    combiner.asked.notified().await;
    for topic in &topics[1..] {
        let job = world.regenerate(world.part(id, topic).await.sub_id).await.unwrap().job;
        assert_eq!(world.stage.ended(job).await.state, JobState::Succeeded);
    }
    eventually("the next combination has come to a worker, and waits", async || {
        (waiting_for_a_lease(&world.stage.database).await == 1).then_some(())
    })
    .await;
    let states: Vec<JobState> =
        world.jobs_of(Recombination::KIND).await[before..].iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Running, JobState::Pending], "one runs, one waits for all three");
    combiner.go.notify_one();
    world.quiet().await;
    assert_eq!((world.row(id).await.state, world.is_stale(id).await), (State::Completed, false));
    assert_eq!(world.jobs_of(Recombination::KIND).await.len(), before + 2);
    stop.cancel();
    other.await.unwrap();
    world.stage.stop().await;
}

/// Ends `part` badly in a transaction that is not committed yet.
async fn end(database: &Database, part: &Part) -> DatabaseTransaction {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let failure = Failure::new("test", "on purpose");
    let job = part.job_id.unwrap();
    give_up(part.sub_id, job, &failure, &Publish::at(now), &Tx::new(&tx, now)).await.unwrap();
    tx
}

/// Whether a transaction on this database waits for another one's lock.
async fn somebody_waits(database: &Database) -> bool {
    let sql = "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid \
               WHERE NOT l.granted AND a.datname = current_database()";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = database.read().query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index::<i64>(0).unwrap() > 0
}

#[rstest]
#[tokio::test]
async fn of_two_parts_that_end_in_overlapping_transactions_the_later_one_sees_the_other(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    let database = world.stage.database.clone();
    let id = planned(&database, &about(&["Leases", "The outbox"]), JobId::new()).await;
    let parts = world.parts(id).await;
    let first = end(&database, &parts[0]).await;
    let later = tokio::spawn({
        let (database, part) = (database.clone(), parts[1].clone());
        async move { end(&database, &part).await.commit().await.unwrap() }
    });
    // SQLite does not even begin the other one.
    if backend == DbBackend::Postgres {
        eventually("the later one waits, or is through", async || {
            (later.is_finished() || somebody_waits(&database).await).then_some(())
        })
        .await;
    }
    first.commit().await.unwrap();
    later.await.unwrap();
    assert_eq!(world.jobs_of(Recombination::KIND).await.len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_several_that_end_together_are_in_nobodys_way(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let topics = ["Leases", "The outbox", "Expired leases", "Refused messages"];
    for topic in topics {
        world.writer.fail(topic);
    }
    world.stage.start(StageOptions::default());
    let mut parts = Vec::new();
    for topic in topics {
        parts.push(world.ask(&Synthesis::about(topic)).await.0);
    }
    world.quiet().await;
    let mut wholes = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let existing = order.iter().map(|index| parts[*index]).collect();
        let job = SuperSynthesis { existing_synthesis_ids: existing, ..about(&["Arctic glaciers"]) };
        wholes.push(world.ask_super(&job).await.0);
    }
    world.quiet().await;
    for topic in topics {
        world.writer.heal(topic);
    }
    let held: Vec<_> = topics.iter().map(|topic| world.writer.hold(topic)).collect();
    let before = world.writer.written.lock().unwrap().len();
    for part in &parts {
        world.regenerate(*part).await.unwrap();
    }
    eventually("all four are being written again", async || {
        (world.writer.written.lock().unwrap().len() == before + 4).then_some(())
    })
    .await;
    for go in &held {
        go.notify_one();
    }
    world.quiet().await;
    for whole in wholes {
        let read = world.read(whole).await;
        assert_eq!(read.iter().filter(|(_, version)| *version == Some(1)).count(), 4, "{read:?}");
        assert_eq!(world.row(whole).await.state, State::Partial);
    }
    let jobs = world.jobs_of(Regeneration::KIND).await;
    assert!(jobs.iter().all(|job| job.state == JobState::Succeeded && job.attempt == 1));
    if backend == DbBackend::Postgres {
        let statement = Statement::from_string(
            backend,
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        );
        let row = world.stage.database.read().query_one_raw(statement).await.unwrap().unwrap();
        assert_eq!(row.try_get::<i64>("", "deadlocks").unwrap(), 0);
    }
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_combination_that_was_cut_off_between_its_part_and_its_publishing_happens_after_a_restart(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Leases", "Arctic glaciers"])).await;
    world.quiet().await;
    world.stage.stop().await;
    import(&world.stage.database, "default", "glaciers.md", GLACIERS).await;
    // Nobody relays: what the part's end publishes stays in the outbox.
    let part = world.part(id, "Arctic glaciers").await.sub_id;
    let job = world.regenerate(part).await.unwrap().job;
    world.stage.start(StageOptions { relay: false, ..StageOptions::default() });
    world.stage.deliver(message(job, &Regeneration::of(part))).await;
    assert_eq!(world.stage.ended(job).await.state, JobState::Succeeded);
    world.stage.kill().await;
    world.stage.lose_broker().await;
    let row = world.row(id).await;
    assert_eq!(
        (row.state, row.current_version),
        (State::Pending, Some(1)),
        "it is known that it is to be combined"
    );

    world.stage.recover().await;
    world.stage.start(StageOptions::default());
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Completed, Some(2)), "once in effect");
    world.stage.stop().await;
}

fn message<J: Job>(job: JobId, payload: &J) -> Message {
    Message {
        message_id: Some(job.to_string()),
        kind: Some(J::KIND.to_owned()),
        schema_version: Some(J::VERSION),
        seq: Some(1),
        body: serde_json::to_vec(payload).unwrap().into(),
        ..Message::default()
    }
}

/// Gives the failed `part` a text, as its worker would.
async fn write_by_hand(database: &Database, part: &Part) {
    let job = JobId::new();
    let composed =
        write(database.read(), &ExtractiveProducer, &Synthesis::about("Leases"), &Run::unwatched())
            .await
            .unwrap();
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    domain::start(&tx, part.sub_id, job, now).await.unwrap().unwrap();
    keep(part.sub_id, job, &composed, &Publish::at(now), &Tx::new(&tx, now)).await.unwrap();
    tx.commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn who_asks_for_a_combination_that_is_called_off_before_it_began_gets_another(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let database = world.stage.database.clone();
    let id = planned(&database, &about(&["Leases", "The outbox"]), JobId::new()).await;
    let parts = world.parts(id).await;
    for part in &parts {
        end(&database, part).await.commit().await.unwrap();
        world.cancel(part.job_id.unwrap()).await;
    }
    let first = world.row(id).await.job_id.unwrap();
    world.cancel(first).await;
    // A part is there now. It finds the combination that is about to be called off.
    write_by_hand(&database, &parts[0]).await;
    assert_eq!(world.jobs_of(Recombination::KIND).await.len(), 1);
    world.stage.start(StageOptions::default());
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Partial, Some(1)), "{:?}", row.error_message);
    let states: Vec<JobState> =
        world.jobs_of(Recombination::KIND).await.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Cancelled, JobState::Succeeded]);
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_part_that_is_removed_leaves_its_parents_out_of_date(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Leases", "The outbox"])).await;
    world.quiet().await;
    let part = world.part(id, "The outbox").await.sub_id;
    let tx = world.stage.database.begin().await.unwrap();
    let now = world.stage.database.clock().now(&tx).await.unwrap();
    let removed = remove(&tx, part, &Publish::at(now)).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(removed.parents, [id]);
    let parts = world.parts(id).await;
    assert_eq!((parts.len(), parts[0].topic.as_str()), (1, "Leases"));
    assert!(world.text(id).await.contains("table of messages"), "the text stays");
    assert!(world.is_stale(id).await);
    // It is not in error, but what it says is out of date: it may be combined again.
    world.regenerate(id).await.unwrap();
    world.quiet().await;
    assert!(!world.text(id).await.contains("table of messages"));
    assert!(!world.is_stale(id).await);
    assert_eq!(world.regenerate(id).await.unwrap_err().code(), "not_in_error");
    let tx = world.stage.database.begin().await.unwrap();
    assert!(remove(&tx, part, &Publish::at(now)).await.unwrap().is_none(), "it is gone");
    tx.rollback().await.unwrap();
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_part_that_is_removed_while_it_is_waited_for_holds_nobody_up(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let go = world.writer.hold("The outbox");
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Leases", "The outbox"])).await;
    let part = eventually("one part has ended and the other is being written", async || {
        let parts = synthesis_link::parts_of(world.stage.database.read(), id).await.ok()?;
        let ended = parts.iter().any(|part| part.topic == "Leases" && part.state == State::Completed);
        let other = parts.iter().find(|part| part.topic == "The outbox" && part.state == State::Running);
        other.filter(|_| ended).map(|part| part.sub_id)
    })
    .await;
    assert_eq!(world.row(id).await.state, State::Running);
    let tx = world.stage.database.begin().await.unwrap();
    let now = world.stage.database.clock().now(&tx).await.unwrap();
    remove(&tx, part, &Publish::at(now)).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    world.stage.doorbell.ring();
    go.notify_one();
    world.quiet().await;
    assert_eq!(world.row(id).await.state, State::Completed);
    let lost = world.jobs_of(Synthesis::KIND).await.into_iter().find(|job| job.state == JobState::Failed);
    assert_eq!(lost.unwrap().error_code.as_deref(), Some("not_running"), "its text was not stored");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_combination_that_nobody_can_make_is_refused_and_changes_nothing(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let go = world.writer.hold("The outbox");
    let (waiting, job) = world.ask_super(&about(&["Leases"])).await;
    world.cancel(job).await;
    world.stage.start(StageOptions::default());
    world.stage.ended(job).await;
    let (running, _) = world.ask_super(&about(&["The outbox"])).await;
    world.writer.asked.notified().await;
    let (single, _) = world.ask(&Synthesis::about("Leases")).await;
    for (id, code) in [
        (SynthesisId::new(), "not_found"),
        (single, "not_found"),
        (waiting, "not_planned"),
        (running, "parts_unfinished"),
    ] {
        let ended = world.stage.ended(world.stage.publish(&Recombination::of(id)).await).await;
        assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Failed, Some(code)));
    }
    assert_eq!(world.row(running).await.state, State::Running);
    go.notify_one();
    world.quiet().await;
    assert_eq!(world.row(running).await.state, State::Completed);
    assert_eq!(world.row(single).await.state, State::Completed);
    world.stage.stop().await;
}
