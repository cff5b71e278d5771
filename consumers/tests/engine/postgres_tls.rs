//! Postgres over TLS: trusted as the URL asks for it, or not used at all.

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::eventually;
use ackord_entities::database::{DatabaseError, DatabaseOptions, TlsFault, facts};
use ackord_entities::queue::job;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::Doorbell;
use ackord_test_servers::{LOOPBACK, PostgresOptions, PostgresServer};
use tokio_util::sync::CancellationToken;

use crate::kinds::{Scripted, Short};
use crate::steps::staged;

async fn server(certificate_for: Option<&'static [&'static str]>) -> Option<PostgresServer> {
    PostgresServer::start(PostgresOptions { certificate_for, ..PostgresOptions::default() }).await
}

fn verified(server: &PostgresServer, root: &str) -> String {
    format!("{}?sslmode=verify-full&sslrootcert={root}", server.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_verifies_its_server_works_and_listens_over_tls() {
    let Some(server) = server(Some(&LOOPBACK)).await else { return };
    let url = verified(&server, &server.certificates().ca);
    let database = TestDatabase::on_own_server(url.clone(), DatabaseOptions::new(url)).await;
    let mut stage = staged(database, Registry::new().with(Scripted::<Short>::new())).await;
    let version = facts(stage.database.read()).await.unwrap().tls;
    assert!(version.as_deref().is_some_and(|version| version.starts_with("TLSv1.")), "{version:?}");

    let stop = CancellationToken::new();
    let hearing = tokio::spawn({
        let (bell, database, stop) = (Doorbell::default(), stage.database.clone(), stop.clone());
        async move { bell.hear(&database, stop).await }
    });
    let connections = "SELECT application_name, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) \
                       WHERE application_name LIKE 'ackord%' ORDER BY application_name DESC, ssl";
    let listed = eventually("a connection listens", async || {
        server.psql(connections).await.ok().filter(|listed| listed.contains("ackord-listen"))
    })
    .await;
    assert!(listed.lines().all(|line| line.ends_with("|t")), "{listed}");

    let id = stage.publish(&Short::new("tea")).await;
    eventually("the job ends", async || job::find(stage.database.read(), id).await.ok()??.finished_at).await;
    assert_eq!(stage.job(id).await.state, JobState::Succeeded);
    stop.cancel();
    hearing.await.unwrap();
    stage.stop().await;
}

async fn refused(url: String) -> (TlsFault, String) {
    match DatabaseOptions::new(url).open().await {
        Err(DatabaseError::Tls { location, fault, source }) => {
            let text = DatabaseError::Tls { location, fault, source }.to_string();
            (fault, text)
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was trusted"),
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_is_refused_with_the_parameter_to_change() {
    let Some(loopback) = server(Some(&LOOPBACK)).await else { return };
    let certificates = loopback.certificates();
    let (fault, text) = refused(verified(&loopback, &certificates.stranger_ca)).await;
    assert_eq!(fault, TlsFault::UnknownAuthority);
    assert!(text.contains("127.0.0.1") && text.contains("sslrootcert"), "{text}");
    // Nothing but well-known authorities: ours is none of them.
    let (fault, _) = refused(format!("{}?sslmode=verify-full", loopback.url())).await;
    assert_eq!(fault, TlsFault::UnknownAuthority);

    let Some(elsewhere) = server(Some(&["db.example"])).await else { return };
    let ca = &elsewhere.certificates().ca;
    let (fault, text) = refused(verified(&elsewhere, ca)).await;
    assert_eq!(fault, TlsFault::OtherHost);
    assert!(text.contains("sslmode=verify-ca"), "{text}");
    let any_host = format!("{}?sslmode=verify-ca&sslrootcert={ca}", elsewhere.url());
    DatabaseOptions::new(any_host).open().await.unwrap().close().await;

    let Some(plain) = server(None).await else { return };
    for mode in ["require", "verify-ca", "verify-full"] {
        let (fault, text) = refused(format!("{}?sslmode={mode}", plain.url())).await;
        assert_eq!(fault, TlsFault::NotOffered, "{mode}");
        assert!(text.contains("sslmode"), "{text}");
    }
}

#[tokio::test]
async fn a_certificate_of_ours_that_the_server_does_not_trust_is_named() {
    let Some(server) = server(Some(&LOOPBACK)).await else { return };
    let certificates = server.certificates();
    let url = verified(&server, &certificates.ca);
    let with = |certificate: &str, key: &str| format!("{url}&sslcert={certificate}&sslkey={key}");
    let (fault, text) = refused(with(&certificates.stranger_certificate, &certificates.stranger_key)).await;
    assert_eq!(fault, TlsFault::ClientCertificate);
    assert!(text.contains("sslcert") && text.contains("sslkey"), "{text}");
    let ours = with(&certificates.client_certificate, &certificates.client_key);
    DatabaseOptions::new(ours).open().await.unwrap().close().await;
}
