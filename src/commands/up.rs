//! `ackord up`.

use ackord_entities::jobs::catalogue;
use tokio_util::sync::CancellationToken;

use crate::config::Concurrency;
use crate::exit::Exit;
use crate::node::Node;
use crate::problem::Problem;
use crate::registry::registry;
use crate::session::Session;
use crate::signals::stop_on_signal;

/// Run everything in this process: relay, worker, sweeper, retention; makes and migrates the database
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One `up` per SQLite file; the other verbs work beside it. SIGTERM or Ctrl-C: what runs ends or is handed back, then exit 0.
A second signal ends at once; nothing committed is lost.

Examples:
  ackord up
  ackord up --database sqlite:/var/lib/ackord/ackord.db --log-format json
  ackord up --concurrency synthesis=8")]
pub(crate) struct UpArgs {
    /// Jobs of a kind that run at once, as kind=number,.. [default: what each kind says]
    #[arg(long, value_name = "KIND=N,..")]
    pub(crate) concurrency: Option<Concurrency>,
}

impl UpArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let concurrency = session.config().worker.concurrency.clone();
        check(&concurrency)?;
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let database = session.open(true).await?;
        let location = database.location().to_string();
        let node = Node::start(database, registry(), concurrency.0).await?;
        let ready = serde_json::json!({ "ready": true, "database": location, "process": std::process::id() });
        session.terminal.answer(&ready, || format!("ackord works on {location}. Ctrl-C stops it."))?;
        node.run(stop).await?;
        Ok(Exit::Success)
    }
}

/// A kind that is not there would silently keep its number.
pub(crate) fn check(concurrency: &Concurrency) -> Result<(), Problem> {
    let catalogue = catalogue();
    match concurrency.0.keys().find(|kind| catalogue.get(kind).is_none()) {
        None => Ok(()),
        Some(kind) => {
            let known: Vec<&str> = catalogue.iter().map(|spec| spec.kind).collect();
            Err(Problem::usage(format!("worker.concurrency: there is no kind `{kind}`"))
                .remedy(format!("the kinds are {}", known.join(", "))))
        }
    }
}
