//! Times and lengths of time as people read them. All times are UTC.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// `2026-11-20 14:03:38Z`.
#[must_use]
pub fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `14:03:38.123Z`, for the lines of a timeline.
#[must_use]
pub fn clock_time(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%S%.3fZ").to_string()
}

/// `3m ago`, `in 2h`, `now`.
#[must_use]
pub fn ago(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let between = now - time;
    if between.abs() < TimeDelta::seconds(1) {
        return "now".to_owned();
    }
    let text = length(between.abs().to_std().unwrap_or_default());
    if between > TimeDelta::zero() { format!("{text} ago") } else { format!("in {text}") }
}

/// `12ms`, `3.4s`, `2m 5s`, `3h 10m`, `2d 4h`: two parts at most.
#[must_use]
pub fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() == 0 => format!("{:.1}ms", duration.as_secs_f64() * 1000.0),
        0 => format!("{}ms", duration.as_millis()),
        1..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit} {small}{small_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_parts_at_most() {
        assert_eq!(length(Duration::from_micros(300)), "0.3ms");
        assert_eq!(length(Duration::from_millis(12)), "12ms");
        assert_eq!(length(Duration::from_millis(3_400)), "3.4s");
        assert_eq!(length(Duration::from_secs(125)), "2m 5s");
        assert_eq!(length(Duration::from_secs(3_600)), "1h");
        assert_eq!(length(Duration::from_secs(2 * 86_400 + 4 * 3_600 + 59)), "2d 4h");
    }

    #[test]
    fn a_time_is_told_from_now() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(ago(now - TimeDelta::seconds(90), now), "1m 30s ago");
        assert_eq!(ago(now + TimeDelta::hours(2), now), "in 2h");
        assert_eq!(ago(now, now), "now");
    }
}
