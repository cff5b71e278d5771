//! `ackord topology show`.

use ackord_producer::broker::topology::{Argument, Routing, Topology};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{Column, table};

/// What the kinds of this program need. The JSON is a stable interface.
#[derive(Serialize)]
struct View {
    exchanges: Vec<ExchangeView>,
    queues: Vec<QueueView>,
    bindings: Vec<BindingView>,
}

#[derive(Serialize)]
struct ExchangeView {
    name: &'static str,
    r#type: &'static str,
    durable: bool,
    arguments: Map<String, Value>,
}

#[derive(Serialize)]
struct QueueView {
    name: String,
    durable: bool,
    arguments: Map<String, Value>,
}

#[derive(Serialize)]
struct BindingView {
    exchange: &'static str,
    queue: String,
    routing_key: String,
}

pub(super) fn run(session: &Session, topology: &Topology) -> anyhow::Result<Exit> {
    let view = view(topology);
    session.terminal.answer(&view, || text(&view))?;
    Ok(Exit::Success)
}

fn view(topology: &Topology) -> View {
    let exchange = |one: ackord_producer::broker::topology::Exchange| ExchangeView {
        name: one.name,
        r#type: match one.routing {
            Routing::Direct => "direct",
            Routing::Fanout => "fanout",
            Routing::Topic => "topic",
        },
        durable: true,
        arguments: one
            .alternate
            .map(|name| ("alternate-exchange".to_owned(), name.into()))
            .into_iter()
            .collect(),
    };
    let value = |argument| match argument {
        Argument::Text(text) => Value::from(text),
        Argument::Number(number) => Value::from(number),
    };
    View {
        exchanges: topology.exchanges().into_iter().map(exchange).collect(),
        queues: topology
            .queues()
            .into_iter()
            .map(|queue| QueueView {
                durable: true,
                arguments: queue
                    .arguments()
                    .into_iter()
                    .map(|(name, argument)| (name.to_owned(), value(argument)))
                    .collect(),
                name: queue.name,
            })
            .collect(),
        bindings: topology
            .bindings()
            .into_iter()
            .map(|one| BindingView { exchange: one.exchange, queue: one.queue, routing_key: one.key })
            .collect(),
    }
}

fn text(view: &View) -> String {
    let arguments = |arguments: &Map<String, Value>| {
        let one = |(name, value): (&String, &Value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let exchanges = view
        .exchanges
        .iter()
        .map(|one| vec![one.name.to_owned(), one.r#type.to_owned(), arguments(&one.arguments)]);
    let queues = view.queues.iter().map(|one| vec![one.name.clone(), arguments(&one.arguments)]);
    let bindings = view
        .bindings
        .iter()
        .map(|one| vec![one.exchange.to_owned(), one.routing_key.clone(), one.queue.clone()]);
    [
        table(
            &[Column::text("EXCHANGE"), Column::text("TYPE"), Column::text("ARGUMENTS")],
            exchanges.collect(),
        ),
        table(&[Column::text("QUEUE"), Column::text("ARGUMENTS")], queues.collect()),
        table(
            &[Column::text("FROM EXCHANGE"), Column::text("ROUTING KEY"), Column::text("TO QUEUE")],
            bindings.collect(),
        ),
    ]
    .join("\n")
}
