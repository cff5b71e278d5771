//! `/graphs/{graph}/imports`: a document into a graph, at once.
//!
//! Why at once and not as a job: a document may be larger than a payload, and whoever sends it wants to know which of its lines were
//! refused. The size is limited, so the wait is; what was taken before somebody hung up stays, and the next try goes on.

use ackord_entities::ids::GraphId;
use ackord_graph::import::{Import, ImportError, ImportOptions, Upload, UploadFormat};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::graphs::written_here;
use crate::api::Api;
use crate::body::{Named, Params, bytes, media_type, unsupported};
use crate::caller::Publisher;
use crate::problem::Problem;

/// Refused lines that an answer names.
const NAMED: usize = 100;
const LONGEST_URI: usize = 2_000;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// The address of the document: what comes again under the same one replaces it.
    #[param(
        example = "https://example.org/notes/leases.md",
        min_length = 3,
        max_length = 2000,
        pattern = r"^[A-Za-z][A-Za-z0-9+.-]*:[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$"
    )]
    uri: String,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
pub(crate) struct Imported {
    /// What became of the document.
    outcome: ImportOutcome,
    /// Sentences or stated facts that it gave.
    facts: u64,
    /// Lines of a JSONL document that were refused, in whole or in part.
    refused_lines: u64,
    /// The first hundred of them.
    refused: Vec<RefusedLineView>,
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImportOutcome {
    /// It is new.
    Taken,
    /// What it gave before is replaced.
    Updated,
    /// It is what it was.
    Unchanged,
}

/// A line that was refused.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedLine)]
pub(crate) struct RefusedLineView {
    /// Which, from 1.
    line: u64,
    /// Why.
    reason: String,
}

/// Take a document into a graph: Markdown, plain text, or JSONL with a record in each line. The graph is made when it is not there.
#[utoipa::path(
    post,
    path = "/graphs/{graph}/imports",
    tag = "graphs",
    params(("graph" = String, Path, description = "The graph, by its slug, or by its id if it is there", example = "default"), ImportQuery),
    request_body(description = "The document", content(
        (String = "text/markdown", example = json!("# Leases\n\nA lease is an exclusive claim that ends by itself.")),
        (String = "text/plain"),
        (String = "application/jsonl"),
    )),
    responses(
        (status = 200, description = "What became of it", body = Imported),
        (status = 409, description = "The graph is written in a database of its own (`written_elsewhere`)"),
    ),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn import(
    Publisher(_): Publisher,
    State(api): State<Api>,
    Named(graph): Named<String>,
    Params(query): Params<ImportQuery>,
    request: Request,
) -> Result<Json<Imported>, Problem> {
    let format = format(&request)?;
    check_uri(&query.uri)?;
    if graph.parse::<GraphId>().is_ok() {
        super::graphs::known(&api, &graph).await?;
    }
    written_here(&api, &graph, |slug| format!("`ackord import --graph {slug}` takes documents there"))?;
    let permit = api.imports().try_acquire_owned().map_err(|_| {
        Problem::unavailable("too_many_imports", "too many imports run at once: come again", 2)
    })?;
    let content = bytes(request, &()).await?;
    let options = ImportOptions {
        graph,
        most_bytes: api.options().largest_document as u64,
        readers: 1,
        ..ImportOptions::default()
    };
    let upload = Upload { uri: query.uri, format, content: content.to_vec() };
    let report = Import::new(api.database().clone(), options).take(upload).await?;
    drop(permit);
    if let Some(refused) = report.refused_files.first() {
        return Err(Problem::invalid("body", format!("the document was refused: {}", refused.refusal))
            .with("refused", named(&report.lines)));
    }
    let outcome = match (report.taken, report.updated) {
        (0, 0) => ImportOutcome::Unchanged,
        (0, _) => ImportOutcome::Updated,
        _ => ImportOutcome::Taken,
    };
    Ok(Json(Imported {
        outcome,
        facts: report.facts,
        refused_lines: report.refused_lines,
        refused: named(&report.lines),
    }))
}

fn named(lines: &[ackord_graph::import::RefusedLine]) -> Vec<RefusedLineView> {
    let view = |line: &ackord_graph::import::RefusedLine| RefusedLineView {
        line: line.line,
        reason: line.refusal.to_string(),
    };
    lines.iter().take(NAMED).map(view).collect()
}

fn format(request: &Request) -> Result<UploadFormat, Problem> {
    match media_type(request).as_deref() {
        Some("text/markdown") => Ok(UploadFormat::Markdown),
        Some("text/plain") => Ok(UploadFormat::Plain),
        Some("application/jsonl" | "application/x-ndjson" | "application/x-jsonlines") => {
            Ok(UploadFormat::Jsonl)
        }
        _ => Err(unsupported("send text/markdown, text/plain or application/jsonl, and say which")),
    }
}

/// An address of its own. Those of files belong to whoever imports from a disk.
fn check_uri(uri: &str) -> Result<(), Problem> {
    let wrong = |detail: &str| Err(Problem::bad_request("invalid_query", detail).at("uri"));
    if uri.len() > LONGEST_URI {
        return wrong("give an address of at most 2,000 bytes");
    }
    if uri.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return wrong("give an address without white space: encode it as %20");
    }
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    match uri.split_once(':') {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => {
            wrong("addresses of files are for `ackord import`: give another one, such as upload:notes.md")
        }
        Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() => Ok(()),
        _ => wrong("give an address such as https://example.org/notes.md or upload:notes.md"),
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let detail = error.to_string();
        match error {
            ImportError::Database(error) => error.into(),
            ImportError::GraphName { .. } => Self::bad_request("invalid_path", detail).at("graph"),
            _ => {
                tracing::error!(error = detail, "an import failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the import failed; the log tells why",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_is_no_file() {
        for uri in ["https://example.org/a", "upload:notes.md", "urn:x:y"] {
            assert!(check_uri(uri).is_ok(), "{uri}");
        }
        for uri in ["", "notes.md", "file:///etc/passwd", "FILE:/x", ":x", "a b:c", "1x:y", "x:"] {
            assert!(check_uri(uri).is_err(), "{uri}");
        }
    }
}
