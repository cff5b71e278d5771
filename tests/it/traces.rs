//! One trace from the publisher through the job to its follow-ups, as a collector sees it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, Failure, Handler, Outcome, Turn, Tx};
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Backoff, Job};
use ackord_entities::queue::job;
use ackord_entities::testing::TestDatabase;
use ackord_producer::trace::SPANS;
use ackord_producer::{Publish, enqueue};
use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_sdk::trace::SdkTracerProvider;
use schemars::JsonSchema;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;

use crate::collector::Collector;
use crate::program::Folder;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn traceparent(span: &Span) -> String {
    format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))
}

/// Fails once, then publishes a follow-up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Brew {
    note: String,
}

impl Job for Brew {
    const KIND: &'static str = "brew";
    const ACCEPTS_DIRECT: bool = true;
    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(1),
        factor: 1.0,
        longest: Duration::from_millis(1),
        jitter: 0.0,
    };
}

/// The follow-up: no slow half.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Pour {
    note: String,
}

impl Job for Pour {
    const KIND: &'static str = "pour";
    const PERFORMS: bool = false;
}

#[derive(Default)]
struct Brewer {
    calls: AtomicU32,
}

#[async_trait]
impl Handler for Brewer {
    type Job = Brew;
    type Output = ();

    async fn perform(&self, turn: &Turn<Brew>, _: &Context) -> Result<(), JobError> {
        tracing::info_span!("boil the water").in_scope(|| ());
        if turn.job.note == "fails once" && self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(JobError::Transient(Failure::new("cold", "the water is cold")));
        }
        Ok(())
    }

    async fn commit(&self, turn: &Turn<Brew>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        enqueue(tx, &Pour { note: turn.job.note.clone() }, &turn.follow_up(tx)).await?;
        Ok(Outcome::succeeded())
    }
}

struct Pourer;

#[async_trait]
impl Handler for Pourer {
    type Job = Pour;
    type Output = ();

    async fn commit(&self, _: &Turn<Pour>, (): &(), _: &Tx<'_>) -> Result<Outcome, JobError> {
        Ok(Outcome::succeeded())
    }
}

async fn follow_up_of(stage: &Stage, id: JobId) -> job::Model {
    let found = eventually("the follow-up is there", async || {
        job::Entity::find().filter(job::Column::ParentId.eq(id)).one(stage.database.read()).await.ok()?
    });
    let follow_up = found.await;
    stage.ended(follow_up.id).await
}

/// The exporter's client must not be made within a runtime, so this test makes its own.
#[test]
fn a_trace_goes_from_the_publisher_through_the_job_to_its_follow_up() {
    let collector = Collector::start();
    // The exporter's library is also that of the model, which encrypts: somebody has to choose with what.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", collector.url()))
        .with_protocol(Protocol::HttpBinary)
        .build()
        .unwrap();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let only_ours = tracing_subscriber::filter::Targets::new()
        .with_target(SPANS, tracing::Level::INFO)
        .with_target(module_path!(), tracing::Level::INFO);
    let subscriber =
        tracing_subscriber::registry().with(tracing_subscriber::Layer::with_filter(layer, only_ours));
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (enqueued, direct, follow_up) = runtime.block_on(async {
        let registry = Registry::new().with(Brewer::default()).with(Pourer);
        let mut stage = Stage::new(TestDatabase::sqlite().await, registry).await;
        stage.start(StageOptions::default());
        let tx = stage.database.begin().await.unwrap();
        let now = stage.database.clock().now(&tx).await.unwrap();
        let publish = Publish::at(now).traced(Some(format!("00-{TRACE}-{CALLER}-01")));
        let enqueued = enqueue(&tx, &Brew { note: "fails once".to_owned() }, &publish).await.unwrap().id;
        tx.commit().await.unwrap();
        stage.doorbell.ring();
        stage.ended(enqueued).await;
        let follow_up = follow_up_of(&stage, enqueued).await;

        let direct = JobId::new();
        stage
            .deliver(Message {
                message_id: Some(direct.to_string()),
                kind: Some(Brew::KIND.to_owned()),
                traceparent: Some(format!("00-{TRACE}-{CALLER}-01")),
                body: br#"{"note":"direct"}"#[..].into(),
                ..Message::default()
            })
            .await;
        stage.ended(direct).await;
        follow_up_of(&stage, direct).await;
        stage.stop().await;
        (enqueued, direct, follow_up)
    });
    provider.shutdown().unwrap();

    // The publisher's own span is the caller's; the job's is below it, each attempt below that.
    let published = collector
        .span("the publishing", |span| span.name == "publish brew" && hex(&span.parent_span_id) == CALLER);
    assert_eq!((hex(&published.trace_id).as_str(), published.kind), (TRACE, SpanKind::Producer as i32));
    let spans = collector.spans();
    let of_job = |id: JobId| {
        let attempts =
            spans.iter().filter(|span| span.name == "process brew" && says(span, "job.id", &id.to_string()));
        let mut attempts: Vec<&Span> = attempts.collect();
        attempts.sort_by_key(|span| span.start_time_unix_nano);
        attempts
    };
    let [failed, succeeded] = of_job(enqueued)[..] else {
        panic!("an attempt that failed and one that did not")
    };
    for attempt in [failed, succeeded] {
        assert_eq!((&attempt.trace_id, &attempt.parent_span_id), (&published.trace_id, &published.span_id));
        assert_eq!(attempt.kind, SpanKind::Consumer as i32);
        let performed = collector.child("perform", attempt);
        collector.child("boil the water", &performed);
        collector.child("commit", attempt);
        assert_eq!(says(&performed, "error.type", "cold"), attempt.span_id == failed.span_id);
    }
    assert!(
        spans
            .iter()
            .any(|span| span.name == "relay"
                && span.links.iter().any(|link| link.span_id == published.span_id))
    );

    // The follow-up is below the attempt that published it, and its message says so.
    let followed = collector.child("publish pour", succeeded);
    assert_eq!(follow_up.traceparent, Some(traceparent(&followed)));
    let poured = collector.child("process pour", &followed);
    assert_eq!(hex(&poured.trace_id), TRACE);

    // A direct publish has no publisher's span of ours: its job is below the header's.
    let [direct] = of_job(direct)[..] else { panic!("one attempt") };
    assert_eq!((hex(&direct.trace_id).as_str(), hex(&direct.parent_span_id).as_str()), (TRACE, CALLER));
    collector.child("publish pour", direct);
}

/// Whether a span has that attribute with that text.
fn says(span: &Span, key: &str, text: &str) -> bool {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    span.attributes.iter().any(|one| {
        let value = one.value.as_ref().and_then(|value| value.value.as_ref());
        one.key == key && matches!(value, Some(Value::StringValue(found)) if found == text)
    })
}

#[test]
fn the_program_sends_its_spans_to_the_collector_of_the_configuration() {
    let collector = Collector::start();
    let (folder, url) = (Folder::with_schema(), collector.url());
    let running = folder.up_with(&[], &[("ACKORD_OTLP_ENDPOINT", &url)]);
    let published = folder
        .command(&[
            "publish",
            "synthesis",
            "--payload",
            r#"{"topic": "leases"}"#,
            "--wait",
            "--timeout",
            "60s",
        ])
        .env("ACKORD_OTLP_ENDPOINT", &url)
        .output()
        .unwrap();
    assert_eq!(published.status.code(), Some(6), "{}", String::from_utf8_lossy(&published.stderr));
    let (code, log) = running.stop();
    assert_eq!(code, Some(0), "{log}");
    // Another process published it, and yet it is one trace.
    let published = collector.span("the publishing", |span| span.name == "publish synthesis");
    let processed = collector.child("process synthesis", &published);
    assert_eq!(processed.trace_id, published.trace_id);
    collector.child("perform", &processed);
    collector.child("commit", &processed);
}

#[test]
fn a_collector_that_is_away_stops_nothing() {
    let folder = Folder::with_schema();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let running = folder.up_with(&[], &[("ACKORD_OTLP_ENDPOINT", &url)]);
    let payload = r#"{"topic": "leases"}"#;
    folder.ackord(&["publish", "synthesis", "--payload", payload, "--wait", "--timeout", "60s"]).expect(6);
    assert_eq!(running.stop().0, Some(0));
    let refused = folder
        .command(&["up", "--json", "--log", "off"])
        .env("ACKORD_OTLP_ENDPOINT", "tea")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
