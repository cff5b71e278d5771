//! Kinds for tests, and a handler for any of them that does what its test says.

use std::collections::BTreeMap;
use std::time::Duration;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, End, Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::{Backoff, Invalid, Job, OnDuplicate};
use async_trait::async_trait;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::effects::write_effect;

/// Retried at once.
pub(crate) const QUICK: Backoff = Backoff {
    initial: Duration::from_millis(1),
    factor: 1.0,
    longest: Duration::from_millis(1),
    jitter: 0.0,
};

/// Retried in an hour, which comes when the clock is moved.
pub(crate) const PATIENT: Backoff = Backoff {
    initial: Duration::from_secs(3600),
    factor: 1.0,
    longest: Duration::from_secs(3600),
    jitter: 0.0,
};

/// What all test payloads have.
pub(crate) trait Noted: Job {
    fn note(&self) -> &str;
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident = $kind:literal; $($rule:item)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            pub(crate) note: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) key: Option<String>,
        }

        #[allow(dead_code, reason = "not every kind is published both ways")]
        impl $name {
            pub(crate) fn new(note: &str) -> Self {
                Self { note: note.to_owned(), key: None }
            }

            pub(crate) fn keyed(note: &str, key: &str) -> Self {
                Self { note: note.to_owned(), key: Some(key.to_owned()) }
            }
        }

        impl Noted for $name {
            fn note(&self) -> &str {
                &self.note
            }
        }

        impl Job for $name {
            const KIND: &'static str = $kind;
            $($rule)*
        }
    };
}

kind! {
    /// A short job: a commit half only, in groups; may be published directly. The key is its dedup key.
    Short = "short";
    const PERFORMS: bool = false;
    const ACCEPTS_DIRECT: bool = true;
    const MAX_ATTEMPTS: u32 = 3;
    const BACKOFF: Backoff = QUICK;

    fn dedup_key(&self) -> Option<String> {
        self.key.clone()
    }

    fn validate(&self) -> Result<(), Invalid> {
        assert_ne!(self.note, "panic in validate");
        if self.note.is_empty() { Err(Invalid::new("note", "must not be empty")) } else { Ok(()) }
    }
}

kind! {
    /// Like `Short`, and every message must have passed `enqueue`.
    Strict = "strict";
    const PERFORMS: bool = false;
    const BACKOFF: Backoff = QUICK;
}

kind! {
    /// Both halves, the delivery is kept until the commit. The key is its dedup key.
    Work = "work";
    const ACCEPTS_DIRECT: bool = true;
    const MAX_ATTEMPTS: u32 = 3;
    const BACKOFF: Backoff = QUICK;

    fn dedup_key(&self) -> Option<String> {
        self.key.clone()
    }
}

kind! {
    /// Its attempts may take 50 ms, and its retries wait as long as by default.
    Hasty = "hasty";
    const TIMEOUT: Duration = Duration::from_millis(50);
    const MAX_ATTEMPTS: u32 = 2;
}

kind! {
    /// Deferred three times at most.
    Impatient = "impatient";
    const PERFORMS: bool = false;
    const MAX_DEFERRED: u32 = 3;
    const BACKOFF: Backoff = QUICK;
}

kind! {
    /// A duplicate makes the holder run once more.
    Again = "again";
    const ON_DUPLICATE: OnDuplicate = OnDuplicate::RunAgain;
    const BACKOFF: Backoff = QUICK;

    fn dedup_key(&self) -> Option<String> {
        self.key.clone()
    }
}

kind! {
    /// Handed over. The key is its lease.
    Long = "long";
    const HAND_OVER: bool = true;
    const ACCEPTS_DIRECT: bool = true;
    const BACKOFF: Backoff = QUICK;

    fn lease_key(&self) -> Option<String> {
        self.key.clone()
    }
}

kind! {
    /// Handed over. The key is its dedup key.
    LongOnce = "long-once";
    const HAND_OVER: bool = true;
    const BACKOFF: Backoff = PATIENT;

    fn dedup_key(&self) -> Option<String> {
        self.key.clone()
    }
}

kind! {
    /// The same; a duplicate makes the holder run once more.
    LongAgain = "long-again";
    const HAND_OVER: bool = true;
    const ON_DUPLICATE: OnDuplicate = OnDuplicate::RunAgain;

    fn dedup_key(&self) -> Option<String> {
        self.key.clone()
    }
}

/// Its payload changed its shape once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Versioned {
    pub(crate) note: String,
    pub(crate) colour: String,
}

impl Noted for Versioned {
    fn note(&self) -> &str {
        &self.note
    }
}

impl Job for Versioned {
    const KIND: &'static str = "versioned";
    const VERSION: u16 = 2;
    const OLD_SAMPLES: &'static [(u16, &'static str)] = &[(1, r#"{"note":"tea"}"#)];
    const PERFORMS: bool = false;
    const ACCEPTS_DIRECT: bool = true;
    const BACKOFF: Backoff = QUICK;

    fn upgrade(_from: u16, mut payload: Value) -> Result<Value, Invalid> {
        match payload.as_object_mut() {
            Some(fields) if !fields.contains_key("colour") => {
                fields.insert("colour".to_owned(), "none".into());
                Ok(payload)
            }
            _ => Err(Invalid::new("colour", "did not exist in version 1")),
        }
    }
}

type Perform<J> =
    dyn for<'a> Fn(&'a Turn<J>, &'a Context) -> BoxFuture<'a, Result<String, JobError>> + Send + Sync;
type Commit<J> =
    dyn for<'a> Fn(&'a Turn<J>, &'a Tx<'a>) -> BoxFuture<'a, Result<Outcome, JobError>> + Send + Sync;
type Accept<J> = dyn for<'a> Fn(&'a Turn<J>, &'a Tx<'a>) -> BoxFuture<'a, Result<(), JobError>> + Send + Sync;

/// A handler of `J`. Without a script its effect is the note, and `abandoned: <code>` for an end without success.
pub(crate) struct Scripted<J: Noted> {
    perform: Option<Box<Perform<J>>>,
    commit: Option<Box<Commit<J>>>,
    accept: Option<Box<Accept<J>>>,
    abandon: Option<Box<Accept<J>>>,
}

impl<J: Noted> Default for Scripted<J> {
    fn default() -> Self {
        Self { perform: None, commit: None, accept: None, abandon: None }
    }
}

impl<J: Noted> Scripted<J> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What the slow half does. Its answer is the effect.
    pub(crate) fn perform(
        mut self,
        script: impl for<'a> Fn(&'a Turn<J>, &'a Context) -> BoxFuture<'a, Result<String, JobError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.perform = Some(Box::new(script));
        self
    }

    /// What the short half does instead of writing the effect.
    pub(crate) fn commit(
        mut self,
        script: impl for<'a> Fn(&'a Turn<J>, &'a Tx<'a>) -> BoxFuture<'a, Result<Outcome, JobError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.commit = Some(Box::new(script));
        self
    }

    pub(crate) fn accept(
        mut self,
        script: impl for<'a> Fn(&'a Turn<J>, &'a Tx<'a>) -> BoxFuture<'a, Result<(), JobError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.accept = Some(Box::new(script));
        self
    }

    pub(crate) fn abandon(
        mut self,
        script: impl for<'a> Fn(&'a Turn<J>, &'a Tx<'a>) -> BoxFuture<'a, Result<(), JobError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.abandon = Some(Box::new(script));
        self
    }
}

#[async_trait]
impl<J: Noted> Handler for Scripted<J> {
    type Job = J;
    type Output = String;

    async fn perform(&self, turn: &Turn<J>, context: &Context) -> Result<String, JobError> {
        match &self.perform {
            Some(script) => script(turn, context).await,
            None => Ok(turn.job.note().to_owned()),
        }
    }

    async fn commit(&self, turn: &Turn<J>, output: &String, tx: &Tx<'_>) -> Result<Outcome, JobError> {
        if let Some(script) = &self.commit {
            return script(turn, tx).await;
        }
        let note = if J::PERFORMS { output.as_str() } else { turn.job.note() };
        write_effect(tx, turn.id, note).await?;
        Ok(Outcome::succeeded())
    }

    async fn accept(&self, turn: &Turn<J>, tx: &Tx<'_>) -> Result<(), JobError> {
        match &self.accept {
            Some(script) => script(turn, tx).await,
            None => Ok(()),
        }
    }

    async fn abandon(&self, turn: &Turn<J>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        match &self.abandon {
            Some(script) => script(turn, tx).await,
            None => write_effect(tx, turn.id, &format!("abandoned: {}", end.error.code)).await,
        }
    }
}

/// The calls of a handler, counted by note.
#[derive(Clone, Default)]
pub(crate) struct Calls(std::sync::Arc<std::sync::Mutex<BTreeMap<String, u32>>>);

impl Calls {
    /// Counts a call; answers which one of its note it is, from 1.
    pub(crate) fn count(&self, note: &str) -> u32 {
        let mut calls = self.0.lock().unwrap();
        let count = calls.entry(note.to_owned()).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn of(&self, note: &str) -> u32 {
        self.0.lock().unwrap().get(note).copied().unwrap_or_default()
    }
}
