//! `ackord relay`.

use crate::exit::Exit;
use crate::node::Verb;
use crate::session::Session;

/// Run what moves messages to the broker and keeps the queue in order: relay, lease sweeper, reconciler, retention
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs a RabbitMQ server as --broker. Two of them are enough for any number of workers, and one goes on when the other dies.

Examples:
  ackord relay --database postgres://ackord@db/jobs --broker amqp://ackord@mq/jobs
  ackord relay --listen 127.0.0.1:9464 --log-format json")]
pub(crate) struct RelayArgs {
    /// Where health and metrics are served, for example 127.0.0.1:9464 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
}

impl RelayArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        super::node::run(session, Verb::Relay).await
    }
}
