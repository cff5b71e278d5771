//! `ackord publish`.

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::jobs::{KindSpec, OnDuplicate, catalogue};
use ackord_entities::queue::idempotency::{self, Known};
use ackord_producer::story::JobView;
use ackord_producer::{Enqueued, Publish, enqueue_json};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::jobs::{exit_of, sentence, wait_for};
use super::payload;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{Session, ring};
use crate::terminal::moment;

/// The scope of idempotency keys: a publish by any way shares it.
const SCOPE: &str = "publish";

/// Publish a job: checks the payload against its kind, writes the job, prints its id
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord publish synthesis --payload '{\"topic\": \"outbox\"}'
  ackord publish synthesis --payload @job.json --delay 10m
  jq .order order.json | ackord publish order --payload - --wait --timeout 1m")]
pub(crate) struct PublishArgs {
    /// The kind
    kind: String,
    /// The payload: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true, default_value = "{}")]
    payload: String,
    /// Not before this long from now, for example 90s or 2h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "at")]
    delay: Option<Duration>,
    /// Not before this moment, for example 2026-12-24T18:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = parse_moment)]
    at: Option<DateTime<Utc>>,
    /// The same key within a day gives the first answer and publishes nothing
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until the job has ended
    #[arg(long)]
    wait: bool,
    /// How long to wait at most, for example 30s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Option<Duration>,
}

pub(crate) fn parse_moment(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.to_utc())
        .map_err(|error| format!("{error}; give RFC 3339 such as 2026-12-24T18:00:00Z"))
}

/// What became of the request. The JSON is a stable interface.
#[derive(Serialize)]
struct Published {
    #[serde(flatten)]
    enqueued: Enqueued,
    kind: &'static str,
    /// Whether the idempotency key was known: nothing was published, this is the first answer.
    answered_before: bool,
    due_at: Option<DateTime<Utc>>,
    /// With `--wait`: how it ended.
    job: Option<JobView>,
}

impl PublishArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let catalogue = catalogue();
        let spec = catalogue.require(&self.kind)?;
        let payload = payload::read(&self.payload)?;
        // Before the database is opened: what does not fit needs none.
        spec.check(spec.version, payload.as_bytes())?;
        let database = session.database().await?;
        let mut published = self.publish(&database, spec, &payload).await?;
        ring(&database).await;
        if !self.wait {
            session.terminal.answer(&published, || text(&published, spec))?;
            return Ok(Exit::Success);
        }
        session.terminal.say(&text(&published, spec))?;
        let ended = wait_for(&database, published.enqueued.id, self.timeout, session.terminal).await?;
        let (exit, line) = (exit_of(&ended), sentence(&ended));
        published.job = Some(ended);
        session.terminal.answer(&published, || line)?;
        Ok(exit)
    }

    /// One transaction: the job, its message, and the answer to the idempotency key.
    async fn publish(
        &self,
        database: &Database,
        spec: &KindSpec,
        payload: &str,
    ) -> anyhow::Result<Published> {
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let due_at = self.at.or_else(|| Some(now + chrono::TimeDelta::from_std(self.delay?).ok()?));
        let publish = Publish::at(now).due_at(due_at.unwrap_or(now));
        let enqueued = enqueue_json(&tx, spec, payload, &publish).await?;
        let mut published =
            Published { enqueued, kind: spec.kind, answered_before: false, due_at, job: None };
        if let Some(key) = &self.idempotency_key {
            let answer = serde_json::to_string(&enqueued)?;
            match idempotency::remember(&tx, SCOPE, key, &self.request(payload), &answer, now).await? {
                Known::New => {}
                Known::Answered(first) => {
                    // Takes back the job that was written a moment ago.
                    tx.rollback().await?;
                    published.enqueued = first_answer(&first)?;
                    published.answered_before = true;
                    return Ok(published);
                }
                Known::OtherRequest => return Err(other_request(key).into()),
            }
        }
        tx.commit().await?;
        Ok(published)
    }

    /// What makes a request the same as an earlier one.
    fn request(&self, payload: &str) -> String {
        serde_json::json!([self.kind, payload, self.delay.map(|delay| delay.as_micros()), self.at])
            .to_string()
    }
}

fn first_answer(json: &str) -> anyhow::Result<Enqueued> {
    #[derive(serde::Deserialize)]
    struct Answer {
        id: ackord_entities::ids::JobId,
        duplicate: bool,
    }
    let answer: Answer = serde_json::from_str(json)?;
    Ok(Enqueued { id: answer.id, duplicate: answer.duplicate })
}

fn other_request(key: &str) -> Problem {
    Problem::refused(format!("the idempotency key `{key}` was used for another request within a day"))
        .remedy("take another key for another request")
}

fn text(published: &Published, spec: &KindSpec) -> String {
    let id = published.enqueued.id;
    if published.answered_before {
        return format!("{id}\nanswered before: nothing new was published");
    }
    if published.enqueued.duplicate {
        let more = match spec.on_duplicate {
            OnDuplicate::Drop => "nothing new was published",
            OnDuplicate::RunAgain => "it runs once more when it ends",
        };
        return format!("{id}\nthis job holds the dedup key already: {more}");
    }
    match published.due_at {
        Some(due) => format!("{id}\nscheduled for {}", moment(due)),
        None => id.to_string(),
    }
}
