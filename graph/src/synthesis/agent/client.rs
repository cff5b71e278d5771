//! One call to the model: asked, streamed, and kept in the books.

use std::time::{Duration, Instant};

use ackord_entities::queue::model_call::{Ended, Outcome, Purpose};
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures::StreamExt as _;
use reqwest::redirect;
use serde_json::Value;
use tokio::time::timeout;

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::failure::{ClientError, Failure, NoAnswer};
use super::options::ModelOptions;
use super::rejection::Rejection;
use super::wire::{Chunk, Message, Tool, request};
use crate::synthesis::brief::NoText;
use crate::synthesis::writer::{Run, Trouble, WriteError};

/// A token is about so many bytes of text, where nobody counts them.
const BYTES_OF_A_TOKEN: usize = 4;
/// How long the list of models may take.
const LIST: Duration = Duration::from_secs(20);

/// The client of one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    http: async_openai::Client<Endpoint>,
    endpoint: Endpoint,
    options: ModelOptions,
}

/// What the model is asked.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) purpose: Purpose,
    /// For people, should there be no answer.
    pub(super) topic: &'a str,
    pub(super) messages: &'a [Message],
    pub(super) tools: &'a [Tool],
}

impl Client {
    pub(super) fn new(options: ModelOptions) -> Result<Self, ClientError> {
        let endpoint = Endpoint::of(&options).ok_or(ClientError::Key)?;
        let client = http(&options)?;
        let service = tower::service_fn({
            let client = client.clone();
            move |factory| sent(client.clone(), factory)
        });
        // Its own way would try again by itself: that would be nobody's attempt, and stand in no book.
        let http = async_openai::Client::build(client, endpoint.clone()).with_http_service(service);
        Ok(Self { http, endpoint, options })
    }

    /// Asks and waits for the whole answer. The call is noted before and after.
    pub(super) async fn ask(&self, question: &Question<'_>, run: &Run<'_>) -> Result<Answer, Failure> {
        let body = request(&self.options.model, question.messages, question.tools);
        let length = tokens(body.to_string().len());
        self.afford(question, length, run).await?;
        let number = run.ledger.begin(question.purpose, &self.options.model, length).await?;
        let (started, mut answer) = (Instant::now(), Answer::default());
        let came = tokio::select! {
            came = self.streamed(body, &mut answer) => came,
            () = run.stop.cancelled() => Err(NoAnswer::Stopped),
        };
        run.ledger.end(number, &self.ended(&answer, &came, length, started)).await?;
        came.map_err(|why| Failure::Error(self.without_key(why.meaning())))?;
        if answer.is_refused() {
            return Err(refused(question.topic, &self.endpoint.without_key(answer.refusal.trim())).into());
        }
        answer.name_calls();
        Ok(answer)
    }

    /// The names of the models that the endpoint has.
    pub(super) async fn models(&self) -> Result<Vec<String>, String> {
        let listed = timeout(LIST, self.http.models().list_byot::<Value>()).await;
        let listed = listed
            .unwrap_or_else(|_| Err(OpenAIError::InvalidArgument(format!("nothing came for {LIST:?}"))));
        let list =
            listed.map_err(|error| self.without_key(NoAnswer::of(error, LIST).meaning()).to_string())?;
        let models = list.get("data").and_then(Value::as_array).into_iter().flatten();
        Ok(models.filter_map(|model| Some(model.get("id")?.as_str()?.to_owned())).collect())
    }

    /// Whether the attempt may use about `length` tokens more.
    async fn afford(&self, question: &Question<'_>, length: u64, run: &Run<'_>) -> Result<(), Failure> {
        let (spent, most) = (run.ledger.spent().await?, self.options.max_tokens_per_attempt);
        if spent.saturating_add(length) <= most {
            return Ok(());
        }
        let reason = format!(
            "the attempt has used {spent} tokens and the next call would send about {length}, of {most} that it may use: raise \
             model.max_tokens_per_attempt, or lower the exploration budget"
        );
        let public =
            format!("The model's allowance was used up before there was a text about “{}”.", question.topic);
        Err(NoText { code: "over_budget", reason, public }.into())
    }

    async fn streamed(&self, body: Value, answer: &mut Answer) -> Result<(), NoAnswer> {
        let silence = self.options.chunk_timeout;
        let chat = self.http.chat();
        let opening = chat.create_stream_byot::<Value, Chunk>(body);
        let opened = timeout(self.options.connect_timeout + silence, opening).await;
        let opened = opened.map_err(|_| NoAnswer::Silent(silence))?;
        let mut stream = opened.map_err(|error| NoAnswer::of(error, silence))?;
        loop {
            // What comes behind the end of an answer, or does not, makes it no less whole.
            match (timeout(silence, stream.next()).await, answer.finish_reason.is_some()) {
                (Ok(Some(Ok(chunk))), _) => answer.add(chunk).map_err(NoAnswer::CutOff)?,
                (_, true) => return Ok(()),
                (Ok(Some(Err(error))), false) => return Err(NoAnswer::of(error, silence)),
                (Ok(None), false) => {
                    return Err(NoAnswer::CutOff("the connection ended before it did".to_owned()));
                }
                (Err(_elapsed), false) => return Err(NoAnswer::Silent(silence)),
            }
        }
    }

    fn ended(&self, answer: &Answer, came: &Result<(), NoAnswer>, length: u64, started: Instant) -> Ended {
        let outcome = match came {
            Ok(()) if answer.is_refused() => Outcome::Refused,
            Ok(()) => Outcome::Answered,
            Err(NoAnswer::Stopped) => Outcome::Cancelled,
            Err(NoAnswer::CutOff(_)) => Outcome::CutOff,
            Err(NoAnswer::Silent(_)) if answer.bytes() > 0 => Outcome::CutOff,
            Err(_) => Outcome::Failed,
        };
        let nothing_was_done = matches!(came, Err(NoAnswer::Rejected(_) | NoAnswer::Unreachable(_)));
        let (prompt, completion, cached, estimated) = match answer.usage {
            Some(usage) => {
                let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
                (u64::from(usage.prompt_tokens), u64::from(usage.completion_tokens), cached, false)
            }
            None if nothing_was_done => (0, 0, None, false),
            None => (length, tokens(answer.bytes()), None, true),
        };
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let ended = Ended {
            outcome,
            prompt_tokens: count(prompt),
            completion_tokens: count(completion),
            cached_tokens: cached.map(i64::from),
            estimated,
            cost_micros: None,
            duration_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
        };
        Ended { cost_micros: self.options.prices.map(|prices| prices.cost(&ended)), ..ended }
    }

    fn without_key(&self, error: WriteError) -> WriteError {
        let clean =
            |trouble: Trouble| Trouble { operator: self.endpoint.without_key(&trouble.operator), ..trouble };
        match error {
            WriteError::Transient { trouble, retry_after } => {
                WriteError::Transient { trouble: clean(trouble), retry_after }
            }
            WriteError::Permanent(trouble) => WriteError::Permanent(clean(trouble)),
            other => other,
        }
    }
}

fn http(options: &ModelOptions) -> Result<reqwest::Client, reqwest::Error> {
    // Where somebody has chosen the cryptography of the process, that is it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("ackord/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        // Whoever waits gives up before that; this ends what nobody waits for any more.
        .read_timeout(options.chunk_timeout * 2)
        // A key is for one address.
        .redirect(redirect::Policy::none());
    if options.endpoint.starts_with("http://") {
        // No certificates are needed then, and a small image may have none.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// Sends a request once. What is no success is an error with all that is wanted of it.
async fn sent(
    client: reqwest::Client,
    factory: HttpRequestFactory,
) -> Result<reqwest::Response, OpenAIError> {
    let request = factory.build().await?;
    let response = client.execute(request).await.map_err(OpenAIError::Reqwest)?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(OpenAIError::Boxed(Box::new(Rejection::of(response).await)))
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_OF_A_TOKEN)).unwrap_or(u64::MAX)
}

fn refused(topic: &str, said: &str) -> NoText {
    let said = super::rejection::one_line(said);
    let reason = if said.is_empty() {
        "the answer was withheld by the endpoint's content filter".to_owned()
    } else {
        format!("the model refused: {said}")
    };
    NoText { code: "refused", reason, public: format!("The model refused to write about “{topic}”.") }
}
