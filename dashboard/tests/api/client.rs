//! A client that believes nothing: each answer must be as the document says.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Request};

/// A request about to be sent.
pub(crate) struct Call {
    pub(crate) base: String,
    pub(crate) document: Option<Value>,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Call {
    pub(crate) fn new(base: &str, document: Value, method: &'static str, path: &str) -> Self {
        let (base, path) = (base.to_owned(), format!("/api/v1{path}"));
        Self { base, document: Some(document), method, path, headers: Vec::new(), body: Vec::new() }
    }

    /// To a place that the document does not know, or in a way that it does not.
    pub(crate) fn undocumented(mut self) -> Self {
        self.document = None;
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text("application/json", &body.to_string())
    }

    pub(crate) fn text(mut self, content_type: &str, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.header("content-type", content_type)
    }

    pub(crate) fn raw(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Sends it and holds the answer against the document.
    pub(crate) async fn send(self) -> Answer {
        tokio::task::spawn_blocking(move || self.send_now()).await.unwrap()
    }

    /// Sends it and insists on a status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        let what = format!("{} {} at {place}", self.method, self.path);
        async move {
            let answer = self.send().await;
            assert_eq!(answer.status, status, "{what}: {}", answer.text);
            answer
        }
    }

    fn send_now(self) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let mut request = Request::builder().method(self.method).uri(format!("{}{}", self.base, self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let sent = if self.body.is_empty() && matches!(self.method, "GET" | "DELETE" | "HEAD" | "OPTIONS") {
            agent.run(request.body(()).unwrap())
        } else {
            agent.run(request.body(self.body).unwrap())
        };
        let mut response = sent.unwrap();
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.body_mut().read_to_string().unwrap(),
        };
        if let Some(document) = &self.document {
            hold_against(document, self.method, &self.path, &answer);
        }
        answer
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The code of a problem, which must be one.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{problem}");
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:ackord:problem:{code}"));
        code
    }
}

fn hold_against(document: &Value, method: &str, path: &str, answer: &Answer) {
    let what = format!("{method} {path} {}", answer.status);
    let bare = path.split('?').next().unwrap();
    let (template, operation) = operation(document, &method.to_lowercase(), bare);
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{what} is not documented: {}", answer.text);
    let media = answer.header("content-type").map(|media| media.split(';').next().unwrap().to_owned());
    let Some(content) = response["content"].as_object() else {
        assert!(answer.text.is_empty(), "{what} has a body that is not documented");
        return;
    };
    let media = media.unwrap_or_else(|| panic!("{what} has no content type"));
    assert!(content.contains_key(&media), "{what} answers {media}");
    let pointer = format!(
        "#/paths/{}/{}/responses/{}/content/{}/schema",
        escaped(&template),
        method.to_lowercase(),
        answer.status,
        escaped(&media)
    );
    let mut schema = document.clone();
    schema["$ref"] = json!(pointer);
    if media == "text/event-stream" {
        let event = content[&media]["schema"]["$ref"].as_str().unwrap().trim_start_matches('#');
        hold_events_against(document, event, &what, &answer.text);
    } else if media.ends_with("json") {
        hold_value_against(&schema, &what, &answer.json());
    }
}

/// Each event against the schema of one, and the JSON in it against the schema of that.
fn hold_events_against(document: &Value, schema: &str, what: &str, text: &str) {
    let whole = |pointer: &str| {
        let schema = document.pointer(pointer);
        let mut schema = schema.unwrap_or_else(|| panic!("{what} has no {pointer}")).clone();
        schema["components"] = document["components"].clone();
        schema
    };
    let of_event = whole(schema);
    let of_data = whole(&format!("{schema}/properties/data/contentSchema"));
    let events = text.split("\n\n").filter(|event| event.lines().any(|line| line.starts_with("data:")));
    for event in events {
        let fields = event.lines().filter_map(|line| line.split_once(": "));
        let event: serde_json::Map<String, Value> =
            fields.map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let data = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
        hold_value_against(&of_event, what, &Value::Object(event));
        hold_value_against(&of_data, what, &data);
    }
}

fn hold_value_against(schema: &Value, what: &str, value: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap_or_else(|error| panic!("{what}: {error}"));
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?} in {value:#}");
}

/// The operation of a path: one that is written out comes before one with parameters.
fn operation<'d>(document: &'d Value, method: &str, path: &str) -> (String, &'d Value) {
    let fits = |template: &str| {
        let (template, path): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template.iter().zip(&path).all(|(part, given)| part == given || part.starts_with('{'))
    };
    let mut found: Vec<(&String, &Value)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(template, methods)| fits(template) && methods[method].is_object())
        .collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let (template, methods) = found.first().unwrap_or_else(|| panic!("{method} {path} is not documented"));
    ((*template).clone(), &methods[method])
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D")
}
