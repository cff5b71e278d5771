//! Ticks that nobody was there to fire.

use ackord_entities::queue::schedule_tick::{MOST_COUNTED, TickOutcome};
use ackord_entities::testing::TestDatabase;
use rstest::rstest;
use sea_orm::DbBackend;

use super::*;

#[rstest]
#[case(CatchUp::None, &["01-01 16:00 missed 4"])]
#[case(CatchUp::Last, &["01-01 15:00 missed 3", "01-01 16:00 fired"])]
#[case(all(2), &["01-01 14:00 missed 2", "01-01 15:00 fired", "01-01 16:00 fired"])]
#[case(all(4), &["01-01 13:00 fired", "01-01 14:00 fired", "01-01 15:00 fired", "01-01 16:00 fired"])]
#[case(all(100), &["01-01 13:00 fired", "01-01 14:00 fired", "01-01 15:00 fired", "01-01 16:00 fired"])]
#[tokio::test]
async fn what_was_missed_is_caught_up_with_as_it_is_wanted(
    #[case] catch_up: CatchUp,
    #[case] expected: &[&str],
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    let wish = ScheduleWish { catch_up: Some(catch_up), ..allowing(tea("0 * * * *")) };
    set(database, "hourly", wish).await;
    at(database, "2027-01-01T16:20:00Z").await;
    look(database).await;
    look(database).await;
    let other = test.reopen().await;
    assert_eq!(told(&other, "hourly").await, expected);
    let fired = expected.iter().filter(|line| line.ends_with("fired")).count();
    assert_eq!(jobs(&other).await.len(), fired);
    assert_eq!(there(&other, "hourly").await.next_tick, Some(time("2027-01-01T17:00:00Z")));
}

#[tokio::test]
async fn a_restart_that_takes_some_seconds_misses_nothing() {
    let test = TestDatabase::sqlite().await;
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", tea("0 * * * *")).await;
    at(database, "2027-01-01T13:00:30Z").await;
    look(database).await;
    assert_eq!(told(database, "hourly").await, ["01-01 13:00 fired"]);
}

#[tokio::test]
async fn of_several_that_are_caught_up_with_only_the_first_runs_where_they_may_not_overlap() {
    let test = TestDatabase::sqlite().await;
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", ScheduleWish { catch_up: Some(all(3)), ..tea("0 * * * *") }).await;
    at(database, "2027-01-01T16:20:00Z").await;
    look(database).await;
    let expected =
        ["01-01 13:00 missed 1", "01-01 14:00 fired", "01-01 15:00 overlap", "01-01 16:00 overlap"];
    assert_eq!(told(database, "hourly").await, expected);
}

#[rstest]
#[tokio::test]
async fn a_schedule_of_every_second_that_was_off_for_a_year_makes_no_more_than_is_wanted(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    at(database, "2027-01-01T12:30:00Z").await;
    let wish = ScheduleWish { catch_up: Some(all(5)), ..allowing(tea("* * * * * *")) };
    set(database, "each-second", wish).await;
    at(database, "2028-01-01T12:30:00Z").await;
    look(database).await;
    let ticks = ticks(database, "each-second").await;
    let outcomes: Vec<TickOutcome> = ticks.iter().map(|tick| tick.outcome).collect();
    assert_eq!(outcomes[0], TickOutcome::Missed);
    assert_eq!(outcomes[1..], [TickOutcome::Fired; 5]);
    assert_eq!(ticks[0].passed_over, i32::try_from(MOST_COUNTED).ok(), "that many or more");
    let from = ticks[0].passed_from.unwrap();
    assert!(from >= time("2027-01-01T12:30:00Z") && from < time("2027-01-01T12:31:00Z"), "{from}");
    assert_eq!(jobs(database).await.len(), 5);
}
