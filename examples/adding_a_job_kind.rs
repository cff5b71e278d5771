//! A kind of job from its contract to its handler, run on a temporary SQLite file:
//!
//! ```text
//! cargo run --example adding_a_job_kind
//! ```
//!
//! The kind `word-count` counts the words of a document and of the documents that it links to. `docs/adding-a-job-kind.md`
//! walks through this file; a test below keeps its snippets the same.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};
use ackord_consumers::registry::Registry;
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::database::{Database, DatabaseOptions, Sql};
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Invalid, Job};
use ackord_entities::queue::job;
use ackord_migration::{Migrator, MigratorTrait};
use ackord_producer::broker::topology::Topology;
use ackord_producer::broker::{Broker, EmbeddedBroker, EmbeddedOptions};
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::{Doorbell, Enqueued, Publish, enqueue};
use async_trait::async_trait;
use schemars::JsonSchema;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

// The contract. In ackord itself: entities/src/jobs/word_count.rs.

/// Count the words of a document, and of the documents that it links to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = WordCount { path: "tea.md".to_owned(), follow: 1 })]
struct WordCount {
    /// Path of the document.
    #[schemars(length(min = 1))]
    path: String,
    /// How many links away a document may be that is counted too.
    #[serde(default)]
    follow: u8,
}

impl Job for WordCount {
    const KIND: &'static str = "word-count";
    const MAX_ATTEMPTS: u32 = 3;
    const TIMEOUT: Duration = Duration::from_secs(10);

    fn key(&self) -> Option<String> {
        Some(format!("document:{}", self.path))
    }

    fn dedup_key(&self) -> Option<String> {
        Some(self.path.clone())
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.path.is_empty() {
            return Err(Invalid::new("path", "is empty: give the path of a document"));
        }
        Ok(())
    }
}

// The handler. In ackord itself: consumers/src/jobs/word_count/mod.rs.

/// Counts words.
struct WordCountHandler;

/// What the slow half found.
#[derive(Debug, Default)]
struct Counted {
    words: i64,
    links: Vec<String>,
}

#[async_trait]
impl Handler for WordCountHandler {
    type Job = WordCount;
    type Output = Counted;

    async fn perform(&self, turn: &Turn<WordCount>, _context: &Context) -> Result<Counted, JobError> {
        let text = read(&turn.job.path).await?;
        let words = i64::try_from(text.split_whitespace().count()).unwrap_or(i64::MAX);
        Ok(Counted { words, links: links(Path::new(&turn.job.path), &text) })
    }

    async fn commit(
        &self,
        turn: &Turn<WordCount>,
        counted: &Counted,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        note(tx, turn, Some(counted.words), None).await?;
        if let Some(follow) = turn.job.follow.checked_sub(1) {
            for path in &counted.links {
                let linked = WordCount { path: path.clone(), follow };
                enqueue(tx, &linked, &turn.follow_up(tx)).await?;
            }
        }
        Ok(Outcome::with_result(json!({ "words": counted.words })))
    }

    async fn abandon(&self, turn: &Turn<WordCount>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        note(tx, turn, None, Some(&end.error.public)).await
    }
}

/// Reads a document. One that is not there, or is no text, is an answer and not an accident: `Failed`. Anything else may pass.
async fn read(path: &str) -> Result<String, JobError> {
    let bytes = tokio::fs::read(path).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => JobError::Failed(Failure {
            code: "no_such_document".to_owned(),
            operator: format!("{path} is not there"),
            public: "the document is not there".to_owned(),
        }),
        _ => JobError::transient("unreadable", &error, "the document cannot be read at the moment"),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        JobError::Failed(Failure {
            code: "not_text".to_owned(),
            operator: format!("{path}: {error}"),
            public: "the document is not a text".to_owned(),
        })
    })
}

/// The effect: one row for each document, which says how often it was counted.
async fn note(
    tx: &Tx<'_>,
    turn: &Turn<WordCount>,
    words: Option<i64>,
    failure: Option<&str>,
) -> Result<(), JobError> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO word_counts (path, words, failure, times, job_id) VALUES (")
        .bind(turn.job.path.clone())
        .text(", ")
        .bind(words)
        .text(", ")
        .bind(failure.map(str::to_owned))
        .text(", ")
        .bind(i64::from(words.is_some()))
        .text(", ")
        .bind(turn.id.to_string())
        .text(
            ") ON CONFLICT (path) DO UPDATE SET words = excluded.words, failure = excluded.failure, \
             times = word_counts.times + excluded.times, job_id = excluded.job_id",
        )
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// The files that a Markdown document links to, beside it.
fn links(document: &Path, text: &str) -> Vec<String> {
    let folder = document.parent().unwrap_or(Path::new(""));
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .filter(|(target, _)| !target.is_empty() && !target.contains("://"))
        .map(|(target, _)| folder.join(target).display().to_string())
        .collect()
}

// The rest runs it. In ackord itself `ackord up` does all of this for every kind of the registry.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    write_documents(folder.path())?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let database = DatabaseOptions::new(format!("sqlite:{}", path("ackord.db"))).open().await?;
    let tx = database.begin_unlimited().await?;
    Migrator::up(&tx, None).await?;
    tx.commit().await?;
    make_table(&database).await?;

    let first = publish(&database, &WordCount { path: path("tea.md"), follow: 1 }).await?;
    let again = publish(&database, &WordCount { path: path("tea.md"), follow: 1 }).await?;
    println!(
        "tea.md is job {}; published again it is job {}, a duplicate: {}",
        first.id, again.id, again.duplicate
    );

    run_until_all_have_ended(&database, Registry::new().with(WordCountHandler)).await?;
    show(&database, folder.path(), first.id).await?;
    database.close().await;
    Ok(())
}

fn write_documents(folder: &Path) -> std::io::Result<()> {
    std::fs::write(
        folder.join("tea.md"),
        "Tea needs [hot water](water.md), [a photo](photo.png) and [milk](milk.md).",
    )?;
    std::fs::write(folder.join("water.md"), "Water boils sooner on a mountain. Back to [tea](tea.md).")?;
    std::fs::write(folder.join("photo.png"), [0x89, b'P', b'N', b'G', 0xff, 0xfe])
}

async fn make_table(database: &Database) -> Result<(), sea_orm::DbErr> {
    let table = "CREATE TABLE word_counts (path text NOT NULL PRIMARY KEY, words bigint, failure text, \
                 times bigint NOT NULL, job_id text NOT NULL)";
    database.write().execute_unprepared(table).await?;
    Ok(())
}

/// Publishes a job in a transaction, where whatever else belongs to it could be written too.
async fn publish(database: &Database, job: &WordCount) -> anyhow::Result<Enqueued> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let enqueued = enqueue(&tx, job, &Publish::at(now)).await?;
    tx.commit().await?;
    Ok(enqueued)
}

/// A broker, a relay and a worker in this process.
async fn run_until_all_have_ended(database: &Database, registry: Registry) -> anyhow::Result<()> {
    let broker: Arc<dyn Broker> = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
    broker.apply(&Topology::of(&registry.catalogue())).await?;
    let doorbell = Doorbell::default();
    let relay = Relay::new(database.clone(), Arc::clone(&broker), doorbell.clone(), RelayOptions::default());
    let worker = Worker::new(database.clone(), broker, registry, doorbell, WorkerOptions::default())?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(relay.run(stop.clone()));
    tasks.spawn(worker.run(stop.clone()));
    while !job::count_unfinished(database.read()).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// What became of the jobs, the oldest first.
async fn show(database: &Database, folder: &Path, first: JobId) -> anyhow::Result<()> {
    let mut jobs = job::list(database.read(), &job::Filter::default(), 100).await?;
    jobs.reverse();
    for job in jobs {
        let payload: WordCount = serde_json::from_str(&job.payload)?;
        let name = Path::new(&payload.path).strip_prefix(folder)?.display().to_string();
        let what = job.result.or(job.public_error).unwrap_or_default();
        let from = if job.parent_id == Some(first) { "follow-up" } else { "published" };
        println!("{name:<10} {from:<10} {:<10} {what}", job.state.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_consumers::testing::{Candidate, Harness, Stage, StageOptions, eventually};
    use ackord_entities::jobs::KindSpec;
    use ackord_entities::jobs::agreement::Agreement;
    use ackord_entities::queue::state::JobState;
    use ackord_entities::testing::TestDatabase;

    use super::*;

    type Row = (Option<i64>, Option<String>);

    /// What is noted about a document, as another process reads it.
    async fn noted(stage: &Stage, path: &str) -> Option<Row> {
        let database = stage.reopen().await;
        let statement = Sql::new(database.backend())
            .text("SELECT words, failure FROM word_counts WHERE path = ")
            .bind(path.to_owned())
            .build();
        let row = database.read().query_one_raw(statement).await.unwrap()?;
        Some((row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
    }

    async fn stage(database: TestDatabase) -> Stage {
        let stage = Stage::new(database, Registry::new().with(WordCountHandler)).await;
        make_table(&stage.database).await.unwrap();
        stage
    }

    async fn all_have_ended(stage: &Stage) {
        eventually("every job has ended", async || {
            job::count_unfinished(stage.database.read()).await.unwrap().is_empty().then_some(())
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_document_is_counted_with_those_that_it_links_to() {
        for database in TestDatabase::each().await {
            let folder = tempfile::tempdir().unwrap();
            write_documents(folder.path()).unwrap();
            let path = |name: &str| folder.path().join(name).display().to_string();
            let mut stage = stage(database).await;
            stage.start(StageOptions::default());
            let tea = stage.publish(&WordCount { path: path("tea.md"), follow: 1 }).await;
            all_have_ended(&stage).await;

            assert_eq!(stage.job(tea).await.result.as_deref(), Some(r#"{"words":8}"#));
            assert_eq!(noted(&stage, &path("water.md")).await, Some((Some(9), None)));
            let children = job::Filter { parent: Some(tea), ..job::Filter::default() };
            assert_eq!(job::list(stage.database.read(), &children, 10).await.unwrap().len(), 3);
            stage.stop().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_text_ends_failed_and_is_noted() {
        for database in TestDatabase::each().await {
            let folder = tempfile::tempdir().unwrap();
            write_documents(folder.path()).unwrap();
            let path = folder.path().join("photo.png").display().to_string();
            let mut stage = stage(database).await;
            stage.start(StageOptions::default());
            let id = stage.publish(&WordCount { path: path.clone(), follow: 0 }).await;
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("not_text")));
            assert!(!job.public_error.unwrap().contains(&path));
            let failure = Some("the document is not a text".to_owned());
            assert_eq!(noted(&stage, &path).await, Some((None, failure)));
            stage.stop().await;
        }
    }

    #[tokio::test]
    async fn a_document_that_waits_is_not_published_twice() {
        for database in TestDatabase::each().await {
            let stage = stage(database).await;
            let job = WordCount { path: "tea.md".to_owned(), follow: 0 };
            let first = publish(&stage.database, &job).await.unwrap();
            let again = publish(&stage.database, &job).await.unwrap();
            assert_eq!((first.duplicate, again), (false, Enqueued { id: first.id, duplicate: true }));
        }
    }

    /// What the harness has to know about the kind.
    struct Counting {
        documents: tempfile::TempDir,
    }

    #[async_trait]
    impl Candidate for Counting {
        type Handler = WordCountHandler;

        fn handler(&self) -> WordCountHandler {
            WordCountHandler
        }

        fn sample(&self) -> WordCount {
            WordCount { path: self.documents.path().join("tea.md").display().to_string(), follow: 1 }
        }

        async fn prepare(&self, database: &Database) {
            make_table(database).await.unwrap();
        }

        async fn effects(&self, database: &Database, job: JobId) -> u64 {
            let statement = Sql::new(database.backend())
                .text("SELECT times FROM word_counts WHERE words IS NOT NULL AND job_id = ")
                .bind(job.to_string())
                .build();
            let row = database.read().query_one_raw(statement).await.unwrap();
            row.map_or(0, |row| row.try_get_by_index::<i64>(0).unwrap().unsigned_abs())
        }

        async fn snapshot(&self, database: &Database) -> String {
            let statement = Sql::new(database.backend())
                .text("SELECT path, words, failure, times FROM word_counts ORDER BY path")
                .build();
            let rows = database.read().query_all_raw(statement).await.unwrap();
            let line = |row: &sea_orm::QueryResult| {
                let words: Option<i64> = row.try_get_by_index(1).unwrap();
                let failure: Option<String> = row.try_get_by_index(2).unwrap();
                let (path, times): (String, i64) =
                    (row.try_get_by_index(0).unwrap(), row.try_get_by_index(3).unwrap());
                format!("{path} {words:?} {failure:?} {times}\n")
            };
            rows.iter().map(line).collect()
        }
    }

    #[test]
    fn the_schema_says_what_the_code_checks() {
        Agreement::of(&KindSpec::of::<WordCount>()).assert_holds();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_handler_stands_every_trial() {
        let documents = tempfile::tempdir().unwrap();
        write_documents(documents.path()).unwrap();
        Harness::new(Counting { documents }).run().await;
    }

    #[tokio::test]
    async fn a_half_can_be_called_by_itself_and_each_run_has_the_jobs_own_key() {
        let database = TestDatabase::sqlite().await;
        let folder = tempfile::tempdir().unwrap();
        write_documents(folder.path()).unwrap();
        let path = folder.path().join("tea.md").display().to_string();
        let turn = Turn {
            id: JobId::new(),
            job: WordCount { path, follow: 0 },
            attempt: 1,
            seq: 1,
            traceparent: None,
        };
        let run =
            |id| Context::new(database.database().clone(), WordCount::KIND, id, CancellationToken::new());
        let counted = WordCountHandler.perform(&turn, &run(turn.id)).await.unwrap();
        assert_eq!((counted.words, counted.links.len()), (8, 3));
        assert_eq!(run(turn.id).idempotency_key(), run(turn.id).idempotency_key());
        assert_ne!(run(turn.id).idempotency_key(), run(JobId::new()).idempotency_key());
    }

    #[test]
    fn the_snippets_of_the_documentation_are_this_code() {
        let code = include_str!("adding_a_job_kind.rs");
        let documentation = include_str!("../docs/adding-a-job-kind.md");
        let snippets: Vec<&str> = documentation
            .split("```rust\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("```").map(|(snippet, _)| snippet))
            .collect();
        assert!(snippets.len() >= 4, "the documentation has lost its snippets");
        for snippet in snippets {
            for part in snippet.split("    // ..\n") {
                assert!(
                    code.contains(part),
                    "docs/adding-a-job-kind.md shows what is not in the example:\n{part}"
                );
            }
        }
    }
}
