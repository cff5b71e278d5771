//! `ackord contract`.

use std::fs;
use std::path::{Path, PathBuf};

use ackord_entities::jobs::{Catalogue, catalogue};
use ackord_producer::contract::{asyncapi, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;

/// Write what publishers in other languages need: JSON Schema of every kind, and AsyncAPI 3
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --output DIR the files are asyncapi.json and schemas/KIND.vVERSION.json. Without it the document goes to stdout. The
same program gives the same bytes each time. AsyncAPI has the kinds that may be published straight over AMQP.

Examples:
  ackord contract > asyncapi.json
  ackord contract --format json-schema --kind synthesis
  ackord contract --output contract")]
pub(crate) struct ContractArgs {
    /// What to write [default: asyncapi; both with --output]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The folder to write files into; made if it is not there, files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Only this kind; may be given several times
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// JSON Schema 2020-12 of the payloads
    JsonSchema,
    /// AsyncAPI 3.0: channels, messages, headers, examples, notices
    Asyncapi,
}

/// What was written. The JSON is a stable interface.
#[derive(Serialize)]
struct Written {
    files: Vec<PathBuf>,
}

impl ContractArgs {
    pub(crate) fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let kinds = self.chosen()?;
        if let Some(folder) = &self.output {
            let files = write(&self.files(&kinds), folder)?;
            let lines: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            session.terminal.answer(&Written { files }, || lines.join("\n"))?;
            return Ok(Exit::Success);
        }
        let document = match self.format.unwrap_or(Format::Asyncapi) {
            Format::Asyncapi => asyncapi(&kinds, env!("CARGO_PKG_VERSION")),
            // One kind's schema as it is, for tools that want a schema.
            Format::JsonSchema => match (self.kind.as_slice(), kinds.iter().next()) {
                ([_], Some(spec)) => json_schema(spec),
                _ => kinds
                    .iter()
                    .map(|spec| (spec.kind.to_owned(), json_schema(spec)))
                    .collect::<Map<_, _>>()
                    .into(),
            },
        };
        let text = pretty(&document)?;
        session.terminal.answer(&document, || text)?;
        Ok(Exit::Success)
    }

    fn chosen(&self) -> anyhow::Result<Catalogue> {
        let all = catalogue();
        if self.kind.is_empty() {
            return Ok(all);
        }
        let chosen: Result<Vec<_>, _> = self.kind.iter().map(|kind| all.require(kind).copied()).collect();
        Ok(Catalogue::new(chosen?))
    }

    /// The files by their paths below the folder.
    fn files(&self, kinds: &Catalogue) -> Vec<(PathBuf, Value)> {
        let mut files = Vec::new();
        if self.format != Some(Format::JsonSchema) {
            files.push((PathBuf::from("asyncapi.json"), asyncapi(kinds, env!("CARGO_PKG_VERSION"))));
        }
        if self.format != Some(Format::Asyncapi) {
            files.extend(kinds.iter().map(|spec| {
                let name = format!("{}.v{}.json", spec.kind, spec.version);
                (Path::new("schemas").join(name), json_schema(spec))
            }));
        }
        files
    }
}

fn write(files: &[(PathBuf, Value)], folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, document) in files {
        let path = folder.join(name);
        let text = pretty(document)?;
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text)).map_err(
            |error| {
                Problem::new(Exit::Failure, format!("{} cannot be written: {error}", path.display()))
                    .remedy("give a folder that you may write into with --output")
            },
        )?;
        written.push(path);
    }
    Ok(written)
}

fn pretty(document: &Value) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}
