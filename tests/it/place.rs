//! Where a test's jobs and messages are: each of these tests says the same of both places.

use ackord_entities::testing::TestDatabase;
use ackord_test_servers::VirtualHost;
use sea_orm::DbBackend;

use crate::process::Testbed;

/// One of the places that ackord runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A SQLite file, with the broker in the worker's process: the next start takes over what a dead process had.
    File,
    /// Postgres and RabbitMQ: another process does, when the dead one's lease has expired.
    Servers,
}

impl Place {
    /// A testbed of its own; `None` where no servers were given.
    pub(crate) async fn testbed(self) -> Option<Testbed> {
        match self {
            Self::File => Some(Testbed::new().await),
            Self::Servers => {
                let database = TestDatabase::empty(DbBackend::Postgres).await?;
                let broker = VirtualHost::new().await?;
                let (at, via) = (database.url().to_owned(), broker.url().to_owned());
                Some(Testbed::on(at, via, (broker, database)).await)
            }
        }
    }
}
