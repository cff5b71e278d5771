//! While there are no tokens: this machine and nobody else.

use ackord_dashboard::{Api, ApiOptions};
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::testing::TestDatabase;
use ackord_producer::Doorbell;
use rstest::rstest;
use sea_orm::DbBackend;
use tokio_util::sync::CancellationToken;

use crate::world::World;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_this_machine_is_admin_until_there_is_one(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::open(backend).await else { return };
    world.get("/jobs").expect(200).await;
    world.post("/kinds/synthesis/pause").expect(200).await;
    let token = world.token("first", ApiRole::Viewer, None).await;
    assert_eq!(world.get("/jobs").expect(401).await.problem(), "no_token");
    world.get("/jobs").token(&token).expect(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_another_machine_and_a_page_of_another_site_are_turned_away() {
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    for host in ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"] {
        let answer = world.get("/jobs").header("host", host).expect(403).await;
        assert_eq!(answer.json()["field"], "host", "{host}");
    }
    world.get("/jobs").header("host", "localhost:1").expect(200).await;
    let cancel = "/kinds/synthesis/pause";
    let answer = world.post(cancel).header("origin", "http://evil.example").expect(403).await;
    assert_eq!(answer.json()["field"], "origin");
    world.post(cancel).header("origin", "null").expect(403).await;
    world.post(cancel).header("origin", world.base()).expect(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_is_refused_as_long_as_there_are_no_tokens() {
    let test = TestDatabase::sqlite().await;
    let api = |address: &str| {
        let options = ApiOptions::at(address.parse().unwrap());
        Api::new(test.database().clone(), catalogue(), Doorbell::default(), options, CancellationToken::new())
    };
    assert!(api("127.0.0.1:0").check().await.unwrap().is_ok());
    assert!(api("[::1]:0").check().await.unwrap().is_ok());
    let refusal = api("0.0.0.0:0").check().await.unwrap().unwrap_err();
    assert!(refusal.to_string().contains("0.0.0.0:0"), "{refusal}");
    let world = World::open(DbBackend::Sqlite).await.unwrap();
    world.token("first", ApiRole::Admin, None).await;
    let options = ApiOptions::at("0.0.0.0:0".parse().unwrap());
    let database = world.database().clone();
    let api = Api::new(database, catalogue(), Doorbell::default(), options, CancellationToken::new());
    assert!(api.check().await.unwrap().is_ok());
}
