//! Writing, planning and combining with a language model behind any OpenAI-compatible endpoint.
//!
//! [`Agent`] is all three at once. Each of its tasks is a talk (`talk`): the model calls tools, gets their answers, and hands in its work
//! through the tool `finish`; what it says elsewhere is discarded. `client` makes one call and keeps its books, `endpoint` and `rejection`
//! are what goes over HTTP, `answer` puts a streamed answer together. `write`, `plan` and `combine` are the three tasks; `library` is the
//! graph as the model sees it.

mod answer;
mod client;
mod combine;
mod endpoint;
mod failure;
mod finish;
mod library;
mod options;
mod plan;
mod rejection;
mod talk;
mod tools;
mod wire;
mod write;

use std::sync::Arc;

use client::Client;

pub use failure::ClientError;
pub use options::{ModelOptions, Prices};

/// A model that writes texts, divides topics and combines texts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Agent {
    client: Arc<Client>,
    name: String,
}

impl Agent {
    /// An agent that asks the model of `options`. Nothing is asked yet.
    ///
    /// # Errors
    /// The client cannot be made: the system has no certificates to trust, or the key has characters that no key has.
    pub fn new(options: ModelOptions) -> Result<Self, ClientError> {
        let name = format!("model {}", options.model);
        Ok(Self { client: Arc::new(Client::new(options)?), name })
    }

    /// The models that the endpoint says it has. For a look at whether it answers at all.
    ///
    /// # Errors
    /// It does not answer, or not as it should: with what to do about it.
    pub async fn models(&self) -> Result<Vec<String>, String> {
        self.client.models().await
    }
}
