//! Schedules that cannot be fired, and those beside them.

use ackord_entities::queue::schedule_tick::TickOutcome;
use ackord_entities::testing::TestDatabase;
use ackord_test_servers::eventually;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend};

use super::*;
use crate::upkeep::{Retention, RetentionOptions};

fn only_milk() -> Catalogue {
    Catalogue::new([KindSpec::of::<Milk>()])
}

/// Tea of another shape.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Leaves {
    grams: u32,
}

impl Job for Leaves {
    const KIND: &'static str = "tea";
}

#[rstest]
#[tokio::test]
async fn a_kind_that_is_not_known_is_left_to_programs_that_know_it_and_then_passed_over(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "tea-time", allowing(tea("0 * * * *"))).await;
    set(database, "bottle", ScheduleWish { kind: Some("milk"), ..allowing(tea("0 * * * *")) }).await;
    at(database, "2027-01-01T13:00:01Z").await;
    let mut old = scheduler_of(database, only_milk());
    let stop = CancellationToken::new();
    assert_eq!(old.look(&stop).await.unwrap(), SchedulerOptions::default().poll);
    assert!(told(database, "tea-time").await.is_empty(), "a newer program may be about to fire it");
    assert_eq!(told(database, "bottle").await, ["01-01 13:00 fired"], "nobody waits for it");
    look(database).await;
    assert_eq!(told(database, "tea-time").await, ["01-01 13:00 fired"]);

    at(database, "2027-01-01T14:00:20Z").await;
    old.look(&stop).await.unwrap();
    let ticks = ticks(database, "tea-time").await;
    assert_eq!(ticks[1].outcome, TickOutcome::UnknownKind);
    assert!(ticks[1].note.as_deref().unwrap().contains("the kinds are milk"), "{ticks:?}");
    assert_eq!(there(database, "tea-time").await.next_tick, Some(time("2027-01-01T15:00:00Z")));
}

#[rstest]
#[tokio::test]
async fn a_payload_that_does_not_fit_any_more_is_not_fired_and_says_which_field(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "tea-time", tea("0 * * * *")).await;
    at(database, "2027-01-01T13:00:20Z").await;
    let mut newer = scheduler_of(database, Catalogue::new([KindSpec::of::<Leaves>()]));
    newer.look(&CancellationToken::new()).await.unwrap();
    let ticks = ticks(database, "tea-time").await;
    assert_eq!(ticks[0].outcome, TickOutcome::InvalidPayload);
    assert!(ticks[0].note.as_deref().unwrap().contains("`grams`"), "{ticks:?}");
    assert!(jobs(database).await.is_empty());
}

/// The same tea in a newer shape.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct SweetTea {
    cups: u32,
    sugar: u32,
}

impl Job for SweetTea {
    const KIND: &'static str = "tea";
    const VERSION: u16 = 2;

    fn upgrade(_from: u16, mut payload: serde_json::Value) -> Result<serde_json::Value, Invalid> {
        payload["sugar"] = 0.into();
        Ok(payload)
    }
}

#[tokio::test]
async fn a_payload_of_an_older_version_is_published_as_such_and_a_newer_one_is_left_to_newer_programs() {
    let test = TestDatabase::sqlite().await;
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "tea-time", allowing(ScheduleWish { payload: Some(r#"{"cups":1}"#), ..tea("0 * * * *") }))
        .await;
    at(database, "2027-01-01T13:00:05Z").await;
    let sweet = Catalogue::new([KindSpec::of::<SweetTea>()]);
    scheduler_of(database, sweet.clone()).look(&CancellationToken::new()).await.unwrap();
    let job = jobs(database).await.remove(0);
    assert_eq!((job.version, job.payload.as_str()), (1, r#"{"cups":1}"#), "whoever reads it upgrades it");

    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let wish = ScheduleWish { payload: Some(r#"{"cups":1,"sugar":2}"#), ..ScheduleWish::default() };
    let newer = set_schedule(&tx, &sweet, &name("tea-time"), &wish, &operator(), now).await.unwrap();
    assert_eq!(newer.schedule.payload_version, 2);
    tx.commit().await.unwrap();
    at(database, "2027-01-01T14:00:20Z").await;
    look(database).await;
    let ticks = ticks(database, "tea-time").await;
    assert_eq!(ticks[1].outcome, TickOutcome::InvalidPayload);
    assert!(ticks[1].note.as_deref().unwrap().contains("update it"), "{ticks:?}");
}

#[rstest]
#[tokio::test]
async fn a_schedule_that_cannot_be_read_holds_up_no_other(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    // More than one page of the agenda, and all of them before the good one.
    for number in 0..105 {
        set(database, &format!("bad-{number}"), tea("0 * * * *")).await;
    }
    database.write().execute_unprepared("UPDATE schedules SET zone = 'Europe/Atlantis'").await.unwrap();
    set(database, "good", tea("1 * * * *")).await;
    at(database, "2027-01-01T13:01:05Z").await;
    look(database).await;
    assert_eq!(told(database, "good").await, ["01-01 13:01 fired"]);
    assert!(told(database, "bad-0").await.is_empty(), "a program that knows the zone may fire it");
    // It can be changed, and what was due is not lost without a word.
    set(database, "bad-0", ScheduleWish { zone: Some("UTC"), ..ScheduleWish::default() }).await;
    assert_eq!(told(database, "bad-0").await, ["01-01 13:00 changed 1"]);
}

#[tokio::test]
async fn a_scheduler_that_cannot_look_says_so_in_health_until_it_can_again() {
    let test = TestDatabase::sqlite().await;
    let mut scheduler = scheduler(test.database());
    let (health, stop) = (scheduler.health(), CancellationToken::new());
    scheduler.look(&stop).await.unwrap();
    assert!(health.is_good());
    test.database().write().execute_unprepared("ALTER TABLE schedules RENAME TO elsewhere").await.unwrap();
    let running = tokio::spawn(scheduler.run(stop.clone()));
    let patience = Duration::from_secs(60);
    eventually("it says so", patience, || async { health.reason("looks") }).await;
    test.database().write().execute_unprepared("ALTER TABLE elsewhere RENAME TO schedules").await.unwrap();
    eventually("it looks again", patience, || async { health.is_good().then_some(()) }).await;
    stop.cancel();
    running.await.unwrap();
}

#[rstest]
#[tokio::test]
async fn what_became_of_ticks_is_kept_for_a_while_and_that_of_a_job_as_long_as_the_job(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", tea("0 * * * *")).await;
    for hour in 13..15 {
        at(database, &format!("2027-01-01T{hour}:00:05Z")).await;
        look(database).await;
    }
    assert_eq!(told(database, "hourly").await, ["01-01 13:00 fired", "01-01 14:00 overlap"]);
    let retention = Retention::new(database.clone(), kinds(), RetentionOptions::default());
    let stop = CancellationToken::new();
    let fortnight = Duration::from_secs(14 * 24 * 3_600);
    database.clock().advance(fortnight.saturating_sub(Duration::from_secs(3_600)));
    retention.pass(&stop).await.unwrap();
    assert_eq!(told(database, "hourly").await.len(), 2, "all are young");
    database.clock().advance(Duration::from_secs(2 * 3_600));
    assert_eq!(retention.pass(&stop).await.unwrap(), 1);
    assert_eq!(told(database, "hourly").await, ["01-01 13:00 fired"], "its job has not ended");
    end(database, jobs(database).await[0].id).await;
    database.clock().advance(fortnight);
    // Jobs are looked through by the time in their ids, which is the machine's.
    let tx = database.begin().await.unwrap();
    let job = jobs(database).await[0].id;
    assert_eq!(ackord_entities::queue::retention::remove(&tx, &[job]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(told(database, "hourly").await.is_empty());
}
