//! The engine on its servers: real RabbitMQ and Postgres, real processes, and everything that can go wrong with each of them.

mod frozen;
mod load;
mod network;
mod points;
mod poison;
mod postgres;
mod rabbit;
mod random;

use ackord_entities::testing::TestDatabase;
use ackord_test_servers::VirtualHost;
use sea_orm::DbBackend;

use crate::process::Testbed;

/// A database and a virtual host of its own; `None` where no servers were given.
async fn on_servers() -> Option<Testbed> {
    let database = TestDatabase::empty(DbBackend::Postgres).await?;
    let broker = VirtualHost::new().await?;
    let urls = (database.url().to_owned(), broker.url().to_owned());
    Some(Testbed::on(urls.0, urls.1, (broker, database)).await)
}
