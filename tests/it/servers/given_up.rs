//! What RabbitMQ itself gives up, because worker after worker was lost with it: it comes through the broker's dead letters, ends its
//! job, and a worker that wakes up with it is too late.

use std::collections::BTreeMap;

use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::{self, Model, Reason};
use ackord_entities::testing::TestDatabase;
use ackord_test_servers::{Proxy, VirtualHost};
use rustix::process::Signal;
use sea_orm::DbBackend;
use serde_json::json;

use crate::process::{Testbed, Up};

const QUEUE: &str = "ackord.slow";
/// Where our own limit is a distant backstop, an operator's policy may be near: the smaller one counts.
const LIMIT: usize = 1;
/// A limit of n gives a message n + 1 deliveries.
const WORKERS: usize = LIMIT + 1;

/// Servers on which a message of the kind `slow` is soon given up.
struct Strict {
    testbed: Testbed,
    host: VirtualHost,
    database: TestDatabase,
}

impl Strict {
    async fn new() -> Option<Self> {
        let database = TestDatabase::empty(DbBackend::Postgres).await?;
        let host = VirtualHost::new().await?;
        let limit = json!({ "delivery-limit": LIMIT });
        host.management().set_policy("strict", r"^ackord\.slow$", "queues", limit).await.unwrap();
        let testbed = Testbed::on(database.url().to_owned(), host.url().to_owned(), ()).await;
        Some(Self { testbed, host, database })
    }

    /// Waits until so many workers have begun to work on the message.
    async fn is_worked_on(&self, workers: usize) {
        self.testbed.until_said("a slow half waits for a file", workers).await;
    }

    /// The job of the message has ended, without an effect. Answers its dead letter.
    async fn is_dead(&self, job: JobId) -> Model {
        let given_up = BTreeMap::from([("delivery_limit".to_owned(), 1)]);
        let audit = self.testbed.until("its job is dead", |audit| {
            audit.kinds.get("slow").is_some_and(|slow| slow.dead == given_up)
        });
        let audit = audit.await;
        let slow = &audit.kinds["slow"];
        assert_eq!((slow.jobs, slow.effects, slow.unfinished), (1, 0, 0), "{slow:#?}");
        assert!(audit.is_at_rest() && (audit.stray_letters, audit.stray_effects) == (0, 0), "{audit:#?}");
        let database = self.database.reopen().await;
        let mut letters = dead_letter::of_job(database.read(), job).await.unwrap();
        database.close().await;
        assert_eq!(letters.len(), 1);
        letters.remove(0)
    }
}

fn says_so(letter: &Model) {
    assert_eq!((letter.reason, letter.queue.as_deref()), (Reason::DeliveryLimit, Some(QUEUE)));
    assert!(letter.error.contains("handed it over from ackord.slow too often"), "{}", letter.error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_workers_are_killed_is_given_up_by_the_broker_and_its_dead_letter_says_so() {
    let Some(mut strict) = Strict::new().await else { return };
    let gate = strict.testbed.path("gate");
    strict.testbed.publish_with(&["--until-file", gate.to_str().unwrap()], &[("slow", 1)]).await;
    for number in 1..=WORKERS {
        let up = strict.testbed.up(&[], None);
        strict.is_worked_on(number).await;
        // Its relay has noted the message as sent: the next one must not send another, which would count its own deliveries.
        strict.testbed.until("nothing waits to be sent", |audit| audit.outbox == 0).await;
        up.signal(Signal::KILL);
        up.dies().await;
    }
    // Whoever got it now would have its effect.
    std::fs::write(gate, "").unwrap();
    let up = strict.testbed.up(&[], None);
    let job = strict.testbed.accepted[0].parse().unwrap();
    says_so(&strict.is_dead(job).await);
    up.signal(Signal::TERM);
    up.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_that_the_broker_gave_up_has_no_effect_of_the_workers_that_wake_up_with_it() {
    let Some(strict) = Strict::new().await else { return };
    let (gate, job) = (strict.testbed.path("gate"), JobId::new());
    let payload = json!({ "milliseconds": 0, "until_file": gate }).to_string();
    let properties = json!({ "message_id": job.to_string(), "type": "slow", "delivery_mode": 2 });
    let mut frozen: Vec<(Proxy, Up)> = Vec::new();
    for number in 1..=WORKERS {
        let proxy = Proxy::to(strict.host.address()).await;
        let mut up = strict.testbed.up_through(&strict.host.url_at(proxy.address()));
        up.ready().await;
        if number == 1 {
            let publishing =
                strict.host.management().publish("ackord.publish", "slow", properties.clone(), &payload);
            assert!(publishing.await.unwrap());
        }
        strict.is_worked_on(number).await;
        up.signal(Signal::STOP);
        // As when the broker has heard nothing of it for long enough.
        proxy.cut().await;
        frozen.push((proxy, up));
    }
    let lively = strict.testbed.up(&[], None);
    says_so(&strict.is_dead(job).await);

    // They find their work done, and their commit too late.
    std::fs::write(gate, "").unwrap();
    for (proxy, up) in &frozen {
        proxy.restore().await;
        up.signal(Signal::CONT);
    }
    for up in frozen.into_iter().map(|(_, up)| up).chain([lively]) {
        up.signal(Signal::TERM);
        up.ends_well().await;
    }
    says_so(&strict.is_dead(job).await);
}
