//! Figures of several runs, what processes cost, and how both are printed. Also part of the programs in `benches/`.

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

    /// The median; `NaN` if nothing was measured.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Lowest, median and highest, for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        match (self.0.first(), self.0.last()) {
            (Some(lowest), Some(highest)) => {
                serde_json::json!({ "median": self.median(), "lowest": lowest, "highest": highest, "runs": self.0.len() })
            }
            _ => serde_json::Value::Null,
        }
    }
}

/// The median and the range: `12,345 (11,900 to 12,800)`.
impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(lowest), Some(highest)) = (self.0.first(), self.0.last()) else {
            return formatter.write_str("not measured");
        };
        write!(formatter, "{} ({} to {})", short(self.median()), short(*lowest), short(*highest))
    }
}

/// Small figures with two digits behind the point, large ones without, in groups of three.
pub(crate) fn short(value: f64) -> String {
    if value.is_nan() {
        return "not measured".to_owned();
    }
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
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is an index"
)]
pub(crate) fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(last)).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}

/// A line of `/proc/<pid>/status` that is a size, in MB.
pub(crate) fn memory_mb(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0 / 1e6)
}

/// Seconds of processor time of a process and of all that it has started and that live, so far. `None`: it is not there.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let mut total = own_cpu_seconds(pid)?;
    for child in children(pid) {
        total += cpu_seconds(child).unwrap_or_default();
    }
    Some(total)
}

/// A tick of `/proc/<pid>/stat`, which is a hundredth of a second on every Linux that there is.
const TICKS: f64 = 100.0;

fn own_cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have spaces of its own. Behind it: state, parent, .., and utime, stime, cutime, cstime.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(ticks / TICKS)
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}
