//! A virtual host for one test.

use uuid::Uuid;

use crate::management::Management;
use crate::required::{RABBITMQ_MANAGEMENT_URL, RABBITMQ_URL, REQUIRE_RABBITMQ, left_out};

const PREFIX: &str = "ackord_test_";
const DAY_MS: u64 = 86_400_000;

/// A virtual host on the server that the tests of a run share: a test sees nobody else's queues. Dropping it deletes it
/// with all that is in it and closes its connections.
#[derive(Debug)]
pub struct VirtualHost {
    name: String,
    url: String,
    management: Management,
}

impl VirtualHost {
    /// A new one, or `None` where no server was given.
    ///
    /// # Panics
    /// When no server was given although `CI` or `ACKORD_TEST_REQUIRE_RABBITMQ` asks for one, or when it cannot be used.
    pub async fn new() -> Option<Self> {
        let (Ok(url), Ok(management)) = (std::env::var(RABBITMQ_URL), std::env::var(RABBITMQ_MANAGEMENT_URL))
        else {
            return left_out(
                REQUIRE_RABBITMQ,
                &format!("{RABBITMQ_URL} and {RABBITMQ_MANAGEMENT_URL} name no RabbitMQ"),
            );
        };
        let id = Uuid::now_v7();
        let name = format!("{PREFIX}{}_{}", day(id), id.simple());
        let management = Management::new(&management, &name);
        remove_left_overs(&management, day(id)).await;
        management.add_virtual_host().await.expect("a virtual host can be made");
        Some(Self { url: format!("{}/{name}", url.trim_end_matches('/')), name, management })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `amqp://USER:PASSWORD@HOST:PORT/NAME`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same through another address, as that of a [`Proxy`](crate::Proxy).
    pub fn url_at(&self, address: std::net::SocketAddr) -> String {
        let (before, after) = self.url.split_once('@').expect("the URL names a user");
        let (_, name) = after.split_once('/').expect("the URL names a virtual host");
        format!("{before}@{address}/{name}")
    }

    /// The same as another user, who need not exist.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        with_user(&self.url, user, password)
    }

    /// Where the server listens, for a [`Proxy`](crate::Proxy).
    pub fn address(&self) -> String {
        let (_, after) = self.url.split_once('@').expect("the URL names a user");
        let (address, _) = after.split_once('/').expect("the URL names a virtual host");
        address.to_owned()
    }

    /// The management API, looking at this virtual host.
    pub fn management(&self) -> &Management {
        &self.management
    }
}

impl Drop for VirtualHost {
    /// On a thread and a runtime of its own, because the test's runtime may be single-threaded and is being used.
    fn drop(&mut self) {
        let management = self.management.clone();
        let deleted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(management.delete_virtual_host()))
        });
        // A panic here could hide the test's own.
        match deleted.join() {
            Ok(Ok(Ok(()))) => {}
            other => eprintln!("the virtual host {} could not be deleted: {other:?}", self.name),
        }
    }
}

/// A URL with another user and password: which ones a run's servers have is the run's own affair.
///
/// # Panics
/// When the URL names no user.
pub fn with_user(url: &str, user: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
    let (_, rest) = rest.split_once('@').expect("the URL names a user");
    format!("{scheme}://{user}:{password}@{rest}")
}

/// Days since 1970. A name carries its day, so that left-overs are known by their names.
fn day(id: Uuid) -> u64 {
    u64::try_from(id.as_u128() >> 80).expect("48 bits of milliseconds") / DAY_MS
}

/// Virtual hosts of tests that were killed before today, on a server that outlives them.
async fn remove_left_overs(management: &Management, today: u64) {
    // RabbitMQ 4.0 answers 500 while one of them is being deleted: then a later test finds the left-overs.
    for name in management.virtual_hosts().await.unwrap_or_default() {
        let made = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()?.parse::<u64>().ok());
        if made.is_some_and(|made| made + 1 < today) {
            // Another test may be deleting the same one.
            let _ = management.at(&name).delete_virtual_host().await;
        }
    }
}
