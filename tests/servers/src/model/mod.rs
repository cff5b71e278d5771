//! A stranger's service: an OpenAI-compatible endpoint over real HTTP, whose model says what a test has it say.
//!
//! It runs on a thread of its own, so that tests with and without a runtime can use it, and ends when it is dropped.

mod reply;
mod serve;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::oneshot;

pub use reply::{Reply, Said};

/// The endpoint.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One request for an answer.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which it is, from 1.
    pub number: usize,
    /// What it carries as `Authorization`.
    pub authorization: Option<String>,
    /// Its body.
    pub body: Value,
}

impl Asked {
    /// The messages of the talk.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.body["messages"].as_array().cloned().unwrap_or_default()
    }

    /// What the last tool answered.
    #[must_use]
    pub fn last_answer(&self) -> Value {
        let messages = self.messages();
        let last = messages.iter().rev().find(|message| message["role"] == "tool");
        let content = last.and_then(|message| message["content"].as_str()).unwrap_or_default();
        serde_json::from_str(content).unwrap_or_default()
    }

    /// What the user's messages say.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        let messages = self.messages().into_iter().filter(|message| message["role"] == "user");
        messages.filter_map(|message| message["content"].as_str().map(str::to_owned)).collect()
    }
}

/// What the model says to each request.
pub(crate) type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

impl ModelServer {
    /// Starts it on a free port.
    pub fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let script: Script = Arc::new(script);
        let kept = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve::serve(script, kept, tell, stopped));
        });
        let address = told.recv().expect("the server listens");
        Self { address, asked, stop: Some(stop), thread: Some(thread) }
    }

    /// The endpoint's address, as it stands in a configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
