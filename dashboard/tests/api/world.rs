//! A database, a server on it, and tokens.

use std::net::SocketAddr;

use ackord_dashboard::{Api, ApiOptions, router};
use ackord_entities::database::Database;
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::api_token::ApiRole;
use ackord_entities::testing::TestDatabase;
use ackord_producer::Doorbell;
use ackord_producer::operate::{Operator, TokenRequest, create_token};
use sea_orm::DbBackend;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::Call;

pub(crate) struct World {
    pub(crate) test: TestDatabase,
    pub(crate) stop: CancellationToken,
    base: String,
    document: Value,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(crate) async fn open(backend: DbBackend) -> Option<Self> {
        Self::with(backend, |_| {}).await
    }

    /// As somebody wants it.
    pub(crate) async fn with(backend: DbBackend, change: impl FnOnce(&mut ApiOptions)) -> Option<Self> {
        let test = TestDatabase::open(backend).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut options = ApiOptions { requests_per_second: 0, ..ApiOptions::at(address) };
        change(&mut options);
        let stop = CancellationToken::new();
        let api = Api::new(test.database().clone(), catalogue(), Doorbell::default(), options, stop.clone());
        let app = router(api).into_make_service_with_connect_info::<SocketAddr>();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stopped).await });
        let mut world = Self { test, stop, base: format!("http://{address}"), document: Value::Null };
        world.document = world.get("/openapi.json").undocumented().expect(200).await.json();
        Some(world)
    }

    pub(crate) fn database(&self) -> &Database {
        self.test.database()
    }

    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn call(&self, method: &'static str, path: &str) -> Call {
        Call::new(&self.base, self.document.clone(), method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// A new token.
    pub(crate) async fn token(&self, name: &str, role: ApiRole, subject: Option<&str>) -> String {
        let database = self.database();
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let request = TokenRequest { name, role, subject, expires_at: None };
        let operator = Operator { name: "tester".to_owned(), reason: None };
        let (_, secret) = create_token(&tx, request, &operator, now).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        secret.reveal().to_owned()
    }
}
