//! Who writes texts, what a writer is given, and how it may go wrong.

use std::fmt;
use std::time::Duration;

use ackord_entities::database::Connection;
use ackord_entities::queue::model_call::{Ended, Purpose};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use super::brief::Written;
use super::explore::{Record, Request};
use super::material::{Fact, Node};

/// Writes texts about topics. The default needs no model; others may ask one.
#[async_trait::async_trait]
pub trait TextProducer: fmt::Debug + Send + Sync {
    /// Its name, stored with each version of a text that it wrote.
    fn name(&self) -> &str;

    /// Looks around in the graph and writes the text, or says why there is none. Reads only, and no transaction is open.
    async fn write(&self, assignment: &Assignment<'_>) -> Result<Draft, WriteError>;
}

/// What is to be written, and what with.
#[derive(Clone, Copy, Debug)]
pub struct Assignment<'a> {
    /// For reading the graph of the request; nothing outside of it belongs into the text.
    pub connection: &'a Connection,
    /// What to write about.
    pub request: &'a Request,
    /// The run of the job that the text is written in.
    pub run: &'a Run<'a>,
}

/// What a writer made of an assignment.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The text, or why there is none.
    pub written: Written,
    /// What was looked at.
    pub record: Record,
    /// The nodes that a sentence refers to when it names them.
    pub nodes: Vec<Node>,
    /// The facts that a sentence without citations may rest on.
    pub facts: Vec<Fact>,
}

/// The run of a job, as far as writers have to do with it.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// Where calls to a model are kept.
    pub ledger: &'a dyn CallLedger,
    /// Cancelled when nobody wants the work any more.
    pub stop: CancellationToken,
}

impl Run<'_> {
    /// A run that nobody calls off and whose calls nobody keeps: for writers that make none, and for tests.
    #[must_use]
    pub fn unwatched() -> Self {
        Self { ledger: &NoLedger, stop: CancellationToken::new() }
    }
}

/// Keeps the calls that one attempt at a job makes. Each is written down by itself, outside any transaction of the job: what was paid for
/// is known whatever becomes of the attempt.
#[async_trait::async_trait]
pub trait CallLedger: fmt::Debug + Send + Sync {
    /// The tokens that the attempt used so far, sent and answered, those of an earlier process included.
    async fn spent(&self) -> Result<u64, DbErr>;

    /// Notes a call that is about to be made and sends about `prompt_tokens`; returns its number.
    async fn begin(&self, purpose: Purpose, model: &str, prompt_tokens: u64) -> Result<i32, DbErr>;

    /// Notes what came of it.
    async fn end(&self, number: i32, ended: &Ended) -> Result<(), DbErr>;
}

#[derive(Debug)]
struct NoLedger;

#[async_trait::async_trait]
impl CallLedger for NoLedger {
    async fn spent(&self) -> Result<u64, DbErr> {
        Ok(0)
    }

    async fn begin(&self, _purpose: Purpose, _model: &str, _prompt_tokens: u64) -> Result<i32, DbErr> {
        Ok(1)
    }

    async fn end(&self, _number: i32, _ended: &Ended) -> Result<(), DbErr> {
        Ok(())
    }
}

/// Nothing came of writing, and that says nothing about the text. That there can be none is no error but [`Written::NoText`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// May pass.
    #[error("{}", .trouble.operator)]
    Transient {
        /// What went wrong.
        trouble: Trouble,
        /// What the server wants to be left alone for, where it says so.
        retry_after: Option<Duration>,
    },
    /// No attempt can succeed before somebody changes something.
    #[error("{}", .0.operator)]
    Permanent(Trouble),
    /// Nobody wants the work any more.
    #[error("the work was called off")]
    Stopped,
    /// The database failed.
    #[error("the graph could not be read, or a call not be noted")]
    Database(#[from] DbErr),
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For programs.
    pub code: &'static str,
    /// For operators.
    pub operator: String,
    /// For everybody.
    pub public: &'static str,
}
