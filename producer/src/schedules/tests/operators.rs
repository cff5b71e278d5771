//! What operators do to schedules.

use ackord_entities::queue::audit;
use ackord_entities::queue::schedule_tick::{FiredBy, TickOutcome};
use ackord_entities::testing::TestDatabase;
use rstest::rstest;
use sea_orm::DbBackend;

use super::super::ensure;
use super::*;
use crate::operate::{ScheduleError, enable_schedule, fire_schedule, remove_schedule};
use crate::story::{Audience, Story};

async fn enable(database: &Database, enabled: bool) -> (Model, bool) {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let set = enable_schedule(&tx, &kinds(), &name("hourly"), enabled, &operator(), now).await.unwrap();
    tx.commit().await.unwrap();
    set
}

async fn verbs(database: &Database) -> Vec<String> {
    let deeds = audit::of_subject(database.read(), "hourly").await.unwrap();
    deeds.into_iter().map(|deed| deed.verb).collect()
}

#[rstest]
#[tokio::test]
async fn a_change_of_when_it_ticks_counts_from_now_on_and_any_other_one_leaves_the_next_tick(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", tea("0 * * * *")).await;
    let moved = ScheduleWish { expression: Some(" 45 * * * * "), ..ScheduleWish::default() };
    let changed = try_set(database, "hourly", moved.clone()).await.unwrap();
    assert_eq!((changed.created, changed.changed), (false, true));
    assert_eq!(changed.schedule.next_tick, Some(time("2027-01-01T12:45:00Z")));
    assert_eq!((changed.schedule.version, changed.schedule.expression.as_str()), (2, "45 * * * *"));
    assert!(!try_set(database, "hourly", moved).await.unwrap().changed, "it is like that");
    let zone = ScheduleWish { zone: Some("Asia/Kathmandu"), ..ScheduleWish::default() };
    let next = set(database, "hourly", zone).await.next_tick;
    assert_eq!(next, Some(time("2027-01-01T13:00:00Z")), "45 minutes past, there");

    at(database, "2027-01-01T13:00:05Z").await;
    let payload = ScheduleWish { payload: Some(r#"{"cups":3}"#), ..ScheduleWish::default() };
    assert_eq!(set(database, "hourly", payload).await.next_tick, Some(time("2027-01-01T13:00:00Z")));
    look(database).await;
    assert_eq!(jobs(database).await[0].payload, r#"{"cups":3}"#, "what was due is fired, as it is now");
    assert_eq!(verbs(database).await, ["create", "change", "change", "change"]);
    let deeds = audit::of_subject(test.reopen().await.read(), "hourly").await.unwrap();
    assert_eq!((deeds[0].actor.as_str(), deeds[0].reason.as_deref()), ("ada", Some("a test")));
    assert!(!deeds[3].details.as_deref().unwrap().contains("cups"), "a payload may be anything");
}

#[rstest]
#[tokio::test]
async fn what_was_due_when_a_schedule_is_changed_disabled_or_removed_is_written_down(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", tea("0 * * * *")).await;
    at(database, "2027-01-01T14:10:00Z").await;
    set(database, "hourly", tea("30 * * * *")).await;
    assert_eq!(told(database, "hourly").await, ["01-01 14:00 changed 2"]);
    at(database, "2027-01-01T14:40:00Z").await;
    let (disabled, changed) = enable(database, false).await;
    assert_eq!((disabled.next_tick, changed), (None, true));
    assert_eq!(told(database, "hourly").await[1..], ["01-01 14:30 changed 1"]);
    assert!(!enable(database, false).await.1, "pressed twice");
    at(database, "2027-01-01T18:00:00Z").await;
    look(database).await;
    let (enabled, _) = enable(database, true).await;
    assert_eq!(enabled.next_tick, Some(time("2027-01-01T18:30:00Z")), "nothing is caught up with");
    look(database).await;
    assert_eq!(told(database, "hourly").await.len(), 2);
    assert!(jobs(database).await.is_empty());
    assert_eq!(verbs(database).await, ["create", "change", "disable", "enable"]);
}

#[rstest]
#[tokio::test]
async fn a_schedule_is_fired_by_hand_whatever_its_ticks_say_and_its_job_counts_as_its_last(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", tea("0 * * * *")).await;
    let mut fired = Vec::new();
    for _ in 0..2 {
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        // Also twice in one microsecond.
        for _ in 0..2 {
            fired.push(fire_schedule(&tx, &kinds(), &name("hourly"), &operator(), now).await.unwrap().id);
        }
        tx.commit().await.unwrap();
    }
    let by_hand = ticks(database, "hourly").await;
    assert!(by_hand.iter().all(|tick| tick.fired_by == FiredBy::Hand && tick.outcome == TickOutcome::Fired));
    assert_eq!(by_hand.iter().filter_map(|tick| tick.job_id).collect::<Vec<_>>(), fired);
    at(database, "2027-01-01T13:00:05Z").await;
    look(database).await;
    let tick = ticks(database, "hourly").await.pop().unwrap();
    assert_eq!((tick.outcome, tick.holder_id), (TickOutcome::Overlap, fired.last().copied()));
    let story = Story::read(database, fired[0], Audience::Operators, None).await.unwrap().unwrap();
    assert!(story.timeline[0].text.ends_with("schedule hourly, which was fired by hand"), "{story:?}");
    assert_eq!(verbs(database).await, ["create", "fire", "fire", "fire", "fire"]);
}

#[rstest]
#[tokio::test]
async fn a_removed_schedule_ticks_no_more_and_its_jobs_still_know_it(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    let first = set(database, "hourly", tea("0 * * * *")).await;
    at(database, "2027-01-01T13:00:05Z").await;
    look(database).await;
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    remove_schedule(&tx, &name("hourly"), &operator(), now).await.unwrap();
    let again = remove_schedule(&tx, &name("hourly"), &operator(), now).await;
    assert!(matches!(again, Err(ScheduleError::NotThere(_))), "{again:?}");
    tx.commit().await.unwrap();
    at(database, "2027-01-01T14:00:05Z").await;
    look(database).await;
    let jobs = jobs(database).await;
    assert_eq!(jobs.len(), 1);
    let story = Story::read(database, jobs[0].id, Audience::Operators, None).await.unwrap().unwrap();
    assert_eq!(story.schedule.unwrap().name, name("hourly"));
    assert_ne!(set(database, "hourly", tea("0 * * * *")).await.id, first.id, "another one of its name");
}

#[rstest]
#[case(ScheduleWish { kind: Some("coffee"), ..tea("0 * * * *") }, "there is no kind `coffee`")]
#[case(ScheduleWish { payload: Some(r#"{"cups":10}"#), ..tea("0 * * * *") }, "field `cups`: is too much")]
#[case(ScheduleWish { payload: Some("{"), ..tea("0 * * * *") }, "not JSON")]
#[case(ScheduleWish { zone: Some("Mars"), ..tea("0 * * * *") }, "field `zone`: there is no time zone `Mars`")]
#[case(tea("0 * * *"), "field `expression`")]
#[case(tea("0 0 30 2 *"), "field `expression`: `0 0 30 2 *` names no moment to come")]
#[case(ScheduleWish { kind: None, ..tea("0 * * * *") }, "field `kind`: is missing")]
#[case(ScheduleWish { expression: None, ..tea("0 * * * *") }, "field `expression`: is missing")]
#[case(ScheduleWish { version: Some(1), ..tea("0 * * * *") }, "there is no schedule `hourly`")]
#[tokio::test]
async fn what_cannot_be_is_named_and_nothing_is_written(#[case] wish: ScheduleWish<'_>, #[case] said: &str) {
    let test = TestDatabase::sqlite().await;
    let error = try_set(test.database(), "hourly", wish).await.unwrap_err();
    assert!(error.to_string().contains(said), "{error}");
    assert!(schedule::list(test.database().read(), None, 10).await.unwrap().is_empty());
    assert!(verbs(test.database()).await.is_empty());
}

#[tokio::test]
async fn what_was_changed_since_it_was_looked_at_is_not_overwritten() {
    let test = TestDatabase::sqlite().await;
    let database = test.database();
    let seen = set(database, "hourly", tea("0 * * * *")).await.version;
    set(database, "hourly", tea("5 * * * *")).await;
    let late = ScheduleWish { version: Some(seen), ..tea("10 * * * *") };
    let error = try_set(database, "hourly", late.clone()).await.unwrap_err();
    assert!(matches!(error, ScheduleError::ChangedSince { version: 2, .. }), "{error}");
    assert_eq!(there(database, "hourly").await.expression, "5 * * * *");
    set(database, "hourly", ScheduleWish { version: Some(2), ..late }).await;
}

#[rstest]
#[tokio::test]
async fn a_schedule_that_a_program_brings_with_it_is_made_once_and_left_as_operators_want_it(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    let definition = set(database, "model", tea("* * * * *")).await.definition();
    let ensured = async || {
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let made = ensure(&tx, &kinds(), &name("hourly"), &definition, now).await.unwrap();
        tx.commit().await.unwrap();
        made
    };
    assert!(ensured().await);
    let made = there(database, "hourly").await;
    assert_eq!((made.created_by.as_str(), made.definition()), ("ackord", definition.clone()));
    enable(database, false).await;
    assert!(!ensured().await);
    assert!(!there(database, "hourly").await.enabled);
}

#[rstest]
#[tokio::test]
async fn schedules_are_listed_by_name_page_by_page(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let names = ["a", "a-b", "a-b-c", "a1", "ab", "b", "nightly-10", "nightly-2"];
    for name in names.iter().rev() {
        set(test.database(), name, tea("0 * * * *")).await;
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = schedule::list(test.database().read(), after.as_ref(), 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        found.extend(page.into_iter().map(|schedule| schedule.name.to_string()));
    }
    assert_eq!(found, names);
}
