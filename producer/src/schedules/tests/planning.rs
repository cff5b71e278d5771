//! Which moments an expression names, whatever it is.

use ackord_entities::queue::schedule::CatchUp;
use ackord_entities::queue::schedule_tick::MOST_COUNTED;
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use proptest::prelude::*;
use rstest::rstest;

use super::super::{GRACE, Plan};
use super::{all, time};

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Africa/Casablanca",
];

/// Expressions of all sorts: often, seldom, in bursts.
fn expression() -> impl Strategy<Value = String> {
    let field = |most: u32| {
        prop_oneof![
            3 => (0..most).prop_map(|at| at.to_string()),
            2 => Just("*".to_owned()),
            2 => (1..most).prop_map(|step| format!("*/{step}")),
            1 => (0..most, 0..most).prop_map(|(one, other)| format!("{},{}", one.min(other), one.max(other))),
            1 => (0..most, 0..most).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        ]
    };
    let day = prop_oneof![4 => Just("*".to_owned()), 1 => (1..29_u32).prop_map(|day| day.to_string()), 1 => Just("L".to_owned())];
    let month = prop_oneof![4 => Just("*".to_owned()), 1 => (1..13_u32).prop_map(|month| month.to_string())];
    let weekday = prop_oneof![4 => Just("*".to_owned()), 1 => Just("MON-FRI".to_owned()), 1 => Just("SUN#1".to_owned())];
    (prop::option::of(field(60)), field(60), field(24), day, month, weekday).prop_map(
        |(second, minute, hour, day, month, weekday)| {
            let second = second.map_or_else(String::new, |second| format!("{second} "));
            format!("{second}{minute} {hour} {day} {month} {weekday}")
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    (expression(), prop::sample::select(ZONES.as_slice()))
        .prop_map(|(expression, zone)| Plan::new(&expression, zone).unwrap())
}

/// From 2026 to 2029, to the microsecond.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (0..94_608_000_000_000_i64)
        .prop_map(|micros| time("2026-01-01T00:00:00Z") + TimeDelta::microseconds(micros))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn ticks_rise_are_whole_seconds_and_a_preview_is_the_next_again_and_again(plan in plan(), after in moment()) {
        let preview = plan.preview(after, 20);
        let mut last = after;
        for tick in preview {
            prop_assert!(tick > last);
            prop_assert_eq!(tick.nanosecond(), 0);
            prop_assert_eq!(plan.next_after(last), Some(tick));
            last = tick;
        }
    }

    #[test]
    fn the_next_tick_is_the_same_from_every_moment_before_it(plan in plan(), after in moment(), part in 0.0..1.0_f64) {
        let Some(next) = plan.next_after(after) else { return Ok(()) };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "anywhere in between")]
        let between = after + TimeDelta::microseconds(((next - after).num_microseconds().unwrap() as f64 * part) as i64);
        prop_assert_eq!(plan.next_after(between), Some(next), "asked at {}", between);
    }

    #[test]
    fn catching_up_takes_the_newest_and_counts_the_others(
        plan in plan(), after in moment(), number in 1..80_usize, most in 1..30_u8, rest in 0..1_000_000_i64,
    ) {
        let named = plan.preview(after, number);
        let (Some(first), Some(last)) = (named.first(), named.last()) else { return Ok(()) };
        let now = *last + TimeDelta::microseconds(rest);
        let due = plan.due(*first, now, all(most), GRACE);
        let kept = named.len().saturating_sub(usize::from(most));
        prop_assert_eq!(&due.ticks, &named[kept..]);
        prop_assert_eq!(due.next, plan.next_after(*last));
        match due.missed {
            None => prop_assert_eq!(kept, 0),
            Some(missed) => {
                prop_assert_eq!((missed.from, missed.to), (*first, named[kept - 1]));
                prop_assert_eq!(missed.count as usize, kept);
            }
        }
        let last_only = plan.due(*first, now, CatchUp::Last, GRACE);
        prop_assert_eq!(&last_only.ticks, &[*last]);
        let none = plan.due(*first, now, CatchUp::None, GRACE);
        prop_assert_eq!(&none.ticks, &[*last], "it is less than a second late");
    }

    #[test]
    fn no_text_brings_it_down(text in "[ -~äß@#LW*?/,+\\-0-9]{0,40}", zone in "[A-Za-z/_+\\-0-9]{0,20}") {
        if let Ok(plan) = Plan::new(&text, "Europe/Berlin") {
            let next = plan.next_after(time("2027-03-28T00:59:59Z"));
            prop_assert!(next.is_none_or(|next| next > time("2027-03-28T00:59:59Z")));
        }
        drop(Plan::new("* * * * *", &zone));
    }
}

#[test]
fn a_year_of_seconds_is_caught_up_with_in_no_more_than_is_asked_for() {
    let plan = Plan::new("* * * * * *", "Europe/Berlin").unwrap();
    let (first, now) = (time("2026-11-01T00:00:00Z"), time("2027-11-01T00:00:00.5Z"));
    let due = plan.due(first, now, all(100), GRACE);
    assert_eq!(due.ticks.len(), 100);
    assert_eq!((due.ticks[0], due.ticks[99]), (time("2027-10-31T23:58:21Z"), time("2027-11-01T00:00:00Z")));
    assert_eq!(due.next, Some(time("2027-11-01T00:00:01Z")));
    let missed = due.missed.unwrap();
    assert_eq!((missed.from, missed.to), (first, time("2027-10-31T23:58:20Z")));
    assert_eq!(missed.count, MOST_COUNTED, "which stands for that many or more");
}

#[test]
fn bursts_long_ago_are_no_longer_to_look_through() {
    // Every second of January, seen in December.
    let plan = Plan::new("* * * * 1 *", "UTC").unwrap();
    let due = plan.due(time("2027-01-01T00:00:00Z"), time("2027-12-01T00:00:00Z"), all(2), GRACE);
    assert_eq!(due.ticks, [time("2027-01-31T23:59:58Z"), time("2027-01-31T23:59:59Z")]);
    assert_eq!(due.next, Some(time("2028-01-01T00:00:00Z")));
}

#[test]
fn what_is_a_little_late_is_fired_though_nothing_is_caught_up_with() {
    let plan = Plan::new("0 * * * *", "UTC").unwrap();
    let first = time("2027-01-01T00:00:00Z");
    let late = plan.due(first, first + GRACE, CatchUp::None, GRACE);
    assert_eq!((late.ticks.len(), late.missed), (1, None));
    let too_late = plan.due(first, first + GRACE + TimeDelta::microseconds(1), CatchUp::None, GRACE);
    assert!(too_late.ticks.is_empty());
    assert_eq!(too_late.missed.unwrap().count, 1);
    assert_eq!(too_late.next, Some(time("2027-01-01T01:00:00Z")));
}

#[test]
fn an_expression_that_names_no_moment_more_has_no_next_one() {
    for expression in ["0 0 30 2 *", "0 0 0 1 1 * 2020"] {
        let plan = Plan::new(expression, "UTC").unwrap();
        assert_eq!(plan.next_after(time("2026-01-01T00:00:00Z")), None, "{expression}");
    }
}

#[rstest]
#[case("", "UTC", "expression")]
#[case("* * * *", "UTC", "expression")]
#[case("61 * * * *", "UTC", "expression")]
#[case("tomorrow", "UTC", "expression")]
#[case("* * * * *", "Europe/Atlantis", "zone")]
#[case("* * * * *", "", "zone")]
#[case("* * * * *", "+02:00", "zone")]
fn what_cannot_be_read_is_named_with_what_would_be_right(
    #[case] expression: &str,
    #[case] zone: &str,
    #[case] field: &str,
) {
    let error = Plan::new(expression, zone).unwrap_err();
    assert_eq!(error.field, field);
    let example = if field == "zone" { "Europe/Berlin" } else { "`30 2 * * *`" };
    assert!(error.reason.contains(example), "{error}");
}

#[test]
fn an_expression_may_be_long_but_not_endless() {
    let list = |number: usize| format!("{} * * * *", vec!["1"; number].join(","));
    assert!(Plan::new(&list(90), "UTC").is_ok());
    let error = Plan::new(&list(100_000), "UTC").unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}
