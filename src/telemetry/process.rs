//! The process itself, by the names that Prometheus' own clients use. Read from `/proc` when somebody asks; elsewhere than on
//! Linux only the start is known.

#![allow(clippy::cast_precision_loss, reason = "a gauge is shown with fewer digits than it has")]

use std::fmt::Write;
use std::sync::LazyLock;

use ackord_producer::metrics::Metric;

const CPU: &str = "process_cpu_seconds_total";
const RESIDENT: &str = "process_resident_memory_bytes";
const OPEN: &str = "process_open_fds";
const MOST_OPEN: &str = "process_max_fds";
const START: &str = "process_start_time_seconds";

/// The metrics of this module.
pub(crate) const METRICS: &[Metric] = &[
    Metric::counter(CPU, &[], "Processor time used, in seconds."),
    Metric::gauge(RESIDENT, &[], "Memory in use, in bytes."),
    Metric::gauge(OPEN, &[], "Open file descriptors."),
    Metric::gauge(MOST_OPEN, &[], "File descriptors that may be open."),
    Metric::gauge(START, &[], "When the process started, in seconds since 1970."),
];

/// When metrics began, which is when the process starts to work.
static STARTED: LazyLock<f64> = LazyLock::new(|| {
    let now = ackord_entities::clock::machine_now();
    now.timestamp_micros() as f64 / 1e6
});

/// Notes the start.
pub(crate) fn begin() {
    LazyLock::force(&STARTED);
}

/// The figures in Prometheus' text format.
pub(crate) fn text() -> String {
    let figures = [
        (CPU, cpu_seconds()),
        (RESIDENT, status("VmRSS").map(|kibibytes| kibibytes * 1024.0)),
        (OPEN, open_files()),
        (MOST_OPEN, most_open_files()),
        (START, Some(*STARTED)),
    ];
    let mut text = String::new();
    for (name, value) in figures {
        let (Some(value), Some(metric)) = (value, METRICS.iter().find(|metric| metric.name == name)) else {
            continue;
        };
        let behaves = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {behaves}\n{name} {value}\n", metric.help);
    }
    text
}

/// User and system time: fields 14 and 15 of `/proc/self/stat`, counted behind the name, which may hold anything.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / rustix::param::clock_ticks_per_second() as f64)
}

fn status(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<f64> {
    // One of them is the folder that is being read.
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn most_open_files() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn every_figure_is_there_with_its_help() {
        let text = text();
        for metric in METRICS {
            assert!(text.contains(&format!("# HELP {} ", metric.name)), "{text}");
            let line = text.lines().find(|line| line.starts_with(&format!("{} ", metric.name))).unwrap();
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(value >= 0.0, "{line}");
        }
        assert!(status("VmRSS").unwrap() > 100.0);
    }
}
