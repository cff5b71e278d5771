//! `ackord work`.

use crate::config::Concurrency;
use crate::exit::Exit;
use crate::node::Verb;
use crate::session::Session;

/// Run a worker: performs and commits jobs, keeps dead letters; any number beside each other on Postgres and RabbitMQ
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs a RabbitMQ server as --broker. With the relay and the upkeep in it, `work` alone is enough; with many workers, switch them off
and run `ackord relay` once or twice. SIGTERM or Ctrl-C: what runs ends or is handed back, then exit 0.

Examples:
  ackord work --database postgres://ackord@db/jobs --broker amqp://ackord@mq/jobs
  ackord work --no-relay --no-upkeep --concurrency synthesis=8 --listen 127.0.0.1:9464")]
pub(crate) struct WorkArgs {
    /// Jobs of a kind that run at once, as kind=number,.. [default: what each kind says]
    #[arg(long, value_name = "KIND=N,..")]
    pub(crate) concurrency: Option<Concurrency>,
    /// Where health and metrics are served, for example 127.0.0.1:9464 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Send no messages: an `ackord relay` does
    #[arg(long)]
    no_relay: bool,
    /// Neither put back the jobs of lost workers nor remove what is old: an `ackord relay` does
    #[arg(long)]
    no_upkeep: bool,
    /// Leave dead letters in the broker's queue: another worker keeps them
    #[arg(long)]
    no_archive: bool,
}

impl WorkArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let verb = Verb::Work { archive: !self.no_archive, relay: !self.no_relay, upkeep: !self.no_upkeep };
        super::node::run(session, verb).await
    }
}
