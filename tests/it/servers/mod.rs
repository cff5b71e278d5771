//! The engine on its servers: real RabbitMQ and Postgres, real processes, and everything that can go wrong with each of them.

mod frozen;
mod given_up;
mod load;
mod network;
mod postgres;
mod rabbit;
mod random;
mod replay;
mod unled;

use crate::place::Place;
use crate::process::Testbed;

/// A database and a virtual host of its own; `None` where no servers were given.
async fn on_servers() -> Option<Testbed> {
    Place::Servers.testbed().await
}
