//! The recorder behind `/metrics`, and the list of everything it may show.

use std::time::Duration;

#[cfg(test)]
use ackord_producer::metrics::Metric;
use ackord_producer::metrics::describe;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::{gauges, process};
use crate::problem::Problem;

/// Samples are put into their buckets this often, so that they do not pile up while nobody asks.
const UPKEEP: Duration = Duration::from_secs(1);

/// From a fast commit to a patient slow half, in seconds.
const SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    1_800.0,
];
/// Jobs in a group.
const JOBS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// Every metric that this program may show: what the documents and dashboards are compared with.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static Metric> {
    [
        ackord_consumers::metrics::METRICS,
        ackord_producer::metrics::METRICS,
        ackord_dashboard::metrics::METRICS,
        gauges::METRICS,
        process::METRICS,
    ]
    .into_iter()
    .flatten()
}

/// Installs the recorder for this process. Call it before the parts are made: each takes its counters when it is made.
///
/// # Errors
/// There is one already.
pub(crate) fn install() -> Result<PrometheusHandle, Problem> {
    let refused = |error: metrics_exporter_prometheus::BuildError| {
        Problem::refused(format!("the metrics cannot be collected: {error}"))
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_jobs".to_owned()), JOBS))
        .map_err(refused)?
        .install_recorder()
        .map_err(refused)?;
    describe(ackord_consumers::metrics::METRICS);
    describe(ackord_producer::metrics::METRICS);
    describe(ackord_dashboard::metrics::METRICS);
    describe(gauges::METRICS);
    process::begin();
    Ok(handle)
}

/// Keeps the recorder small until `stop`.
pub(crate) async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(UPKEEP) => handle.run_upkeep(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::path::Path;

    use ackord_producer::metrics::Behaves;

    use super::*;

    fn read(path: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
    }

    #[test]
    fn names_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for metric in all() {
            assert!(names.insert(metric.name), "{} is there twice", metric.name);
            assert!(
                metric.name.starts_with("ackord_") || metric.name.starts_with("process_"),
                "{} has another prefix",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.behaves == Behaves::Counter,
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}: a help text is a sentence", metric.name);
            for label in metric.labels {
                assert!(!["le", "quantile", "job", "instance"].contains(label), "{}: {label}", metric.name);
            }
        }
    }

    /// The names in a text that look like metrics of ours.
    fn named(text: &str) -> BTreeSet<String> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        text.split(|letter| !is_part(letter))
            .filter(|word| word.starts_with("ackord_") || word.starts_with("process_"))
            .map(str::to_owned)
            .collect()
    }

    fn exists(name: &str) -> bool {
        all().any(|metric| match metric.behaves {
            Behaves::Histogram => ["_bucket", "_sum", "_count", ""]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(metric.name)),
            Behaves::Counter | Behaves::Gauge => metric.name == name,
        })
    }

    #[test]
    fn what_alerts_and_dashboard_name_is_there() {
        for path in ["docker/prometheus/alerts.yml", "docker/grafana/dashboards/ackord.json"] {
            let names = named(&read(path));
            assert!(names.len() > 10, "{path} names next to nothing");
            for name in names {
                assert!(exists(&name), "{path} names {name}, which the program does not have");
            }
        }
    }

    #[test]
    fn every_alert_says_what_it_means_what_to_look_at_and_what_to_do() {
        let (rules, page) = (read("docker/prometheus/alerts.yml"), read("docs/observability.md"));
        let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
        assert!(alerts.len() > 10);
        for alert in alerts {
            let name = alert.lines().next().unwrap();
            for line in ["summary:", "meaning:", "look:", "do:", "severity:"] {
                assert!(alert.contains(line), "{name} has no {line}");
            }
            assert!(page.contains(&format!("`{name}`")), "docs/observability.md does not have {name}");
        }
    }

    #[test]
    fn the_page_has_every_metric_as_it_is() {
        let mut table = String::from("| metric | type | labels | help |\n|---|---|---|---|\n");
        for metric in all() {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let behaves = match metric.behaves {
                Behaves::Counter => "counter",
                Behaves::Gauge => "gauge",
                Behaves::Histogram => "histogram",
            };
            let (name, labels, help) = (metric.name, labels.join(", "), metric.help);
            writeln!(table, "| `{name}` | {behaves} | {labels} | {help} |").unwrap();
        }
        assert!(
            read("docs/observability.md").contains(&table),
            "docs/observability.md should have:\n{table}"
        );
    }
}
