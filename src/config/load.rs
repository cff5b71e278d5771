//! Reading the configuration from its three places.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{Concurrency, Config};
use crate::logging::LogFormat;
use crate::problem::Problem;

/// The file that is read when none is named.
const FILE: &str = "ackord.toml";

/// Keys that the environment can set, each with its name there.
const ENVIRONMENT: [(&str, &str); 28] = [
    ("database", "ACKORD_DATABASE"),
    ("database_listen", "ACKORD_DATABASE_LISTEN"),
    ("broker", "ACKORD_BROKER"),
    ("broker_tls.ca", "ACKORD_BROKER_TLS_CA"),
    ("broker_tls.certificate", "ACKORD_BROKER_TLS_CERTIFICATE"),
    ("broker_tls.key", "ACKORD_BROKER_TLS_KEY"),
    ("listen", "ACKORD_LISTEN"),
    ("api.listen", "ACKORD_API_LISTEN"),
    ("api.requests_per_second", "ACKORD_API_REQUESTS_PER_SECOND"),
    ("api.allowed_origins", "ACKORD_API_ALLOWED_ORIGINS"),
    ("otlp_endpoint", "ACKORD_OTLP_ENDPOINT"),
    ("log", "ACKORD_LOG"),
    ("log_format", "ACKORD_LOG_FORMAT"),
    ("worker.consumer_timeout", "ACKORD_CONSUMER_TIMEOUT"),
    ("worker.notices", "ACKORD_NOTICES"),
    (CONCURRENCY, "ACKORD_CONCURRENCY"),
    ("model.endpoint", "ACKORD_MODEL_ENDPOINT"),
    ("model.name", "ACKORD_MODEL_NAME"),
    ("model.api_key", "ACKORD_MODEL_API_KEY"),
    ("model.connect_timeout", "ACKORD_MODEL_CONNECT_TIMEOUT"),
    ("model.chunk_timeout", "ACKORD_MODEL_CHUNK_TIMEOUT"),
    ("model.max_tokens_per_attempt", "ACKORD_MODEL_MAX_TOKENS_PER_ATTEMPT"),
    ("model.price_prompt", "ACKORD_MODEL_PRICE_PROMPT"),
    ("model.price_cached", "ACKORD_MODEL_PRICE_CACHED"),
    ("model.price_completion", "ACKORD_MODEL_PRICE_COMPLETION"),
    ("sync.schedule", "ACKORD_SYNC_SCHEDULE"),
    ("sync.read_database", "ACKORD_SYNC_READ_DATABASE"),
    ("sync.mirror.folder", "ACKORD_SYNC_MIRROR_FOLDER"),
];
const CONCURRENCY: &str = "worker.concurrency";

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// The file to read; without one, `ackord.toml` where it is there.
    pub(crate) file: Option<PathBuf>,
    pub(crate) database: Option<String>,
    pub(crate) broker: Option<String>,
    pub(crate) listen: Option<String>,
    pub(crate) api: Option<String>,
    pub(crate) log: Option<String>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) concurrency: Option<Concurrency>,
}

/// The configuration with what it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) figment: Figment,
}

/// Reads the configuration. `environment` answers the value of a variable.
///
/// # Errors
/// A file that is not there although it was named, is no TOML, or has an unknown key or a value that does not fit: each with
/// its place.
pub(crate) fn load(flags: &Flags, environment: impl Fn(&str) -> Option<String>) -> Result<Loaded, Problem> {
    let mut figment = Figment::from(defaults());
    if let Some(file) = file(flags.file.as_deref())? {
        figment = figment.merge(Toml::file_exact(file));
    }
    for layer in from_environment(environment)?.into_iter().chain(from_flags(flags)) {
        figment = figment.merge(layer);
    }
    let config: Config = figment.extract().map_err(wrong)?;
    config.broker_tls.check(&config.broker)?;
    config.model.check()?;
    super::sync::check(&config.graphs)?;
    Ok(Loaded { config, figment })
}

/// One source of values. Its name is what `ackord config` shows.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    fn of(name: impl Into<String>, key: &str, value: Value) -> Self {
        // `a.b = value` as `a = { b = value }`, innermost first.
        let mut parts = key.rsplit('.');
        let last = parts.next().unwrap_or(key).to_owned();
        let innermost = Dict::from([(last, value)]);
        let values = parts.fold(innermost, |inner, part| Dict::from([(part.to_owned(), inner.into())]));
        Self { name: name.into(), values }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

fn defaults() -> Layer {
    let values = Value::serialize(Config::default()).ok().and_then(Value::into_dict).unwrap_or_default();
    Layer { name: "default".to_owned(), values }
}

fn file(named: Option<&Path>) -> Result<Option<PathBuf>, Problem> {
    match named {
        Some(path) if path.is_file() => Ok(Some(path.to_owned())),
        Some(path) => Err(Problem::usage(format!("there is no configuration file {}", path.display()))),
        None => Ok(Some(PathBuf::from(FILE)).filter(|path| path.is_file())),
    }
}

fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Layer>, Problem> {
    let mut layers = Vec::new();
    for (key, name) in ENVIRONMENT {
        // A compose file passes on what is not set as an empty text.
        let Some(text) = variable(name).filter(|text| !text.is_empty()) else { continue };
        let value = if key == CONCURRENCY {
            table(&text.parse().map_err(|reason| Problem::usage(format!("environment {name}: {reason}")))?)
        } else {
            Value::from(text)
        };
        layers.push(Layer::of(format!("environment {name}"), key, value));
    }
    Ok(layers)
}

fn from_flags(flags: &Flags) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut put = |flag: &str, key, value: Option<Value>| {
        layers.extend(value.map(|value| Layer::of(format!("flag --{flag}"), key, value)));
    };
    put("database", "database", flags.database.clone().map(Value::from));
    put("broker", "broker", flags.broker.clone().map(Value::from));
    put("listen", "listen", flags.listen.clone().map(Value::from));
    put("api", "api.listen", flags.api.clone().map(Value::from));
    put("log", "log", flags.log.clone().map(Value::from));
    put("log-format", "log_format", flags.log_format.map(|format| Value::from(format.name())));
    put("concurrency", CONCURRENCY, flags.concurrency.as_ref().map(table));
    layers
}

fn table(concurrency: &Concurrency) -> Value {
    let entries = concurrency.0.iter().map(|(kind, number)| (kind.clone(), Value::from(*number)));
    entries.collect::<Dict>().into()
}

fn wrong(errors: figment::Error) -> Problem {
    let lines: Vec<String> = errors.into_iter().map(|error| one_line(&error)).collect();
    Problem::usage(lines.join("; ")).remedy("`ackord config` lists every key with its value")
}

fn one_line(error: &figment::Error) -> String {
    let place = error.metadata.as_ref().map_or_else(|| "configuration".to_owned(), super::origin::place);
    let key = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(field, known) => {
            let table = key.strip_suffix(field.as_str()).unwrap_or(&key).trim_end_matches('.');
            let full = if table.is_empty() { field.clone() } else { format!("{table}.{field}") };
            format!("{place}: unknown key `{full}`, known here are {}", known.join(", "))
        }
        kind if key.is_empty() => format!("{place}: {kind}"),
        kind => format!("{place}: `{key}`: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn load_file(text: &str, flags: Flags, environment: &[(&str, &str)]) -> Result<Loaded, Problem> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ackord.toml");
        std::fs::write(&path, text).unwrap();
        let flags = Flags { file: Some(path), ..flags };
        load(&flags, |name| {
            environment.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_file_yields_to_the_environment_and_that_to_flags() {
        let text = "database = \"sqlite:file.db\"\nlog = \"info\"\nlog_format = \"json\"\n";
        let environment = [("ACKORD_DATABASE", "sqlite:environment.db"), ("ACKORD_LOG", "debug")];
        let flags = Flags { database: Some("sqlite:flag.db".to_owned()), ..Flags::default() };
        let config = load_file(text, flags, &environment).unwrap().config;
        assert_eq!(config.database, "sqlite:flag.db");
        assert_eq!(config.log.as_deref(), Some("debug"));
        assert_eq!(config.log_format, LogFormat::Json);
    }

    #[test]
    fn an_override_of_one_kind_leaves_the_others_in_place() {
        let text = "[worker.concurrency]\nsynthesis = 2\nsync = 3\n";
        let config =
            load_file(text, Flags::default(), &[("ACKORD_CONCURRENCY", "synthesis=7")]).unwrap().config;
        assert_eq!(config.worker.concurrency.0.get("synthesis"), Some(&7));
        assert_eq!(config.worker.concurrency.0.get("sync"), Some(&3));
    }

    #[test]
    fn kinds_with_notices_are_a_list_in_the_file_and_a_text_in_the_environment() {
        let text = "[worker]\nnotices = [\"synthesis\", \"replay\"]\n";
        let config = load_file(text, Flags::default(), &[]).unwrap().config;
        assert_eq!(config.worker.notices.0, ["synthesis", "replay"]);
        let config = load_file(text, Flags::default(), &[("ACKORD_NOTICES", "replay, ")]).unwrap().config;
        assert_eq!(config.worker.notices.0, ["replay"]);
    }

    #[test]
    fn the_api_is_configured_in_all_three_places() {
        let text = "[api]\nlisten = \"127.0.0.1:1\"\nrequests_per_second = 7\n";
        let config = load_file(text, Flags::default(), &[]).unwrap().config;
        assert_eq!(config.api.requests_per_second.0, 7);
        let environment = [("ACKORD_API_REQUESTS_PER_SECOND", "0"), ("ACKORD_API_LISTEN", "127.0.0.1:2")];
        let flags = Flags { api: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
        let config = load_file(text, flags, &environment).unwrap().config;
        assert_eq!(config.api.requests_per_second.0, 0);
        assert_eq!(config.api.listen.map(String::from).as_deref(), Some("127.0.0.1:3"));
        let problem =
            load_file("[api]\nrequests_per_second = \"many\"\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("requests_per_second"), "{problem}");
    }

    #[test]
    fn origins_are_a_list_in_the_file_and_a_text_in_the_environment() {
        let text = "[api]\nallowed_origins = [\"https://a.example\", \"http://localhost:3000\"]\n";
        let config = load_file(text, Flags::default(), &[]).unwrap().config;
        assert_eq!(config.api.allowed_origins.0, ["https://a.example", "http://localhost:3000"]);
        let environment = [("ACKORD_API_ALLOWED_ORIGINS", "https://b.example, ")];
        let config = load_file(text, Flags::default(), &environment).unwrap().config;
        assert_eq!(config.api.allowed_origins.0, ["https://b.example"]);
        let problem = load_file("[api]\nallowed_origins = \"*\"\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("`*` is no origin"), "{problem}");
    }

    #[test]
    fn the_model_is_configured_in_the_file_and_in_the_environment() {
        let text = "[model]\nendpoint = \"http://localhost:1/v1\"\nname = \"small\"\n";
        let environment = [
            ("ACKORD_MODEL_NAME", "large"),
            ("ACKORD_MODEL_API_KEY", "sk-secret"),
            ("ACKORD_MODEL_CHUNK_TIMEOUT", "5s"),
            ("ACKORD_MODEL_MAX_TOKENS_PER_ATTEMPT", "2000"),
            ("ACKORD_MODEL_PRICE_PROMPT", "1.25"),
            ("ACKORD_MODEL_PRICE_COMPLETION", "5"),
        ];
        let options =
            load_file(text, Flags::default(), &environment).unwrap().config.model.options().unwrap();
        assert_eq!((options.endpoint.as_str(), options.model.as_str()), ("http://localhost:1/v1", "large"));
        assert_eq!((options.max_tokens_per_attempt, options.prices.unwrap().completion), (2_000, 5_000_000));
        let wrong = [("ACKORD_MODEL_CHUNK_TIMEOUT", "never")];
        let problem = load_file(text, Flags::default(), &wrong).unwrap_err();
        assert!(problem.message.contains("ACKORD_MODEL_CHUNK_TIMEOUT: `model.chunk_timeout`"), "{problem}");
    }

    #[test]
    fn an_empty_variable_counts_as_one_that_is_not_set() {
        let text = "[model]\nendpoint = \"http://localhost:1/v1\"\nname = \"large\"\n";
        let environment = [("ACKORD_MODEL_ENDPOINT", ""), ("ACKORD_MODEL_NAME", ""), ("ACKORD_LISTEN", "")];
        let config = load_file(text, Flags::default(), &environment).unwrap().config;
        assert_eq!(config.model.options().unwrap().model, "large");
        assert!(load_file("", Flags::default(), &environment).unwrap().config.model.options().is_none());
    }

    #[test]
    fn where_graphs_are_is_configured_for_all_and_for_each() {
        let text = "[sync]\nread_database = \"sqlite:file.db\"\n[sync.mirror]\nfolder = \"mirror\"\n\
                    [graphs.research]\nwrite_database = \"sqlite:w.db\"\n[graphs.old-notes]\nread_database = \"sqlite:r.db\"\n";
        let environment = [("ACKORD_SYNC_READ_DATABASE", "postgres://me:s3cret@db/read")];
        let config = load_file(text, Flags::default(), &environment).unwrap().config;
        assert_eq!(config.sync.read_database.as_ref().unwrap().whole(), "postgres://me:s3cret@db/read");
        assert_eq!(config.sync.mirror.folder.as_deref(), Some(Path::new("mirror")));
        assert_eq!(config.graphs["research"].write_database.as_ref().unwrap().whole(), "sqlite:w.db");
        assert_eq!(config.other_databases().len(), 3);
        let environment = [("ACKORD_SYNC_MIRROR_FOLDER", "elsewhere")];
        let config = load_file(text, Flags::default(), &environment).unwrap().config;
        assert_eq!(config.sync.mirror.folder.as_deref(), Some(Path::new("elsewhere")));
        let wrong = "[graphs.research]\nwrite_database = \"mysql://me:s3cret@db\"\n";
        let problem = load_file(wrong, Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("graphs.research.write_database"), "{problem}");
        assert!(problem.message.contains("mysql") && !problem.message.contains("s3cret"), "{problem}");
        let problem = load_file("[graphs.research]\nreads = \"x\"\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("graphs.research.reads"), "{problem}");
        let problem = load_file("[graphs.\"No Slug\"]\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("No Slug"), "{problem}");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_table_and_its_file() {
        let problem = load_file("[worker]\nconcurency = 3\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("`worker.concurency`"), "{problem}");
        assert!(problem.message.contains("ackord.toml"), "{problem}");
        let problem = load_file("databse = 3\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("`databse`"), "{problem}");
    }

    #[test]
    fn a_wrong_value_is_named_by_its_key() {
        let problem = load_file("log_format = \"xml\"\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("log_format") && problem.message.contains("xml"), "{problem}");
        let problem = load_file("[worker.concurrency]\nsynthesis = 0\n", Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("at least 1"), "{problem}");
        let problem = load_file("", Flags::default(), &[("ACKORD_CONCURRENCY", "lots")]).unwrap_err();
        assert!(problem.message.contains("ACKORD_CONCURRENCY"), "{problem}");
    }

    #[test]
    fn the_broker_comes_from_all_three_places_and_a_wrong_one_is_named_by_its_key() {
        let text = "broker = \"amqp://file\"\nlisten = \"127.0.0.1:1\"\n[broker_tls]\nca = \"ca.pem\"\n";
        let environment =
            [("ACKORD_BROKER", "amqps://me:s3cret@environment/jobs"), ("ACKORD_LISTEN", "[::1]:2")];
        let config = load_file(text, Flags::default(), &environment).unwrap().config;
        assert_eq!(String::from(config.broker), "amqps://me:s3cret@environment/jobs");
        assert_eq!(config.listen.map(String::from).as_deref(), Some("[::1]:2"));
        assert_eq!(config.broker_tls.ca.as_deref(), Some(Path::new("ca.pem")));
        let flags = Flags { broker: Some("mqtt://me:s3cret@host".to_owned()), ..Flags::default() };
        let problem = load_file("", flags, &[]).unwrap_err();
        assert!(problem.message.contains("flag --broker: `broker`: `mqtt`"), "{problem}");
        assert!(!problem.message.contains("s3cret"), "{problem}");
        // Without TLS the file of authorities would never be read.
        let problem = load_file(text, Flags::default(), &[]).unwrap_err();
        assert!(problem.message.contains("broker_tls"), "{problem}");
    }

    #[test]
    fn a_named_file_that_is_not_there_is_an_error() {
        let flags = Flags { file: Some("/nowhere/ackord.toml".into()), ..Flags::default() };
        assert!(load(&flags, |_| None).unwrap_err().message.contains("/nowhere/ackord.toml"));
    }
}
