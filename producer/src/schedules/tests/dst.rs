//! Clocks that are set forward and back. The moments are what the clocks of the place show.

use rstest::rstest;

use super::super::Plan;
use super::time;

#[track_caller]
fn assert_named(zone: &str, expression: &str, after: &str, expected: &[&str]) {
    let plan = Plan::new(expression, zone).unwrap();
    let named = plan.preview(time(after), expected.len());
    let named: Vec<String> = named.into_iter().map(|tick| plan.local(tick)).collect();
    assert_eq!(named, expected, "`{expression}` in {zone}");
}

#[rstest]
#[case("Europe/Berlin", "30 2 * * *", "2027-03-27T00:00:00Z",
    &["2027-03-27T02:30:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"])]
#[case("America/New_York", "30 2 * * *", "2027-03-13T00:00:00Z",
    &["2027-03-13T02:30:00-05:00", "2027-03-14T03:00:00-04:00", "2027-03-15T02:30:00-04:00"])]
#[case("Australia/Lord_Howe", "15 2 * * *", "2027-10-01T00:00:00Z",
    &["2027-10-02T02:15:00+10:30", "2027-10-03T02:30:00+11:00", "2027-10-04T02:15:00+11:00"])]
fn a_time_of_day_that_a_clock_set_forward_leaves_out_comes_right_behind_it(
    #[case] zone: &str,
    #[case] expression: &str,
    #[case] after: &str,
    #[case] expected: &[&str],
) {
    assert_named(zone, expression, after, expected);
}

#[rstest]
#[case("Europe/Berlin", "30 2 * * *", "2027-10-30T00:00:00Z",
    &["2027-10-30T02:30:00+02:00", "2027-10-31T02:30:00+02:00", "2027-11-01T02:30:00+01:00"])]
#[case("America/New_York", "30 1 * * *", "2027-11-06T00:00:00Z",
    &["2027-11-06T01:30:00-04:00", "2027-11-07T01:30:00-04:00", "2027-11-08T01:30:00-05:00"])]
#[case("Australia/Lord_Howe", "45 1 * * *", "2027-04-02T00:00:00Z",
    &["2027-04-03T01:45:00+11:00", "2027-04-04T01:45:00+11:00", "2027-04-05T01:45:00+10:30"])]
fn a_time_of_day_that_a_clock_set_back_shows_twice_comes_once_the_first_time(
    #[case] zone: &str,
    #[case] expression: &str,
    #[case] after: &str,
    #[case] expected: &[&str],
) {
    assert_named(zone, expression, after, expected);
}

#[rstest]
#[case::forward("Europe/Berlin", "*/30 * * * *", "2027-03-28T00:00:00Z",
    &["2027-03-28T01:30:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-28T03:30:00+02:00"])]
#[case::back("Europe/Berlin", "*/30 * * * *", "2027-10-30T23:59:00Z",
    &["2027-10-31T02:00:00+02:00", "2027-10-31T02:30:00+02:00", "2027-10-31T02:00:00+01:00", "2027-10-31T02:30:00+01:00", "2027-10-31T03:00:00+01:00"])]
#[case::forward("America/New_York", "0 * * * *", "2027-03-14T05:30:00Z",
    &["2027-03-14T01:00:00-05:00", "2027-03-14T03:00:00-04:00"])]
#[case::back("America/New_York", "0 * * * *", "2027-11-07T04:30:00Z",
    &["2027-11-07T01:00:00-04:00", "2027-11-07T01:00:00-05:00", "2027-11-07T02:00:00-05:00"])]
#[case::forward("Australia/Lord_Howe", "*/30 * * * *", "2027-10-02T14:45:00Z",
    &["2027-10-03T01:30:00+10:30", "2027-10-03T02:30:00+11:00", "2027-10-03T03:00:00+11:00"])]
#[case::back("Australia/Lord_Howe", "*/30 * * * *", "2027-04-03T14:20:00Z",
    &["2027-04-04T01:30:00+11:00", "2027-04-04T01:30:00+10:30", "2027-04-04T02:00:00+10:30"])]
fn what_comes_several_times_a_day_comes_whenever_the_clock_shows_it(
    #[case] zone: &str,
    #[case] expression: &str,
    #[case] after: &str,
    #[case] expected: &[&str],
) {
    assert_named(zone, expression, after, expected);
}

#[rstest]
#[case("Europe/Berlin", "2027-03-28T01:00:00Z")]
#[case("Europe/Berlin", "2027-10-31T01:00:00Z")]
#[case("America/New_York", "2027-03-14T07:00:00Z")]
#[case("America/New_York", "2027-11-07T06:00:00Z")]
#[case("Australia/Lord_Howe", "2027-10-02T15:30:00Z")]
#[case("Australia/Lord_Howe", "2027-04-03T15:00:00Z")]
fn what_comes_every_minute_does_so_while_the_clock_is_set(#[case] zone: &str, #[case] change: &str) {
    let plan = Plan::new("* * * * *", zone).unwrap();
    let begin = time(change) - chrono::TimeDelta::hours(3);
    let named = plan.preview(begin, 6 * 60);
    for (index, tick) in (1..).zip(&named) {
        assert_eq!(*tick, begin + chrono::TimeDelta::minutes(index));
    }
}
