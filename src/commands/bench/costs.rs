//! What a measurement costs: processor time of each process, and where the worker's time goes.

use std::str::FromStr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use super::figures::{Series, cpu_seconds};

/// A process that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    name: String,
    pid: u32,
}

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').ok_or("write NAME=PID, such as broker=1234")?;
        let pid = pid.parse().map_err(|_| format!("`{pid}` is no process id"))?;
        if cpu_seconds(pid).is_none() {
            return Err(format!("there is no process {pid}"));
        }
        Ok(Self { name: name.to_owned(), pid })
    }
}

/// Processor time and time in transactions so far.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    cpu: Vec<(String, f64)>,
    commit: f64,
}

impl Meter {
    /// Reads everything. The worker is this process.
    pub(super) fn read(watched: &[Watched], steps: &PrometheusHandle) -> Self {
        let own = Watched { name: "worker".to_owned(), pid: std::process::id() };
        let cpu = std::iter::once(&own)
            .chain(watched)
            .map(|one| (one.name.clone(), cpu_seconds(one.pid).unwrap_or(f64::NAN)))
            .collect();
        Self { cpu, commit: sum_of(&steps.render(), "ackord_commit_seconds_sum") }
    }

    /// What was spent since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let cpu = self.cpu.iter().zip(&before.cpu);
        Self {
            cpu: cpu.map(|((name, now), (_, then))| (name.clone(), now - then)).collect(),
            commit: self.commit - before.commit,
        }
    }
}

/// The sum of a histogram over all its labels.
fn sum_of(rendered: &str, name: &str) -> f64 {
    let lines = rendered.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// One measurement of a worker.
pub(super) struct Taken {
    pub(super) rate: f64,
    pub(super) jobs: usize,
    pub(super) time: Duration,
    pub(super) spent: Meter,
}

/// The costs of several measurements.
#[derive(Clone, Debug, Default)]
pub(super) struct Costs {
    /// Microseconds of processor time per job, by what was measured and by process.
    pub(super) cpu: Vec<((&'static str, String), Series)>,
    /// Share of the time during which a transaction was open.
    pub(super) in_transactions: Vec<(&'static str, Series)>,
}

impl Costs {
    /// Adds a measurement of `what`.
    #[allow(clippy::cast_precision_loss, reason = "a count becomes a rate")]
    pub(super) fn add(&mut self, what: &'static str, taken: &Taken) {
        for (name, seconds) in &taken.spent.cpu {
            push(&mut self.cpu, (what, name.clone()), seconds * 1e6 / taken.jobs as f64);
        }
        push(&mut self.in_transactions, what, taken.spent.commit / taken.time.as_secs_f64());
    }
}

fn push<K: PartialEq>(all: &mut Vec<(K, Series)>, key: K, value: f64) {
    let place = all.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        all.push((key, Series::default()));
        all.len() - 1
    });
    all[place].1.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_process_is_a_name_and_a_living_pid() {
        let own = format!("self={}", std::process::id());
        assert_eq!(own.parse(), Ok(Watched { name: "self".to_owned(), pid: std::process::id() }));
        for wrong in ["broker", "broker=", "broker=x", "broker=4294967295"] {
            assert!(wrong.parse::<Watched>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_histogram_is_summed_over_its_labels() {
        let rendered =
            "# HELP a\na_seconds_sum{kind=\"x\"} 1.5\na_seconds_sum{kind=\"y\"} 2\nb_seconds_sum 9\n";
        assert!((sum_of(rendered, "a_seconds_sum") - 3.5).abs() < 1e-9);
    }
}
