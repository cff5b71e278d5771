//! Figures of several runs, and how they are printed.

use std::fmt;
use std::time::Duration;

/// One figure, measured several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }
}

/// The median and the range: `12,345 (11,900 to 12,800)`.
impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(lowest), Some(highest)) = (self.0.first(), self.0.last()) else {
            return formatter.write_str("not measured");
        };
        let median = self.0[self.0.len() / 2];
        write!(formatter, "{} ({} to {})", short(median), short(*lowest), short(*highest))
    }
}

/// Small figures with two digits behind the point, large ones without, in groups of three.
fn short(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The value below which `share` (0 to 1) of the durations lie, in milliseconds.
pub(crate) fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(last)).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}

/// What stands in `/proc/self/status`, in MB.
pub(crate) fn memory_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0 / 1e6)
}

/// One line of a Markdown table.
pub(crate) fn row(cells: &[&dyn fmt::Display]) {
    let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
    println!("| {} |", cells.join(" | "));
}
