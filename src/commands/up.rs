//! `ackord up`.

use ackord_entities::jobs::catalogue;

use crate::config::Concurrency;
use crate::exit::Exit;
use crate::node::Verb;
use crate::problem::Problem;
use crate::session::Session;

/// Run everything in this process: relay, worker, sweeper, retention; makes and migrates the database
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One `up` per SQLite file, and one per database with the embedded broker; the other verbs work beside it. With Postgres and RabbitMQ
any number run beside each other. SIGTERM or Ctrl-C: what runs ends or is handed back, then exit 0. A second signal ends at once;
nothing committed is lost.

Examples:
  ackord up
  ackord up --database sqlite:/var/lib/ackord/ackord.db --log-format json
  ackord up --api 127.0.0.1:9470
  ackord up --database postgres://ackord@db/jobs --broker amqp://ackord@mq/jobs --listen 127.0.0.1:9464")]
pub(crate) struct UpArgs {
    /// Jobs of a kind that run at once, as kind=number,.. [default: what each kind says]
    #[arg(long, value_name = "KIND=N,..")]
    pub(crate) concurrency: Option<Concurrency>,
    /// Where health and metrics are served, for example 127.0.0.1:9464 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Where the HTTP API is served, as `ackord serve` does it, for example 127.0.0.1:9470 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) api: Option<String>,
}

impl UpArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        super::node::run(session, Verb::Up).await
    }
}

/// A kind that is not there would silently keep its number.
pub(crate) fn check(concurrency: &Concurrency) -> Result<(), Problem> {
    known("worker.concurrency", concurrency.0.keys())
}

/// Every kind that the configuration names under `key` is there.
pub(crate) fn known<'k>(key: &str, mut kinds: impl Iterator<Item = &'k String>) -> Result<(), Problem> {
    let catalogue = catalogue();
    match kinds.find(|kind| catalogue.get(kind).is_none()) {
        None => Ok(()),
        Some(kind) => {
            let known: Vec<&str> = catalogue.iter().map(|spec| spec.kind).collect();
            Err(Problem::usage(format!("{key}: there is no kind `{kind}`"))
                .remedy(format!("the kinds are {}", known.join(", "))))
        }
    }
}
