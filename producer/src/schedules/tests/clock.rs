//! A clock that jumps. No tick is fired twice, and none is lost without a word.

use ackord_entities::testing::TestDatabase;
use rstest::rstest;
use sea_orm::DbBackend;

use super::*;
use crate::operate::enable_schedule;
use crate::story::{Audience, WholeSchedule};

async fn hourly(database: &Database) {
    at(database, "2027-01-01T12:30:00Z").await;
    set(database, "hourly", allowing(tea("0 * * * *"))).await;
    for hour in 13..16 {
        at(database, &format!("2027-01-01T{hour}:00:05Z")).await;
        look(database).await;
    }
}

async fn waits_for_clock(database: &Database) -> bool {
    let schedule = there(database, "hourly").await;
    let whole = WholeSchedule::read(database, schedule, Audience::Operators).await.unwrap();
    whole.schedule.waits_for_clock
}

async fn begin_anew(database: &Database) {
    for enabled in [false, true] {
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        enable_schedule(&tx, &kinds(), &name("hourly"), enabled, &operator(), now).await.unwrap();
        tx.commit().await.unwrap();
    }
}

const THREE: [&str; 3] = ["01-01 13:00 fired", "01-01 14:00 fired", "01-01 15:00 fired"];

#[rstest]
#[tokio::test]
async fn a_clock_set_back_fires_nothing_twice_and_goes_on_when_it_is_where_it_was(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    hourly(database).await;
    assert!(!waits_for_clock(database).await);
    for moment in ["2027-01-01T12:59:50Z", "2027-01-01T13:00:05Z", "2027-01-01T14:30:00Z"] {
        at(database, moment).await;
        look(database).await;
    }
    assert_eq!(told(database, "hourly").await, THREE);
    assert!(waits_for_clock(database).await, "that is said");
    at(database, "2027-01-01T16:00:05Z").await;
    look(database).await;
    assert_eq!(told(database, "hourly").await[3..], ["01-01 16:00 fired"]);
    assert_eq!(jobs(database).await.len(), 4);
}

#[rstest]
#[tokio::test]
async fn a_schedule_that_begins_anew_after_the_clock_was_set_back_leaves_out_what_it_has_fired(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    hourly(database).await;
    at(database, "2027-01-01T13:30:00Z").await;
    begin_anew(database).await;
    assert!(!waits_for_clock(database).await);
    for hour in 14..17 {
        at(database, &format!("2027-01-01T{hour}:00:05Z")).await;
        look(database).await;
    }
    assert_eq!(told(database, "hourly").await[..3], THREE);
    assert_eq!(told(database, "hourly").await[3..], ["01-01 16:00 fired"]);
    assert_eq!(jobs(database).await.len(), 4);
}

#[rstest]
#[tokio::test]
async fn a_clock_far_ahead_for_a_while_passes_over_what_it_must_and_says_so(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    hourly(database).await;
    at(database, "2028-01-01T15:20:00Z").await;
    look(database).await;
    assert_eq!(told(database, "hourly").await[3..], ["01-01 15:00 missed 8760"]);
    at(database, "2027-01-01T15:30:00Z").await;
    look(database).await;
    assert!(waits_for_clock(database).await);
    begin_anew(database).await;
    at(database, "2027-01-01T16:00:05Z").await;
    look(database).await;
    let told = told(database, "hourly").await;
    assert_eq!(told[3..], ["01-01 16:00 fired", "01-01 15:00 missed 8760"], "by their planned times");
    assert_eq!(jobs(database).await.len(), 4);
}
