//! A Postgres database and a virtual host of RabbitMQ, for processes that share them.

use ackord_entities::testing::TestDatabase;
use ackord_test_servers::VirtualHost;
use sea_orm::DbBackend;

use crate::program::{Folder, Ran, Running};

/// Both, and a folder to run in.
pub(crate) struct Cluster {
    pub(crate) folder: Folder,
    pub(crate) database: TestDatabase,
    pub(crate) broker: VirtualHost,
}

impl Cluster {
    /// Empty ones; `None` where the servers are not given.
    pub(crate) async fn new() -> Option<Self> {
        let (database, broker) = (TestDatabase::empty(DbBackend::Postgres).await?, VirtualHost::new().await?);
        Some(Self { folder: Folder::empty(), database, broker })
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str], broker: &'a str) -> Vec<&'a str> {
        let mut all = arguments.to_vec();
        all.extend(["--database", self.database.url(), "--broker", broker]);
        all
    }

    /// Starts a process on both and waits until it works.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, self.broker.url())
    }

    /// The same with another way to the broker.
    pub(crate) fn start_with(&self, arguments: &[&str], broker: &str) -> Running {
        self.folder.start(&self.arguments(arguments, broker))
    }

    /// Runs a verb on both to its end.
    pub(crate) fn ackord(&self, arguments: &[&str]) -> Ran {
        self.ackord_with(arguments, self.broker.url())
    }

    /// The same with another way to the broker.
    pub(crate) fn ackord_with(&self, arguments: &[&str], broker: &str) -> Ran {
        self.folder.ackord(&self.arguments(arguments, broker))
    }

    /// Publishes a job that fails in its own domain, since no document was imported. Answers its id.
    pub(crate) fn publish(&self) -> String {
        let payload = r#"{"topic": "leases"}"#;
        let published =
            self.ackord(&["publish", "synthesis", "--payload", payload, "--json"]).expect(0).json();
        published["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of a job, as long as it takes.
    #[track_caller]
    pub(crate) fn ends(&self, job: &str) {
        let ended = self.ackord(&["jobs", "wait", job, "--timeout", "60s", "--json"]).expect(6).json();
        assert_eq!(ended["state"], "failed");
    }
}

/// The arguments of a kind's queue, but for its delivery limit, which is 7.
pub(crate) fn wrong_arguments() -> serde_json::Value {
    serde_json::json!({
        "x-queue-type": "quorum",
        "x-delivery-limit": 7,
        "x-dead-letter-exchange": "ackord.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    })
}
