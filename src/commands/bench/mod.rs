//! `ackord bench`: how fast the engine is on these servers, and whether it lost or doubled anything on the way.

mod costs;
mod figures;
mod ground;
mod kinds;
mod latency;
mod measure;
mod probe;
mod report;

use tokio_util::sync::CancellationToken;

use self::costs::Watched;
use self::ground::Ground;
use self::kinds::{EACH, SET};
use self::report::Report;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;
use crate::signals::stop_on_signal;
use crate::telemetry::metrics;

/// Jobs in a transaction at most. The bare program in `benches/bare` has the same.
pub(super) const GROUP: usize = 200;

/// Measure the engine on the database and the broker that are configured
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
It makes a database of its own on the server and removes it at the end; on SQLite, a folder beside the file. It wants a virtual
host of its own, and refuses one that has queues of ackord. Nothing else should run on the machine meanwhile.

Examples:
  ackord bench
  ackord bench --database postgres://me@localhost/ackord --broker amqp://guest:guest@localhost/bench --runs 5
  ackord bench --backlog 1000000 --finished 5000000 --cpu broker=1234 --cpu database=5678")]
pub(crate) struct BenchArgs {
    /// Jobs of one measurement
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    jobs: u32,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Jobs per second of the fixed load
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    load: u32,
    /// How long the fixed load is offered, in seconds; 0 leaves it out
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Messages that wait in the queue beside those that are measured
    #[arg(long, default_value_t = 0, value_name = "N")]
    backlog: u32,
    /// Finished jobs that the table has already
    #[arg(long, default_value_t = 0, value_name = "N")]
    finished: u32,
    /// A process whose processor time is shown, with what it has started, such as broker=1234
    #[arg(long, value_name = "NAME=PID")]
    cpu: Vec<Watched>,
}

impl BenchArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let steps = metrics::install()?;
        let ground = Ground::make(session, self.finished).await?;
        let mut report = Report::new(&self, &ground);
        let measured = tokio::select! {
            measured = self.measure(&ground, &mut report, &steps) => measured,
            () = stop.cancelled() => Err(Problem::new(Exit::Failure, "stopped before the end").into()),
        };
        let removed = ground.remove().await;
        measured?;
        removed?;
        session.terminal.answer(&report.json(), || report.text())?;
        Ok(if report.is_clean() { Exit::Success } else { Exit::Failure })
    }

    async fn measure(
        &self,
        ground: &Ground,
        report: &mut Report,
        steps: &metrics_exporter_prometheus::PrometheusHandle,
    ) -> anyhow::Result<()> {
        let jobs = self.jobs as usize;
        report.memory.push(measure::memory_with_unsettled(ground).await?);
        if self.backlog > 0 {
            measure::publish(ground, self.backlog as usize).await?;
        }
        for run in 1..=self.runs {
            tracing::warn!("run {run} of {}", self.runs);
            // Behind a backlog, a job's way from its publishing would be the backlog's.
            let is_empty = self.backlog == 0;
            // First: after the rates the database is busy for a while with what they left to tidy.
            if is_empty && self.seconds > 0 {
                let waits = latency::publish_to_commit(ground, self.load, self.seconds, false).await?;
                report.direct.push(&waits);
                let waits = latency::publish_to_commit(ground, self.load, self.seconds, true).await?;
                report.outbox.push(&waits);
            }
            report.publish.push(measure::publish(ground, jobs).await?);
            let set = measure::worker_alone::<SET>(ground, jobs, &self.cpu, steps).await?;
            report.set.push(set.rate);
            report.costs.add("set", &set);
            report.publish.push(measure::publish(ground, jobs).await?);
            let each = measure::worker_alone::<EACH>(ground, jobs, &self.cpu, steps).await?;
            report.each.push(each.rate);
            report.costs.add("each", &each);
            if is_empty {
                let end_to_end = measure::end_to_end(ground, jobs, &self.cpu, steps).await?;
                report.end_to_end.push(end_to_end.rate);
                report.costs.add("end_to_end", &end_to_end);
            }
        }
        report.audit = Some(measure::drain_and_audit(ground).await?);
        Ok(())
    }
}
