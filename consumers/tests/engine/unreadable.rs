//! Messages that cannot be used: given up at once with their bytes, or, if a newer program wrote them, after an hour.

use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{MAX_PAYLOAD_BYTES, Synthesis};
use ackord_entities::queue::dead_letter::{self, Reason};
use ackord_entities::queue::job::{self, Origin};
use ackord_entities::queue::outbox::Cause;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::topology::{JOBS_EXCHANGE, PUBLISH_EXCHANGE};
use ackord_producer::broker::{Broker, Confirm};

use crate::kinds::{Noted, Scripted, Short, Strict, Versioned, Work};
use crate::steps::{
    advance, all_settled, effects_of, letter_with, letters_of, message, now, raw, reasons, staged, waiting,
};

fn registry() -> Registry {
    Registry::new()
        .with(Scripted::<Short>::new())
        .with(Scripted::<Strict>::new())
        .with(Scripted::<Work>::new())
        .with(Scripted::<Versioned>::new())
}

/// Delivers a message that is given up, a good one behind it, and answers the letter of the first.
async fn given_up(stage: &Stage, bad: Message, reason: Reason) -> dead_letter::Model {
    stage.deliver(bad).await;
    let letter = letter_with(stage, reason).await;
    let good = stage.publish(&Short::new("tea")).await;
    assert_eq!(stage.ended(good).await.state, JobState::Succeeded);
    all_settled::<Short>(stage).await;
    all_settled::<Work>(stage).await;
    letter
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_kept_with_its_bytes() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let id = JobId::new();
        let mut bad = raw::<Work>(id, None, "");
        bad.body = vec![b'{', 0xff, 0x00, b'}'].into();
        let letter = given_up(&stage, bad, Reason::Undecodable).await;
        assert_eq!(letter.body, [b'{', 0xff, 0x00, b'}']);
        assert_eq!(letter.error_code, "not_json");
        assert_eq!(letter.queue.as_deref(), Some("ackord.work"));
        assert!(job::find(stage.database.read(), id).await.unwrap().is_none(), "nobody could perform it");
        stage.stop().await;
    }
}

impl Noted for Synthesis {
    fn note(&self) -> &str {
        &self.topic
    }
}

/// A body that breaks the contract of `synthesis`, the letter's code, and what its text says: which field, what was found,
/// what is wanted.
fn misfits() -> Vec<(&'static str, Vec<u8>, &'static str, Vec<String>)> {
    let said = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let json =
        |name, body: &str, texts: &[&str]| (name, body.as_bytes().to_vec(), "invalid_payload", said(texts));
    let broken = |name, body: Vec<u8>, texts: &[&str]| (name, body, "not_json", said(texts));
    let long = "x".repeat(5_000);
    vec![
        json("wrong type", r#"{"topic": 7}"#, &["field `topic`: found integer `7`, wanted a string"]),
        json(
            "wrong type in a list",
            r#"{"topic": "a", "starting_node_ids": [7]}"#,
            &["`starting_node_ids[0]`", "UUID"],
        ),
        json(
            "no fraction",
            r#"{"topic": "a", "max_words": 99.5}"#,
            &["`max_words`", "found floating point `99.5`", "wanted a whole number"],
        ),
        json("missing field", "{}", &["field `topic`: is missing"]),
        json(
            "unknown field",
            r#"{"topic": "a", "colour": 1}"#,
            &["field `colour`: is not known here: wanted one of `topic`"],
        ),
        json(
            "out of range",
            r#"{"topic": "a", "exploration_budget": 201}"#,
            &["field `exploration_budget`: is 201: give 1 to 200"],
        ),
        json(
            "too long",
            &format!(r#"{{"topic": "{long}"}}"#),
            &["field `topic`: has 5000 characters: give at most 500"],
        ),
        json(
            "a long value of a wrong type",
            &format!(r#"{{"topic": "a", "max_words": "{long}"}}"#),
            &["`max_words`", "xxx...", "wanted a whole number"],
        ),
        json(
            "a long unknown field",
            &format!(r#"{{"topic": "a", "{long}": 1}}"#),
            &["xxx...", "is not known here"],
        ),
        json(
            "wrong variant",
            r#"{"topic": "a", "visibility": "secret"}"#,
            &["field `visibility`: found `secret`, wanted `public` or `private`"],
        ),
        json(
            "variant as an object",
            r#"{"topic": "a", "visibility": {"public": null}}"#,
            &["field `visibility", "found map, wanted a string"],
        ),
        json("NUL", r#"{"topic": "a\u0000b"}"#, &["field `topic`: contains a NUL character"]),
        json("a list", r#"["a", [], 20]"#, &["found sequence, wanted an object"]),
        json("null", "null", &["found null, wanted an object"]),
        json(
            "a field twice",
            r#"{"topic": "a", "topic": "b"}"#,
            &["field `topic`: stands there more than once"],
        ),
        json(
            "deep below an unknown field",
            &format!(r#"{{"topic": "a", "deep": {}}}"#, "[".repeat(100_000)),
            &["field `deep`"],
        ),
        json("deep nesting", &"[".repeat(100_000), &["found sequence, wanted an object"]),
        json(
            "deep below a field",
            &format!(r#"{{"starting_node_ids": {}"#, "[".repeat(100_000)),
            &["`starting_node_ids[0]`", "found sequence"],
        ),
        broken(
            "not UTF-8",
            b"{\"topic\":\n \"a\xff\"}".to_vec(),
            &["line 2, column 4", "byte 14 is not UTF-8"],
        ),
        broken(
            "not UTF-8 where nobody looks",
            b"{\"topic\": \"a\", \"colour\": \"\xff\"}".to_vec(),
            &["not UTF-8"],
        ),
        broken("nothing", Vec::new(), &["the message is empty"]),
        broken("blanks", b" \n ".to_vec(), &["the message is empty"]),
        broken("half of it", br#"{"topic": "a""#.to_vec(), &["line 1, column 13"]),
        (
            "huge",
            vec![b'x'; MAX_PAYLOAD_BYTES + 1],
            "payload_too_large",
            said(&["1048577 bytes", "the limit is 1048576"]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_contract_is_given_up_with_its_field_and_with_what_is_wanted() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(Scripted::<Synthesis>::new());
        let mut stage = staged(database, registry).await;
        for (name, body, code, texts) in misfits() {
            let id = JobId::new();
            let bad = Message { body: body.clone().into(), ..raw::<Synthesis>(id, None, "") };
            stage.deliver(bad).await;
            let letter =
                eventually("it has a dead letter", async || letters_of(&stage, id).await.pop()).await;
            assert_eq!((letter.reason, letter.error_code.as_str()), (Reason::Undecodable, code), "{name}");
            assert!(letter.body == body, "{name}: the bytes differ");
            for text in texts {
                assert!(
                    letter.public_error.contains(&text),
                    "{name}: no `{text}` in: {}",
                    letter.public_error
                );
            }
            assert!(letter.error.len() < 1_500, "{name}: {} bytes of error", letter.error.len());
        }
        let good = JobId::new();
        stage.deliver(raw::<Synthesis>(good, None, r#"{"topic": "a", "max_words": 100.0}"#)).await;
        assert_eq!(stage.ended(good).await.state, JobState::Succeeded);
        all_settled::<Synthesis>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_does_not_fit_is_named() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let bad = raw::<Short>(JobId::new(), None, r#"{"note":7}"#);
        let letter = given_up(&stage, bad, Reason::Undecodable).await;
        assert!(letter.public_error.contains("`note`"), "{}", letter.public_error);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_character_in_a_payload_is_named_with_its_field() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let bad = raw::<Short>(JobId::new(), None, r#"{"note":"a\u0000b"}"#);
        let letter = given_up(&stage, bad, Reason::Undecodable).await;
        assert!(letter.public_error.contains("`note`") && letter.public_error.contains("NUL"));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_character_outside_of_the_payload_stops_nobody() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let named = message("order\0 4711", None, &Work::new("tea"));
        stage.deliver(named).await;
        let mut raw_nul = raw::<Versioned>(JobId::new(), None, "{\"note\":\"\0\"}");
        raw_nul.schema_version = Some(9);
        stage.deliver(raw_nul).await;
        let mut traced = message(JobId::new(), None, &Work::new("cake"));
        traced.traceparent = Some("00-\0".to_owned());
        stage.deliver(traced).await;
        for good in [stage.publish(&Work::new("tea")).await] {
            assert_eq!(stage.ended(good).await.state, JobState::Succeeded);
        }
        all_settled::<Work>(&stage).await;
        all_settled::<Versioned>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_whose_check_panics_is_given_up_and_the_worker_goes_on() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let bad = raw::<Short>(JobId::new(), None, r#"{"note":"panic in validate"}"#);
        given_up(&stage, bad, Reason::Undecodable).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_an_id_is_given_up() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        for id in [None, Some(String::new())] {
            let bad = Message { message_id: id, ..message("", None, &Work::new("tea")) };
            let letter = given_up(&stage, bad, Reason::NoMessageId).await;
            assert_eq!(letter.job_id, None);
        }
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_an_unknown_kind_is_given_up_wherever_it_ends_up() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        // The relay's exchange refuses it, and the publishers' keeps it for the archive.
        let stranger =
            Message { kind: Some("stranger".to_owned()), ..message(JobId::new(), None, &Work::new("tea")) };
        let refused = stage.broker.publish(JOBS_EXCHANGE, std::slice::from_ref(&stranger)).await.unwrap();
        assert!(matches!(refused[0], Confirm::Refused(_)));
        stage.broker.publish(PUBLISH_EXCHANGE, &[stranger]).await.unwrap();
        let letter = letter_with(&stage, Reason::Unroutable).await;
        assert_eq!(
            (letter.kind.as_deref(), letter.body.as_slice()),
            (Some("stranger"), br#"{"note":"tea"}"#.as_slice())
        );
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueued_job_whose_payload_can_no_longer_be_read_dies_with_it() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let id = stage.publish(&Strict::new("tea")).await;
        stage.ended(id).await;
        // A job of an earlier program, whose payload lacks a field.
        let id = crate::steps::in_transaction(&stage, async |tx, now| {
            let new = job::NewJob {
                id: JobId::new(),
                kind: "strict",
                version: 1,
                origin: Origin::Enqueue,
                max_attempts: 5,
                payload: r#"{"colour":"red"}"#.to_owned(),
                subject: None,
                dedup_key: None,
                parent_id: None,
                traceparent: None,
            };
            job::insert(tx, std::slice::from_ref(&new), now).await.unwrap();
            ackord_entities::queue::outbox::reconcile(tx, None, now).await.unwrap();
            new.id
        })
        .await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Dead, 0));
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::Undecodable]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_payload_is_upgraded() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let id = JobId::new();
        let mut old = raw::<Versioned>(id, None, r#"{"note":"tea"}"#);
        old.schema_version = None;
        stage.deliver(old).await;
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_payload_waits_for_an_hour_and_is_then_given_up() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let id = JobId::new();
        let mut newer = raw::<Versioned>(id, None, r#"{"brand":"new"}"#);
        newer.schema_version = Some(3);
        stage.deliver(newer).await;
        let mut looks = 0;
        loop {
            let state = eventually("it waits, or has ended", async || {
                let job = job::find(stage.database.read(), id).await.ok()??;
                let message = waiting(&stage, id).await;
                match message {
                    _ if job.state.is_end() => Some(None),
                    Some(message) if message.due_at > now(&stage).await => Some(Some(message)),
                    _ => None,
                }
            })
            .await;
            let Some(message) = state else { break };
            assert_eq!(message.cause, Cause::Deferral);
            assert!(message.reason.unwrap().contains("version 3"));
            looks += 1;
            stage.database.clock().advance(Duration::from_secs(601));
            stage.doorbell.ring();
        }
        assert!((6..=7).contains(&looks), "{looks} looks in an hour of ten minutes each");
        let job = stage.job(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Dead, 0));
        let letters = letters_of(&stage, id).await;
        assert_eq!(reasons(&letters), [Reason::NewerVersion]);
        assert_eq!(letters[0].body, br#"{"brand":"new"}"#);
        advance(&stage, 1);
        stage.stop().await;
    }
}
