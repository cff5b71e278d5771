//! What can happen to Postgres while jobs run. Nothing is acknowledged that it has not committed.

use std::process::Stdio;

use ackord_test_servers::{PostgresOptions, PostgresServer, Shutdown, VirtualHost};
use tokio::io::AsyncWriteExt;

use super::load::Load;
use crate::process::Testbed;

const DATABASE: &str = "jobs";
/// Those of a server that soon has none left.
const CONNECTIONS: u32 = 25;
/// What a worker says when its database is gone.
pub(super) const AWAY: &str = "the database does not take the work";

/// A testbed on a server that only this test has.
async fn on_server(server: &PostgresServer) -> Option<Testbed> {
    let host = VirtualHost::new().await?;
    server.psql(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
    Some(Testbed::on(server.url_of(DATABASE), host.url().to_owned(), host).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_and_started_again_under_load() {
    let Some(mut server) = PostgresServer::start(PostgresOptions::default()).await else { return };
    let Some(testbed) = on_server(&server).await else { return };
    let mut load = Load::started(testbed).await;
    for killed in 1..=3 {
        load.publish().await;
        load.long_ones_run().await;
        server.kill();
        load.testbed.until_said(AWAY, killed).await;
        server.restart().await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_stopped_and_started_under_load() {
    let Some(mut server) = PostgresServer::start(PostgresOptions::default()).await else { return };
    let Some(testbed) = on_server(&server).await else { return };
    let mut load = Load::started(testbed).await;
    for _ in 0..3 {
        load.publish().await;
        server.stop(Shutdown::Fast).await;
        server.restart().await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_that_are_killed_under_load_again_and_again() {
    let Some(server) = PostgresServer::start(PostgresOptions::default()).await else { return };
    let Some(testbed) = on_server(&server).await else { return };
    let mut load = Load::started(testbed).await;
    let mut killed = 0;
    for _ in 0..10 {
        // Published first: a publisher of its own gives up when its transaction is killed, as it should.
        load.publish().await;
        killed += server.kill_backends().await;
    }
    assert!(killed >= 10, "only {killed} backends were killed");
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_holds_the_work_up_and_nothing_more() {
    let options = PostgresOptions { max_connections: CONNECTIONS, ..PostgresOptions::default() };
    let Some(server) = PostgresServer::start(options).await else { return };
    let Some(testbed) = on_server(&server).await else { return };
    let mut others = Others::of(&server);
    let mut load = Load::started(testbed).await;
    for _ in 0..2 {
        load.publish().await;
        load.long_ones_run().await;
        let said = load.testbed.times_said(AWAY);
        load.testbed
            .eventually("the work that ends finds no connection", async || {
                others.crowd_out(&server).await;
                (load.testbed.times_said(AWAY) > said).then_some(())
            })
            .await;
        others.guests.clear();
        let is_free = async || server.psql("SELECT 1").await.ok();
        load.testbed.eventually("there is room again", is_free).await;
    }
    load.ends_well().await;
}

/// Those who take every connection of a server, until they are dropped.
struct Others {
    /// Connected while there is room for everybody.
    bouncer: tokio::process::Child,
    guests: Vec<tokio::process::Child>,
}

impl Others {
    fn of(server: &PostgresServer) -> Self {
        Self { bouncer: connection(server), guests: Vec::new() }
    }

    /// Throws the processes' connections out while others grab at each free place. Once is not enough: a process may be the faster
    /// one.
    async fn crowd_out(&mut self, server: &PostgresServer) {
        self.guests.retain_mut(|one| one.try_wait().unwrap().is_none());
        // Not all at once, and no more than there are places beside the bouncer's: those who are turned away cost as much as the others.
        let places = (CONNECTIONS as usize - 1).saturating_sub(self.guests.len());
        self.guests.extend((0..places.min(4)).map(|_| connection(server)));
        let throw_out =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}';\n");
        self.bouncer.stdin.as_mut().unwrap().write_all(throw_out.as_bytes()).await.unwrap();
    }
}

/// A client that is connected, if there is room, and waits to be told something.
fn connection(server: &PostgresServer) -> tokio::process::Child {
    let mut command = tokio::process::Command::new("psql");
    command.arg(server.url_of("postgres")).args(["--no-psqlrc", "--quiet"]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}
