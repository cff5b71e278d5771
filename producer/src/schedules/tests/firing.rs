//! Ticks that are fired, once each.

use std::sync::Arc;

use ackord_entities::queue::outbox;
use ackord_entities::queue::schedule;
use ackord_entities::queue::schedule_tick::{FiredBy, TickOutcome};
use ackord_entities::testing::TestDatabase;
use ackord_test_servers::eventually;
use rstest::rstest;
use sea_orm::DbBackend;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use super::super::fire::fire;
use super::*;
use crate::story::{Audience, Story};

#[rstest]
#[tokio::test]
async fn a_tick_makes_one_job_with_its_message_and_the_job_knows_its_tick(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    let wish = ScheduleWish { payload: Some(r#"{"cups":2}"#), ..tea("0 * * * *") };
    assert_eq!(set(database, "hourly", wish).await.next_tick, Some(time("2027-01-01T13:00:00Z")));
    look(database).await;
    assert!(jobs(database).await.is_empty(), "it is not time");
    at(database, "2027-01-01T13:00:05Z").await;
    look(database).await;
    look(database).await;

    let other = test.reopen().await;
    let jobs = jobs(&other).await;
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].kind.as_str(), jobs[0].payload.as_str()), ("tea", r#"{"cups":2}"#));
    assert_eq!(outbox::of_jobs(other.read(), &[jobs[0].id]).await.unwrap().len(), 1);
    let ticks = ticks(&other, "hourly").await;
    assert_eq!(ticks.len(), 1);
    assert_eq!((ticks[0].outcome, ticks[0].fired_by), (TickOutcome::Fired, FiredBy::Tick));
    assert_eq!((ticks[0].planned_at, ticks[0].job_id), (time("2027-01-01T13:00:00Z"), Some(jobs[0].id)));
    let schedule = there(&other, "hourly").await;
    assert_eq!(schedule.next_tick, Some(time("2027-01-01T14:00:00Z")));
    assert_eq!((schedule.last_job_id, schedule.version), (Some(jobs[0].id), 1));
    let story = Story::read(&other, jobs[0].id, Audience::Everybody, None).await.unwrap().unwrap();
    let by = story.schedule.unwrap();
    assert_eq!((by.name, by.planned_at), (name("hourly"), time("2027-01-01T13:00:00Z")));
    assert!(story.timeline[0].text.contains("schedule hourly, for its tick of 2027-01-01 13:00:00Z"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_schedulers_fire_one_tick_once(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    at(test.database(), "2027-01-01T12:30:00Z").await;
    set(test.database(), "hourly", tea("0 * * * *")).await;
    set(test.database(), "half-past", tea("0,30 * * * *")).await;
    // As several processes on a server; a file lets only one in.
    let mut processes = vec![test.database().clone()];
    if backend == DbBackend::Postgres {
        for _ in 1..5 {
            processes.push(test.reopen().await);
        }
    }
    a_hundred_look_at(&processes, "2027-01-01T13:10:00Z").await;
    let other = test.reopen().await;
    assert_eq!(told(&other, "hourly").await, ["01-01 13:00 missed 1"], "ten minutes are too late for it");
    assert_eq!(jobs(&other).await.len(), 0);
    let late = ScheduleWish { catch_up: Some(CatchUp::Last), ..ScheduleWish::default() };
    set(&processes[0], "hourly", late.clone()).await;
    set(&processes[0], "half-past", late).await;
    a_hundred_look_at(&processes, "2027-01-01T14:10:00Z").await;
    assert_eq!(told(&other, "hourly").await[1..], ["01-01 14:00 fired"]);
    assert_eq!(told(&other, "half-past").await[1..], ["01-01 13:30 missed 1", "01-01 14:00 fired"]);
    assert_eq!(jobs(&other).await.len(), 2, "one for each schedule");
}

async fn a_hundred_look_at(processes: &[Database], moment: &str) {
    for process in processes {
        at(process, moment).await;
    }
    let together = Arc::new(Barrier::new(100));
    let looks = (0..100).map(|number| {
        let (database, together) = (processes[number % processes.len()].clone(), Arc::clone(&together));
        tokio::spawn(async move {
            let mut scheduler = scheduler(&database);
            together.wait().await;
            scheduler.look(&CancellationToken::new()).await.unwrap();
        })
    });
    for look in looks.collect::<Vec<_>>() {
        look.await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn what_was_not_committed_is_left_to_the_next_scheduler_and_what_was_is_not_done_again(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    let id = set(database, "hourly", tea("0 * * * *")).await.id;
    at(database, "2027-01-01T13:00:10Z").await;
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let schedule = schedule::claim(&tx, id, now).await.unwrap().unwrap();
    assert_eq!(fire(&tx, &kinds(), &schedule, now).await.unwrap().len(), 1);
    if backend == DbBackend::Postgres {
        // Held by somebody who has not committed: another one passes it over and does not wait.
        let other = test.reopen().await;
        at(&other, "2027-01-01T13:00:10Z").await;
        look(&other).await;
        assert!(jobs(&other).await.is_empty());
    }
    // As when its process dies.
    tx.rollback().await.unwrap();
    look(database).await;
    assert_eq!(told(database, "hourly").await, ["01-01 13:00 fired"]);
    assert_eq!(jobs(database).await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_tick_that_is_written_down_is_never_fired_again_even_if_the_next_tick_says_so(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    let id = set(database, "hourly", tea("0 * * * *")).await.id;
    at(database, "2027-01-01T13:00:10Z").await;
    look(database).await;
    let tx = database.begin().await.unwrap();
    schedule::advance(&tx, id, Some(time("2027-01-01T13:00:00Z")), None).await.unwrap();
    tx.commit().await.unwrap();
    look(database).await;
    assert_eq!(told(database, "hourly").await, ["01-01 13:00 fired"]);
    assert_eq!(jobs(database).await.len(), 1);
    assert_eq!(there(database, "hourly").await.next_tick, Some(time("2027-01-01T14:00:00Z")));
}

#[rstest]
#[tokio::test]
async fn an_overlap_is_skipped_with_the_job_that_is_in_the_way_or_allowed(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "one-at-a-time", tea("0 * * * *")).await;
    set(database, "as-they-come", allowing(tea("5 * * * *"))).await;
    for hour in 13..16 {
        at(database, &format!("2027-01-01T{hour}:00:10Z")).await;
        look(database).await;
        at(database, &format!("2027-01-01T{hour}:05:10Z")).await;
        look(database).await;
    }
    let ticks = ticks(database, "one-at-a-time").await;
    let outcomes: Vec<TickOutcome> = ticks.iter().map(|tick| tick.outcome).collect();
    assert_eq!(outcomes, [TickOutcome::Fired, TickOutcome::Overlap, TickOutcome::Overlap]);
    let first = ticks[0].job_id.unwrap();
    assert!(ticks[1..].iter().all(|tick| tick.holder_id == Some(first)));
    let allowed = told(database, "as-they-come").await;
    assert_eq!(allowed, ["01-01 13:05 fired", "01-01 14:05 fired", "01-01 15:05 fired"]);
    end(database, first).await;
    at(database, "2027-01-01T16:00:10Z").await;
    look(database).await;
    assert_eq!(told(database, "one-at-a-time").await[3], "01-01 16:00 fired");
}

#[rstest]
#[tokio::test]
async fn a_job_that_has_the_dedup_key_already_is_named(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    let milk = ScheduleWish { kind: Some("milk"), ..tea("0 * * * *") };
    set(database, "bottle", allowing(milk)).await;
    for hour in 13..15 {
        at(database, &format!("2027-01-01T{hour}:00:10Z")).await;
        look(database).await;
    }
    let ticks = ticks(database, "bottle").await;
    assert_eq!((ticks[0].outcome, ticks[1].outcome), (TickOutcome::Fired, TickOutcome::Duplicate));
    assert_eq!(ticks[1].holder_id, ticks[0].job_id);
    assert_eq!((ticks[1].job_id, jobs(database).await.len()), (None, 1));
}

#[tokio::test]
async fn a_look_says_how_long_nothing_is_to_be_done() {
    let test = TestDatabase::sqlite().await;
    let database = test.database();
    let poll = Duration::from_secs(600);
    let options = SchedulerOptions { poll };
    let mut scheduler = Scheduler::new(database.clone(), kinds(), Doorbell::default(), options);
    let stop = CancellationToken::new();
    assert_eq!(scheduler.look(&stop).await.unwrap(), poll);
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", tea("0 * * * *")).await;
    assert_eq!(scheduler.look(&stop).await.unwrap(), poll, "the next tick is further away");
    at(database, "2027-01-01T12:55:00Z").await;
    let pause = scheduler.look(&stop).await.unwrap();
    assert!(pause > Duration::ZERO && pause <= Duration::from_secs(300), "{pause:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_running_scheduler_fires_when_the_time_has_come_and_says_that_it_looks(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    set(database, "each-second", allowing(tea("* * * * * *"))).await;
    let scheduler = scheduler(database);
    let (health, stop) = (scheduler.health(), CancellationToken::new());
    assert!(!health.is_good(), "it has not looked yet");
    let running = tokio::spawn(scheduler.run(stop.clone()));
    eventually("three seconds bring three jobs", Duration::from_secs(60), || async {
        (jobs(database).await.len() >= 3).then_some(())
    })
    .await;
    assert!(health.is_good(), "{:?}", health.conditions());
    stop.cancel();
    running.await.unwrap();
    let ticks = ticks(database, "each-second").await;
    assert!(ticks.iter().all(|tick| tick.recorded_at >= tick.planned_at), "{ticks:?}");
}
