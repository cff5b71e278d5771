//! `ackord topology show|apply|verify`.

mod show;

use std::sync::Arc;

use ackord_entities::jobs::catalogue;
use ackord_producer::broker::topology::Topology;
use ackord_producer::broker::{Broker, BrokerError, BrokerState, Difference};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::config::BrokerChoice;
use crate::exit::Exit;
use crate::node::{Identity, broker};
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::{Column, table};

/// Show, declare or compare the broker's exchanges, queues and bindings
#[derive(Debug, Args)]
pub(crate) struct TopologyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what the kinds of this program need; asks no broker
    #[command(after_help = "Examples:\n  ackord topology show\n  ackord topology show --json")]
    Show,
    /// Declare what is missing on the broker; nothing that is there is changed or deleted
    #[command(after_help = "\
`up`, `work` and `relay` do so by themselves whenever they connect, and then also send again what a lost queue held. After
`topology apply` that is to be asked for: `ackord reconcile`.

Examples:
  ackord topology apply --broker amqp://ackord@mq/jobs")]
    Apply,
    /// Compare the broker with what is needed; declares nothing, and exits with 9 if something differs
    #[command(after_help = "\
AMQP has no question for bindings: only `topology apply` makes sure of those.

Examples:
  ackord topology verify --broker amqp://ackord@mq/jobs
  ackord topology verify --json")]
    Verify,
}

impl TopologyArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let topology = Topology::of(&catalogue());
        match self.verb {
            Verb::Show => show::run(session, &topology),
            Verb::Apply => apply(session, &topology).await,
            Verb::Verify => verify(session, &topology).await,
        }
    }
}

/// What `topology apply` did. The JSON is a stable interface.
#[derive(Serialize)]
struct Applied {
    broker: String,
    /// Queues that were not there.
    created: Vec<String>,
}

async fn apply(session: &Session, topology: &Topology) -> anyhow::Result<Exit> {
    let broker = server(session).await?;
    let created = broker.apply(topology).await?.created;
    let answer = Applied { broker: broker.description().url, created };
    session.terminal.answer(&answer, || match answer.created.as_slice() {
        [] => format!("{} has everything", answer.broker),
        created => format!(
            "{}: declared {}\nIf one of these queues was lost with messages in it: `ackord reconcile` sends them again.",
            answer.broker,
            created.join(", ")
        ),
    })?;
    Ok(Exit::Success)
}

/// What `topology verify` found. The JSON is a stable interface.
#[derive(Serialize)]
struct Verified {
    broker: String,
    differences: Vec<DifferenceView>,
}

/// Something that is missing or different.
#[derive(Serialize)]
pub(super) struct DifferenceView {
    pub(super) what: String,
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl From<Difference> for DifferenceView {
    fn from(Difference { what, problem, remedy }: Difference) -> Self {
        let remedy = if remedy == "apply the topology" {
            "`ackord topology apply` declares it; up, work and relay do so by themselves".to_owned()
        } else {
            remedy
        };
        Self { what, problem, remedy }
    }
}

async fn verify(session: &Session, topology: &Topology) -> anyhow::Result<Exit> {
    let broker = server(session).await?;
    let differences: Vec<DifferenceView> =
        broker.verify(topology).await?.into_iter().map(DifferenceView::from).collect();
    let answer = Verified { broker: broker.description().url, differences };
    session.terminal.answer(&answer, || text(&answer))?;
    Ok(if answer.differences.is_empty() { Exit::Success } else { Exit::Findings })
}

fn text(answer: &Verified) -> String {
    if answer.differences.is_empty() {
        return format!("{} is as it has to be", answer.broker);
    }
    let row = |one: &DifferenceView| vec![one.what.clone(), one.problem.clone(), one.remedy.clone()];
    let columns = [Column::text("WHAT"), Column::text("PROBLEM"), Column::text("REMEDY")];
    format!("{}\n{}", answer.broker, table(&columns, answer.differences.iter().map(row).collect()))
}

/// The server of the configuration, which has to be there.
async fn server(session: &Session) -> anyhow::Result<Arc<dyn Broker>> {
    let config = session.config();
    if config.broker == BrokerChoice::Embedded {
        return Err(Problem::usage(
            "the embedded broker lives in `ackord up` and makes its queues by itself",
        )
        .remedy("give --broker amqp://USER:PASSWORD@HOST/VHOST for a RabbitMQ server")
        .into());
    }
    let broker = broker::open(&config.broker, &config.broker_tls, &Identity::new().name).await?;
    if *broker.state().borrow() == BrokerState::Closed {
        let url = broker.description().url;
        return Err(anyhow::Error::from(BrokerError::Closed).context(format!("{url} cannot be reached")));
    }
    Ok(broker)
}
