//! Where each value came from.

use std::path::PathBuf;

use ackord_entities::database::Location;
use ackord_entities::jobs::Catalogue;
use figment::{Metadata, Source};
use serde::Serialize;

use super::{Config, DatabaseUrl, Loaded};

/// One value of the effective configuration, with secrets masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    /// Its key in `ackord.toml`, tables joined by dots.
    pub(crate) key: String,
    /// Its value. A number stays one.
    pub(crate) value: serde_json::Value,
    /// `default`, a file, `environment ACKORD_..`, `flag --..`.
    pub(crate) from: String,
}

/// Every setting, in the order of the documentation.
pub(crate) fn settings(loaded: &Loaded, catalogue: &Catalogue) -> Vec<Setting> {
    let config = &loaded.config;
    let setting = |key: &str, value: serde_json::Value| Setting {
        key: key.to_owned(),
        value,
        from: origin(loaded, key),
    };
    let log = config.log.clone().unwrap_or_else(|| "warn (info for up, work, relay and serve)".to_owned());
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).into();
    let mut all = vec![
        setting("database", masked(&config.database).into()),
        setting("database_listen", config.database_listen.as_deref().map(masked).into()),
        setting("broker", mask_credentials(&String::from(config.broker.clone())).into()),
        setting("broker_tls.ca", file(&config.broker_tls.ca)),
        setting("broker_tls.certificate", file(&config.broker_tls.certificate)),
        setting("broker_tls.key", file(&config.broker_tls.key)),
        setting("listen", config.listen.map(String::from).into()),
        setting("api.listen", config.api.listen.map(String::from).into()),
        setting("api.requests_per_second", config.api.requests_per_second.0.into()),
        setting("api.allowed_origins", serde_json::json!(config.api.allowed_origins)),
        setting("otlp_endpoint", config.otlp_endpoint.as_deref().map(mask_credentials).into()),
        setting("log", log.into()),
        setting("log_format", serde_json::json!(config.log_format)),
        setting("worker.consumer_timeout", String::from(config.worker.consumer_timeout).into()),
        setting("worker.notices", serde_json::json!(config.worker.notices)),
    ];
    all.extend(of_the_model(config).map(|(key, value)| setting(key, value)));
    all.extend(of_graphs(config).into_iter().map(|(key, value)| setting(&key, value)));
    for spec in catalogue.iter() {
        let wanted = config.worker.concurrency.0.get(spec.kind).copied();
        let key = format!("worker.concurrency.{}", spec.kind);
        all.push(setting(&key, wanted.unwrap_or(spec.concurrency).into()));
    }
    all
}

fn of_the_model(config: &Config) -> impl Iterator<Item = (&'static str, serde_json::Value)> {
    let model = &config.model;
    [
        ("model.endpoint", model.endpoint.clone().map(String::from).into()),
        ("model.name", model.name.clone().into()),
        ("model.api_key", model.api_key.as_ref().map(|_| "***").into()),
        ("model.connect_timeout", String::from(model.connect_timeout).into()),
        ("model.chunk_timeout", String::from(model.chunk_timeout).into()),
        ("model.max_tokens_per_attempt", u64::from(model.max_tokens_per_attempt).into()),
        ("model.price_prompt", model.price_prompt.map(f64::from).into()),
        ("model.price_cached", model.price_cached.map(f64::from).into()),
        ("model.price_completion", model.price_completion.map(f64::from).into()),
    ]
    .into_iter()
}

fn of_graphs(config: &Config) -> Vec<(String, serde_json::Value)> {
    let place = |url: &Option<DatabaseUrl>| url.as_ref().map(|url| masked(url.whole())).into();
    let folder = config.sync.mirror.folder.as_ref().map(|path| path.display().to_string());
    let mut all = vec![
        ("sync.schedule".to_owned(), config.sync.schedule.clone().into()),
        ("sync.read_database".to_owned(), place(&config.sync.read_database)),
        ("sync.mirror.folder".to_owned(), folder.into()),
    ];
    for (slug, graph) in &config.graphs {
        all.push((format!("graphs.{slug}.write_database"), place(&graph.write_database)));
        all.push((format!("graphs.{slug}.read_database"), place(&graph.read_database)));
    }
    all
}

/// The database without its password.
fn masked(url: &str) -> String {
    let Ok(location) = url.parse::<Location>() else { return url.to_owned() };
    match location {
        Location::Sqlite(_) => url.to_owned(),
        Location::Postgres { .. } => mask_credentials(url),
    }
}

fn mask_credentials(url: &str) -> String {
    let (address, options) =
        url.split_once('?').map_or((url, None), |(address, options)| (address, Some(options)));
    let masked = match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((credentials, host))) => {
            let user = credentials.split_once("://").map_or("", |(_, user)| user);
            match user.split_once(':') {
                Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
                None => format!("{scheme}://{user}@{host}"),
            }
        }
        _ => address.to_owned(),
    };
    // A password may also stand among the options.
    let options: Vec<String> = options
        .iter()
        .flat_map(|options| options.split('&'))
        .map(|option| match option.split_once('=') {
            Some((name, _)) if name.contains("password") => format!("{name}=***"),
            _ => option.to_owned(),
        })
        .collect();
    if options.is_empty() { masked } else { format!("{masked}?{}", options.join("&")) }
}

fn origin(loaded: &Loaded, key: &str) -> String {
    loaded.figment.find_metadata(key).map_or_else(|| "default".to_owned(), place)
}

/// The name of a source of values: a file, `environment ACKORD_..`, `flag --..`, `default`.
pub(super) fn place(metadata: &Metadata) -> String {
    let file = metadata.source.as_ref().and_then(Source::file_path);
    file.map_or_else(|| metadata.name.to_string(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        assert_eq!(masked("postgres://me:s3cr@t@db/jobs"), "postgres://me:***@db/jobs");
        assert_eq!(
            masked("postgres://db/jobs?user=me&password=x"),
            "postgres://db/jobs?user=me&password=***"
        );
        assert_eq!(masked("postgres://me@db/jobs"), "postgres://me@db/jobs");
        assert_eq!(mask_credentials("amqps://me:s3cr@t@mq/jobs"), "amqps://me:***@mq/jobs");
        assert_eq!(mask_credentials("embedded"), "embedded");
        assert_eq!(masked("sqlite:.ackord/ackord.db"), "sqlite:.ackord/ackord.db");
    }
}
