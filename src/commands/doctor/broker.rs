//! The broker: there, taking messages, with the right queues, and somebody at each of them.

use std::sync::Arc;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::jobs::{Catalogue, catalogue};
use ackord_entities::queue::{incarnation, survey};
use ackord_producer::broker::topology::{DEAD_LETTERS, Topology, UNROUTABLE, queue_of};
use ackord_producer::broker::{Broker, BrokerError, BrokerState};

use super::check::{Check, Checks};
use crate::commands::topology::DifferenceView;
use crate::config::BrokerChoice;
use crate::node::{Identity, broker};
use crate::session::Session;
use crate::terminal::length;

/// The oldest RabbitMQ that ackord is tested with.
const OLDEST: (u32, u32) = (3, 10);

pub(super) async fn look(session: &Session, database: Option<&Database>, checks: &mut Checks) {
    let config = session.config();
    if config.broker == BrokerChoice::Embedded {
        checks.add(Check::ok("broker.reachable", "embedded: it lives in the process that works"));
        return;
    }
    let name = Identity::new().name;
    let broker = match broker::open(&config.broker, &config.broker_tls, &name).await {
        Ok(broker) => broker,
        Err(error) => {
            let found = ackord_entities::error_chain(error.as_ref());
            checks.add(Check::failed("broker.reachable", found, "correct --broker, see `ackord config`"));
            return;
        }
    };
    let description = broker.description();
    if *broker.state().borrow() == BrokerState::Closed {
        checks.add(Check::failed(
            "broker.reachable",
            format!("{} does not answer", description.url),
            "start it, or correct --broker; jobs go on being accepted and wait in the outbox",
        ));
        return;
    }
    let server = description.server.unwrap_or_else(|| "which does not name itself".to_owned());
    checks.add(Check::ok("broker.reachable", format!("{}, {server}", description.url)));
    if version(&server).is_some_and(|version| version < OLDEST) {
        let remedy = format!("ackord is tested with RabbitMQ {}.{} and newer", OLDEST.0, OLDEST.1);
        checks.add(Check::warning("broker.version", server, remedy));
    }
    if let Err(error) = look_at(&broker, database, checks).await {
        checks.add(Check::failed("broker.reachable", error.to_string(), "look again when it is there"));
    }
    checks.add(patience(&catalogue(), config.worker.consumer_timeout.0));
}

async fn look_at(
    broker: &Arc<dyn Broker>,
    database: Option<&Database>,
    checks: &mut Checks,
) -> Result<(), BrokerError> {
    let topology = Topology::of(&catalogue());
    let differences = broker.verify(&topology).await?;
    if differences.is_empty() {
        let found = format!("{} queues and their exchanges are as they have to be", topology.queues().len());
        checks.add(Check::ok("broker.topology", found));
    }
    for DifferenceView { what, problem, remedy } in differences.into_iter().map(DifferenceView::from) {
        checks.add(Check::failed("broker.topology", format!("`{what}`: {problem}"), remedy));
    }
    queues(&**broker, checks).await?;
    if let Some(database) = database {
        memory(&**broker, database, checks).await?;
        orphans(&**broker, database, checks).await?;
    }
    // Last: the server says so to a connection that has published or asked.
    if *broker.state().borrow() == BrokerState::Blocked {
        let remedy = "free memory or disk on the server (`rabbitmq-diagnostics alarms` names the node)";
        checks.add(Check::failed(
            "broker.blocked",
            "it takes no messages: an alarm for memory or disk",
            remedy,
        ));
    }
    Ok(())
}

/// Whether somebody takes what waits.
async fn queues(broker: &dyn Broker, checks: &mut Checks) -> Result<(), BrokerError> {
    let catalogue = catalogue();
    let kinds = catalogue.iter().map(|spec| queue_of(spec.kind));
    let mut all_taken = true;
    for queue in kinds.chain([DEAD_LETTERS.to_owned(), UNROUTABLE.to_owned()]) {
        let depth = match broker.depth(&queue).await {
            Ok(depth) => depth,
            // The comparison has said so already.
            Err(BrokerError::NoSuchQueue { .. }) => continue,
            Err(error) => return Err(error),
        };
        if depth.ready == 0 || depth.consumers > 0 {
            continue;
        }
        all_taken = false;
        let found = format!("`{queue}` holds {} messages and nobody takes them", depth.ready);
        checks.add(if queue == DEAD_LETTERS || queue == UNROUTABLE {
            Check::warning(
                "broker.consumers",
                found,
                "start `ackord work` without --no-archive: it keeps them",
            )
        } else {
            Check::failed("broker.consumers", found, "start `ackord work`, or `ackord resume` the kind")
        });
    }
    if all_taken {
        checks.add(Check::ok("broker.consumers", "no message waits in a queue without a consumer"));
    }
    Ok(())
}

/// Whether this is the broker that the database has told its messages to.
async fn memory(broker: &dyn Broker, database: &Database, checks: &mut Checks) -> Result<(), BrokerError> {
    let check = "broker.memory";
    match incarnation::find(database.read()).await {
        Ok(Some(incarnation)) if broker.remembers(incarnation).await? => {
            checks.add(Check::ok(check, "it is the broker that was told this database's messages"));
        }
        Ok(Some(_)) => checks.add(Check::warning(
            check,
            "it does not know this database: it has lost its messages, or is another broker than the one that is in use",
            "up, work and relay send all unfinished jobs again when they start; give all of them the same --broker",
        )),
        Ok(None) => checks.add(Check::ok(check, "no process has worked with this database yet")),
        Err(error) => {
            let found = ackord_entities::error_chain(&error);
            checks.add(Check::failed(check, found, "mend the database, then look again"));
        }
    }
    Ok(())
}

/// Queues of kinds that the database knows and this program does not. AMQP cannot list queues, so others are not seen.
async fn orphans(broker: &dyn Broker, database: &Database, checks: &mut Checks) -> Result<(), BrokerError> {
    let Ok(now) = database.clock().now(database.read()).await else { return Ok(()) };
    let Ok(found) = survey::survey(database.read(), now).await else { return Ok(()) };
    let known = catalogue();
    for kind in found.unfinished_kinds.iter().filter(|kind| known.get(kind).is_none()) {
        match broker.depth(&queue_of(kind)).await {
            Ok(depth) if depth.consumers == 0 => {
                let found = format!(
                    "`{}` belongs to no kind of this program, and nobody takes its {} messages",
                    queue_of(kind),
                    depth.ready
                );
                let remedy =
                    "run a program that knows the kind; delete the queue by hand once its jobs have ended";
                checks.add(Check::warning("broker.orphans", found, remedy));
            }
            Ok(_) | Err(BrokerError::NoSuchQueue { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether every kind gets through in the time that the broker waits for an answer.
fn patience(catalogue: &Catalogue, consumer_timeout: Duration) -> Check {
    let check = "broker.consumer_timeout";
    let said = format!(
        "{} as configured (worker.consumer_timeout; AMQP cannot ask for it)",
        length(consumer_timeout)
    );
    let slow = |spec: &&ackord_entities::jobs::KindSpec| {
        spec.performs
            && !spec.hand_over
            && spec.timeout > consumer_timeout.saturating_sub(consumer_timeout / 10)
    };
    match catalogue.iter().find(slow) {
        None => Check::ok(check, format!("every kind ends or hands over within {said}")),
        Some(spec) => Check::failed(
            check,
            format!(
                "an attempt of `{}` may take {}, the broker waits {said}",
                spec.kind,
                length(spec.timeout)
            ),
            "raise the server's consumer_timeout and worker.consumer_timeout with it, or let the kind hand over",
        ),
    }
}

/// `RabbitMQ 3.10.8` as (3, 10).
fn version(server: &str) -> Option<(u32, u32)> {
    let mut numbers = server.split_once("RabbitMQ ")?.1.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_version_is_read() {
        assert_eq!(version("RabbitMQ 3.9.27"), Some((3, 9)));
        assert!(version("RabbitMQ 4.1.0") > Some(OLDEST));
        assert_eq!(version("something else"), None);
    }
}
