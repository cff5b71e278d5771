//! Messages from publishers that know nothing of ackord but its exchange: RabbitMQ, Postgres and the program are real, and one
//! of the publishers is the example in Python.

use std::process::{Command, Output};
use std::time::Duration;

use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::{self, Reason};
use ackord_entities::queue::job::{self, Filter, Origin};
use ackord_entities::queue::outbox;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_test_servers::{Management, VirtualHost, eventually};
use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::program::{Folder, Running};

const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The program on servers of its own.
struct System {
    database: TestDatabase,
    broker: VirtualHost,
    folder: Folder,
    // Ended first: the fields are dropped in their order, and a killed process holds nothing.
    program: Option<Running>,
}

impl System {
    async fn start(environment: &[(&str, &str)]) -> Option<Self> {
        let database = TestDatabase::empty(DbBackend::Postgres).await?;
        let broker = VirtualHost::new().await?;
        let folder = Folder::empty();
        let (database_url, broker_url) = (database.url().to_owned(), broker.url().to_owned());
        let arguments = ["--database", &database_url, "--broker", &broker_url];
        let program = Some(folder.up_with(&arguments, environment));
        Some(Self { database, broker, folder, program })
    }

    fn management(&self) -> &Management {
        self.broker.management()
    }

    /// Publishes as a foreign program does.
    async fn publish(&self, key: &str, properties: Value, body: &str) {
        let routed = self.management().publish("ackord.publish", key, properties, body).await.unwrap();
        assert!(routed, "the alternate exchange takes what no queue wants");
    }

    async fn jobs(&self) -> Vec<job::Model> {
        let database = self.database.reopen().await;
        let jobs = job::list(database.read(), &Filter::default(), 1_000).await.unwrap();
        database.close().await;
        jobs
    }

    /// The job of a message with this body, once it has ended.
    async fn ended(&self, body: &str) -> job::Model {
        eventually("the job has ended", PATIENCE, async || {
            self.jobs().await.into_iter().find(|job| job.payload == body && job.state.is_end())
        })
        .await
    }

    async fn letters(&self) -> Vec<dead_letter::Model> {
        let database = self.database.reopen().await;
        let letters =
            dead_letter::list(database.read(), &dead_letter::Filter::default(), 1_000).await.unwrap();
        database.close().await;
        letters
    }

    /// The dead letter of a message with this body.
    async fn letter(&self, body: &str) -> dead_letter::Model {
        eventually("it has a dead letter", PATIENCE, async || {
            self.letters().await.into_iter().find(|letter| letter.body == body.as_bytes())
        })
        .await
    }

    fn python(&self, url: &str, arguments: &[&str]) -> Ran {
        Ran::of(&self.folder, url, arguments)
    }

    fn stop(mut self) {
        let (code, log) = self.program.take().unwrap().stop();
        assert_eq!(code, Some(0), "{log}");
    }
}

/// A run of the example in Python.
struct Ran {
    code: Option<i32>,
    output: Output,
}

impl Ran {
    fn of(folder: &Folder, url: &str, arguments: &[&str]) -> Self {
        let python = std::env::var("ACKORD_TEST_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python/publish.py");
        let mut command = Command::new(python);
        command.current_dir(folder.path()).env("AMQP_URL", url).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = command.arg(example).args(arguments).output().unwrap();
        Self { code: output.status.code(), output }
    }

    #[track_caller]
    fn published(self) -> String {
        assert_eq!(self.code, Some(0), "{}", String::from_utf8_lossy(&self.output.stderr));
        let answer: Value = serde_json::from_slice(&self.output.stdout).unwrap();
        answer["message_id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn complains(self, code: i32, words: &str) {
        let text = String::from_utf8(self.output.stderr).unwrap();
        assert_eq!(self.code, Some(code), "{text}");
        assert!(text.contains(words), "no `{words}` in: {text}");
        assert!(!text.contains("Traceback"), "{text}");
    }
}

/// Whether the example can be run here. In tests/run it always can.
fn has_python() -> bool {
    let python = std::env::var("ACKORD_TEST_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let found =
        Command::new(python).args(["-c", "import pika"]).output().is_ok_and(|ran| ran.status.success());
    let required = std::env::var("CI").is_ok_and(|value| value == "true")
        || std::env::var("ACKORD_TEST_REQUIRE_RABBITMQ").is_ok_and(|value| value == "1");
    assert!(found || !required, "python3 with pika is missing: apt-get install python3-pika");
    if !found {
        eprintln!("left out: there is no python3 with pika");
    }
    found
}

fn id(message_id: &str) -> Value {
    json!({ "message_id": message_id, "type": "synthesis", "content_type": "application/json", "delivery_mode": 2 })
}

fn with_headers(mut properties: Value, headers: Value) -> Value {
    properties["headers"] = headers;
    properties
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_publishes_twice_is_one_job() {
    if !has_python() {
        return;
    }
    let Some(system) = System::start(&[]).await else { return };
    let body = r#"{"topic": "leases"}"#;
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    for _ in 0..3 {
        let arguments = ["synthesis", body, "--message-id", "order-4711", "--traceparent", &traceparent];
        assert_eq!(system.python(system.broker.url(), &arguments).published(), "order-4711");
    }
    let job = system.ended(body).await;
    assert_eq!((job.origin, job.version), (Origin::Direct, 1));
    assert!(job.traceparent.unwrap().contains(TRACE), "the trace goes on in the job");
    // A UUID of version 7 is the job's own id; any other one is a foreign id.
    let (ours, foreign) = (JobId::new().to_string(), "f47ac10b-58cc-4372-a567-0e02b2c3d479");
    let (second, third) = (r#"{"topic": "terms"}"#, r#"{"topic": "fences"}"#);
    system.python(system.broker.url(), &["synthesis", second, "--message-id", &ours]).published();
    system.python(system.broker.url(), &["synthesis", third, "--message-id", foreign]).published();
    assert_eq!(system.ended(second).await.id.to_string(), ours);
    assert_ne!(system.ended(third).await.id.to_string(), foreign);
    // The same id once more, long after its job has ended.
    system.python(system.broker.url(), &["synthesis", body, "--message-id", "order-4711"]).published();
    system.python(system.broker.url(), &["synthesis", r#"{"topic": "the last one"}"#]).published();
    system.ended(r#"{"topic": "the last one"}"#).await;
    assert_eq!(system.jobs().await.len(), 4);
    assert_eq!(system.letters().await.len(), 0);
    system.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_says_what_is_wrong() {
    if !has_python() {
        return;
    }
    let Some(broker) = VirtualHost::new().await else { return };
    let folder = Folder::empty();
    let (management, url) = (broker.management(), broker.url());
    let publish = |url: &str| Ran::of(&folder, url, &["synthesis", "{}", "--message-id", "order-4711"]);
    publish(url).complains(2, "there is no kind `synthesis`");
    let full = json!({ "x-max-length": 1, "x-overflow": "reject-publish" });
    management.declare_queue("ackord.synthesis", full).await.unwrap();
    publish(url).complains(2, "no exchange 'ackord.publish'");
    management.declare_exchange("ackord.publish", "direct", json!({})).await.unwrap();
    publish(url).complains(2, "no queue takes `synthesis`");
    management.bind("ackord.publish", "ackord.synthesis", "synthesis").await.unwrap();
    publish(url).published();
    publish(url).complains(1, "did not take the message");
    Ran::of(&folder, url, &["synthesis", "{"]).complains(2, "not JSON");
    // A user that may do nothing but publish there, as docs/publishing.md advises.
    management.purge_queue("ackord.synthesis").await.unwrap();
    let user = broker.name();
    management.add_user(user, "secret").await.unwrap();
    management.permit(user, "^$", r"^ackord\.publish$", "^$").await.unwrap();
    let ran = publish(&broker.url_as(user, "secret"));
    management.delete_user(user).await.unwrap();
    ran.published();
    publish("amqp://guest:guest@127.0.0.1:1/%2f").complains(1, "cannot be reached");
    publish(&broker.url_as("nobody", "wrong")).complains(2, "does not let this user in");
    publish(&format!("{url}_that_is_not_there")).complains(2, "does not let this user in");
    publish("amqp://[").complains(2, "no AMQP URL");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_job_is_a_dead_letter_with_its_bytes_and_its_reason() {
    let Some(system) = System::start(&[]).await else { return };
    let known = JobId::new().to_string();
    let good = r#"{"topic": "a good one"}"#;
    system.publish("synthesis", id(&known), good).await;
    let before = system.ended(good).await;
    let stranger = json!({ "message_id": "a-1", "type": "stranger" });
    let cases = [
        (Reason::Unroutable, "stranger", stranger.clone(), "no queue is bound"),
        (Reason::UnknownKind, "synthesis", stranger, "names kind `stranger`"),
        (Reason::UnknownKind, "synthesis", json!({ "message_id": "a-2" }), "names no kind"),
        (
            Reason::NotAccepted,
            "replay",
            json!({ "message_id": "a-3", "type": "replay" }),
            "takes no messages past enqueue",
        ),
        (Reason::NoMessageId, "synthesis", json!({ "type": "synthesis" }), "no message_id"),
        (Reason::Undecodable, "synthesis", id("a-4"), "field `max_words`: is 7: give 50 to 5000"),
        (
            Reason::Undecodable,
            "synthesis",
            with_headers(id("a-5"), json!({ "x-schema-version": "one" })),
            "field `x-schema-version`",
        ),
    ];
    for (number, (reason, key, properties, words)) in cases.into_iter().enumerate() {
        let wrong = if words.contains("max_words") { r#", "max_words": 7"# } else { "" };
        let body = format!(r#"{{"topic": "case {number}"{wrong}}}"#);
        system.publish(key, properties.clone(), &body).await;
        let letter = system.letter(&body).await;
        assert_eq!(letter.reason, reason, "case {number}: {}", letter.error);
        assert!(letter.error.contains(words), "case {number}: no `{words}` in: {}", letter.error);
        let headers = (*letter.headers).to_string();
        if let Some(message_id) = properties["message_id"].as_str() {
            assert!(headers.contains(message_id), "case {number}: {headers}");
        }
    }
    let jobs = system.jobs().await;
    assert_eq!(jobs, [before], "no other job was made, and the one that was there is as it was");
    system.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_a_publisher_has_made_up_counts_for_nothing() {
    let Some(system) = System::start(&[]).await else { return };
    let forged = |message_id: &str, seq: i32| with_headers(id(message_id), json!({ "x-ackord-seq": seq }));
    let known = JobId::new().to_string();
    let (good, other) = (r#"{"topic": "a good one"}"#, r#"{"topic": "another one"}"#);
    system.publish("synthesis", id(&known), good).await;
    let before = system.ended(good).await;
    // Duplicates, whatever they say.
    for seq in [1, 2, 5] {
        system.publish("synthesis", forged(&known, seq), r#"{"topic": "a forged one"}"#).await;
    }
    system.publish("synthesis", forged("a-6", 1), other).await;
    let made = system.ended(other).await;
    assert_eq!((made.origin, made.seq), (Origin::Direct, before.seq), "a job as any other");
    eventually("the queue is empty", PATIENCE, async || {
        let queue = system.management().queue("ackord.synthesis").await.ok()??;
        (queue.messages() == 0).then_some(())
    })
    .await;
    assert_eq!(system.jobs().await.into_iter().find(|job| job.id == before.id), Some(before));
    assert_eq!((system.jobs().await.len(), system.letters().await.len()), (2, 0));
    system.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_payload_is_a_job_that_waits_for_a_newer_program() {
    let Some(system) = System::start(&[]).await else { return };
    let body = r#"{"of": "the future"}"#;
    let newer = with_headers(id("order-4711"), json!({ "x-schema-version": 99 }));
    system.publish("synthesis", newer, body).await;
    let message = eventually("the job waits", PATIENCE, async || {
        let job = system.jobs().await.into_iter().find(|job| job.payload == body)?;
        let database = system.database.reopen().await;
        let waiting = outbox::of_jobs(database.read(), &[job.id]).await.unwrap().pop();
        database.close().await;
        assert_eq!((job.state, job.version, job.attempt), (JobState::Pending, 99, 0));
        waiting
    })
    .await;
    assert!(message.reason.unwrap().contains("version 99"));
    assert_eq!(system.letters().await.len(), 0);
    system.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_what_becomes_of_the_jobs_of_a_kind_that_tells() {
    let Some(system) = System::start(&[("ACKORD_NOTICES", "synthesis")]).await else { return };
    let management = system.management();
    management.declare_queue("listener", json!({})).await.unwrap();
    management.bind("ackord.events", "listener", "job.synthesis.*").await.unwrap();
    let message_id = JobId::new().to_string();
    let body = r#"{"topic": "leases"}"#;
    system.publish("synthesis", id(&message_id), body).await;
    let end = system.ended(body).await.state.to_string();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let taken = eventually("a notice is heard", PATIENCE, async || {
            Some(management.take("listener", 10).await.unwrap()).filter(|taken| !taken.is_empty())
        })
        .await;
        heard.extend(taken);
    }
    let keys: Vec<&str> = heard.iter().map(|message| message.routing_key.as_str()).collect();
    assert_eq!(keys, ["job.synthesis.running", &format!("job.synthesis.{end}")]);
    let document = system.folder.ackord(&["contract", "--json"]).expect(0).json();
    let mut schema = document["components"]["schemas"]["job-notice"].clone();
    schema["components"] = document["components"].clone();
    for message in heard {
        let notice: Value = serde_json::from_str(&message.payload).unwrap();
        assert_eq!(notice["job_id"], message_id);
        jsonschema::validate(&schema, &notice).unwrap_or_else(|error| panic!("{error}: {notice}"));
    }
    system.stop();
}
