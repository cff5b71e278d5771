use super::*;
use crate::proxy::Proxy;

async fn started() -> Option<PostgresServer> {
    PostgresServer::start(PostgresOptions::default()).await
}

#[tokio::test]
async fn a_killed_server_finds_what_was_committed() {
    let Some(mut server) = started().await else { return };
    server.psql("CREATE TABLE kept AS SELECT 7 AS n").await.expect("committed");
    server.kill();
    server.psql("SELECT 1").await.expect_err("nobody answers");
    server.restart().await;
    assert_eq!(server.psql("SELECT n FROM kept").await.as_deref(), Ok("7"));

    server.stop(Shutdown::Immediate).await;
    server.psql("SELECT 1").await.expect_err("nobody answers");
    server.restart().await;
    assert_eq!(server.psql("SELECT n FROM kept").await.as_deref(), Ok("7"));
    assert!(server.log().contains("ready to accept connections"));
}

#[tokio::test]
async fn a_server_has_the_settings_it_was_asked_for() {
    let settings = vec![("statement_timeout".to_owned(), "4321ms".to_owned())];
    let options = PostgresOptions { max_connections: 7, fsync: true, settings, ..PostgresOptions::default() };
    let Some(server) = PostgresServer::start(options).await else { return };
    for (name, value) in [("max_connections", "7"), ("fsync", "on"), ("statement_timeout", "4321ms")] {
        assert_eq!(server.psql(&format!("SHOW {name}")).await.as_deref(), Ok(value));
    }
}

#[tokio::test]
async fn killed_backends_end_what_they_run() {
    let Some(server) = started().await else { return };
    let long = server.psql("SELECT pg_sleep(3600)");
    let killer = async {
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while server.psql(asleep).await.as_deref() != Ok("1") {}
        server.kill_backends().await
    };
    let (ended, killed) = tokio::join!(long, killer);
    assert!(ended.expect_err("it was ended").contains("terminating connection"));
    assert_eq!(killed, 1);
}

#[tokio::test]
async fn a_frozen_server_answers_when_it_is_thawed() {
    let Some(mut server) = started().await else { return };
    server.freeze();
    let mut answer = Box::pin(server.psql("SELECT 1"));
    tokio::time::timeout(std::time::Duration::from_millis(300), &mut answer)
        .await
        .expect_err("nobody answers");
    drop(answer);
    server.thaw();
    assert_eq!(server.psql("SELECT 1").await.as_deref(), Ok("1"));
}

#[tokio::test]
async fn a_commit_can_lose_its_answer() {
    let Some(server) = started().await else { return };
    let proxy = Proxy::to(server.address()).await;
    let lost = proxy.lose_commit().await;
    let url = server.url_at(proxy.address(), "postgres");
    let through_proxy = server.psql_at(&url, "BEGIN; CREATE TABLE there AS SELECT 7 AS n; COMMIT").await;
    through_proxy.expect_err("the client was not told");
    assert!(lost.has_sprung());
    assert_eq!(server.psql("SELECT n FROM there").await.as_deref(), Ok("7"));
}

#[tokio::test]
async fn a_pooler_gives_one_backend_to_many_clients() {
    let Some(server) = started().await else { return };
    let options = PgBouncerOptions { pool_size: 1, ..PgBouncerOptions::default() };
    let Some(pooler) = PgBouncer::start(&server, options).await else { return };
    let url = pooler.url_of("postgres");
    let first = server.psql_at(&url, "SELECT pg_backend_pid()").await.expect("answers");
    let second = server.psql_at(&url, "SELECT pg_backend_pid()").await.expect("answers");
    assert_eq!(first, second);
}
