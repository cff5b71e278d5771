//! A synthesis in the database, from the first wish for it to its versions.
//!
//! Everything here runs in the caller's transaction. No import touches a synthesis's node, so the graph is not locked.

use ackord_entities::graph::node::{self, NodeType, Visibility};
use ackord_entities::graph::synthesis::{self, Failure, Model};
use ackord_entities::graph::{synthesis_attempt, synthesis_version};
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::compose::ComposedText;
use super::document::Stats;
use super::explore::Record;
use crate::text::slug;

/// Characters of the topic in a node's key.
const KEY_TOPIC: usize = 80;

/// What a synthesis is asked for.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// The graph. It exists.
    pub graph: GraphId,
    /// The topic.
    pub topic: &'a str,
    /// Who may see it.
    pub visibility: Visibility,
    /// Who asks for it.
    pub creator: Option<&'a str>,
    /// The payload as JSON.
    pub input: &'a str,
}

/// The key of the node of the synthesis that `job` was published for: the topic to be read, the job so that no two are the same.
#[must_use]
pub fn node_key(topic: &str, job: JobId) -> String {
    key_with("synthesis", topic, job)
}

/// A node's key that begins with `word`.
pub(super) fn key_with(word: &str, topic: &str, job: JobId) -> String {
    let readable: String = slug(topic).chars().take(KEY_TOPIC).collect();
    let readable = readable.trim_matches('-');
    let separator = if readable.is_empty() { "" } else { "-" };
    format!("{word}-{readable}{separator}{}", job.0.simple())
}

/// The id of the synthesis that `job` was published for: the same in every run of the job.
#[must_use]
pub fn id_of(graph: GraphId, topic: &str, job: JobId) -> SynthesisId {
    SynthesisId(node::id_of(graph, &node_key(topic, job)).0)
}

/// Makes the synthesis, pending, if it is not there, and returns its id.
///
/// # Errors
/// Whatever the database answers.
pub async fn request(
    tx: &DatabaseTransaction,
    wish: &Wish<'_>,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<SynthesisId, DbErr> {
    create(tx, wish, &node_key(wish.topic, job), NodeType::Synthesis, job, now).await
}

/// Makes the synthesis whose node has this key and type, pending for `job`, if it is not there.
pub(super) async fn create(
    tx: &DatabaseTransaction,
    wish: &Wish<'_>,
    node_key: &str,
    node_type: NodeType,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<SynthesisId, DbErr> {
    let id = SynthesisId(node::id_of(wish.graph, node_key).0);
    let new = synthesis::New {
        id,
        graph_id: wish.graph,
        node_key,
        topic: wish.topic,
        concept: &concept(wish.topic, now),
        node_type,
        visibility: wish.visibility,
        creator_id: wish.creator,
        input: wish.input,
    };
    if synthesis::create(tx, &new, now).await? {
        synthesis::assign(tx, id, job).await?;
    }
    Ok(id)
}

/// Makes the synthesis if it is not there, and has it running for `job`: pending or failed begins a new attempt, running
/// for the same job goes on. `None` when it is completed or another job works on it; nothing changes then.
///
/// # Errors
/// Whatever the database answers.
pub async fn begin(
    tx: &DatabaseTransaction,
    wish: &Wish<'_>,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Option<Model>, DbErr> {
    let id = request(tx, wish, job, now).await?;
    start(tx, id, job, now).await
}

/// The same for a synthesis that is there.
///
/// # Errors
/// Whatever the database answers.
pub async fn start(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Option<Model>, DbErr> {
    let Some((row, is_new)) = synthesis::start(tx, id, job, now).await? else { return Ok(None) };
    if is_new {
        synthesis_attempt::begin(tx, id, row.attempts, job, now).await?;
    }
    Ok(Some(row))
}

/// Stores a text as the newest version, its node's definition included. Returns the version's number; `None`, with nothing
/// written, when the synthesis is not running for `job` any more.
///
/// # Errors
/// Whatever the database answers. A document that is no JSON cannot be: it is reported as a custom error.
pub async fn complete(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    job: JobId,
    text: &ComposedText,
    producer: &str,
    record: &Record,
    now: DateTime<Utc>,
) -> Result<Option<i32>, DbErr> {
    let Some(version) = synthesis::complete(tx, id, job, now).await? else { return Ok(None) };
    keep(tx, id, version, job, text, producer, now).await?;
    synthesis_attempt::end(tx, id, job, None, Some(&json(record)?), now).await?;
    Ok(Some(version))
}

/// Writes a text as `version`, and as the definition of the synthesis's node.
pub(super) async fn keep(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    version: i32,
    job: JobId,
    text: &ComposedText,
    producer: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let Stats { sentences_count, facts_linked, nodes_referenced } = text.document.stats;
    let row = synthesis_version::Model {
        synthesis_id: id,
        version,
        markdown: text.markdown.clone(),
        document: json(&text.document)?,
        sentences_count: number(sentences_count),
        facts_linked: number(facts_linked),
        nodes_referenced: number(nodes_referenced),
        job_id: job,
        producer: producer.to_owned(),
        created_at: now,
    };
    synthesis_version::insert(tx, row).await?;
    synthesis::define(tx, id, &text.markdown, now).await
}

/// Stores why `job` came to no text. An older text, visibility and creator stay. Returns whether the synthesis was pending
/// or running for `job`; otherwise nothing changes.
///
/// # Errors
/// Whatever the database answers.
pub async fn fail(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    job: JobId,
    failure: &Failure,
    record: Option<&Record>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    if !synthesis::fail(tx, id, job, failure, now).await? {
        return Ok(false);
    }
    let record = record.map(json).transpose()?;
    synthesis_attempt::end(tx, id, job, Some(failure), record.as_deref(), now).await?;
    Ok(true)
}

/// The name of a synthesis's node: the topic and when it was asked for.
fn concept(topic: &str, now: DateTime<Utc>) -> String {
    format!("{} [UTC {}]", topic.trim(), now.format("%Y%m%d-%H%M%S"))
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, DbErr> {
    serde_json::to_string(value).map_err(|error| DbErr::Custom(error.to_string()))
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::clock::machine_now;
    use ackord_entities::database::Database;
    use ackord_entities::graph::graphs;
    use ackord_entities::graph::synthesis::State;
    use ackord_entities::testing::TestDatabase;
    use rstest::rstest;
    use sea_orm::DbBackend;

    use super::*;
    use crate::synthesis::document::Document;

    fn wish(graph: GraphId) -> Wish<'static> {
        Wish {
            graph,
            topic: "Leases",
            visibility: Visibility::Private,
            creator: Some("anna"),
            input: r#"{"topic":"Leases"}"#,
        }
    }

    fn text(markdown: &str) -> ComposedText {
        ComposedText { markdown: markdown.to_owned(), document: Document::of(markdown, &[], &[]) }
    }

    fn failure(code: &str) -> Failure {
        Failure {
            code: code.to_owned(),
            operator: format!("{code} in full"),
            public: format!("{code} in short"),
        }
    }

    async fn graph(database: &Database) -> GraphId {
        graphs::ensure(database.write(), graphs::DEFAULT, machine_now()).await.unwrap()
    }

    async fn begun(database: &Database, graph: GraphId, job: JobId) -> Option<Model> {
        let tx = database.begin().await.unwrap();
        let row = begin(&tx, &wish(graph), job, machine_now()).await.unwrap();
        tx.commit().await.unwrap();
        row
    }

    async fn completed(database: &Database, id: SynthesisId, job: JobId, markdown: &str) -> Option<i32> {
        let tx = database.begin().await.unwrap();
        let version =
            complete(&tx, id, job, &text(markdown), "extractive", &Record::default(), machine_now())
                .await
                .unwrap();
        tx.commit().await.unwrap();
        version
    }

    async fn failed(database: &Database, id: SynthesisId, job: JobId, code: &str) -> bool {
        let tx = database.begin().await.unwrap();
        let changed =
            fail(&tx, id, job, &failure(code), Some(&Record::default()), machine_now()).await.unwrap();
        tx.commit().await.unwrap();
        changed
    }

    async fn seen(test: &TestDatabase, id: SynthesisId) -> (Model, node::Model) {
        let other = test.reopen().await;
        let row = synthesis::by_id(other.read(), id).await.unwrap().unwrap();
        let node = node::by_ids(other.read(), [ackord_entities::ids::NodeId(id.0)]).await.unwrap().remove(0);
        (row, node)
    }

    #[rstest]
    #[tokio::test]
    async fn a_success_stores_text_structure_and_definition(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let job = JobId::new();
        let row = begun(database, graph(database).await, job).await.unwrap();
        assert_eq!((row.state, row.attempts, row.row_version), (State::Running, 1, 2));
        assert_eq!(completed(database, row.id, job, "Leases expire here.").await, Some(1));
        let (row, node) = seen(&test, row.id).await;
        assert_eq!((row.state, row.current_version, row.error_code), (State::Completed, Some(1), None));
        assert_eq!(node.definition.as_deref(), Some("Leases expire here."));
        assert_eq!((node.node_type, node.visibility), (NodeType::Synthesis, Visibility::Private));
        assert!(node.concept.starts_with("Leases [UTC 20"), "{}", node.concept);
        let version = synthesis_version::of(database.read(), row.id, 1).await.unwrap().unwrap();
        assert_eq!((version.sentences_count, version.producer.as_str()), (1, "extractive"));
        let document: Document = serde_json::from_str(&version.document).unwrap();
        assert_eq!(document.sentences[0].text, "Leases expire here.");
        let attempts = synthesis_attempt::all_of(database.read(), row.id).await.unwrap();
        assert_eq!(attempts[0].state, synthesis_attempt::State::Completed);
        assert!(attempts[0].exploration.is_some());
    }

    #[rstest]
    #[tokio::test]
    async fn a_failure_keeps_owner_visibility_input_and_the_last_good_text(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let job = JobId::new();
        let row = begun(database, graph(database).await, job).await.unwrap();
        assert!(failed(database, row.id, job, "no_facts").await);
        let (row, node) = seen(&test, row.id).await;
        assert_eq!((row.state, row.current_version, node.definition), (State::Error, None, None));
        assert_eq!(row.error_public.as_deref(), Some("no_facts in short"));
        assert_eq!((row.visibility, row.creator_id.as_deref()), (Visibility::Private, Some("anna")));
        assert_eq!((node.visibility, node.creator_id.as_deref()), (Visibility::Private, Some("anna")));
        assert_eq!(row.input, r#"{"topic":"Leases"}"#);

        // The job is replayed, succeeds, and a later run fails again: the text of the success stays.
        assert!(begun(database, row.graph_id, job).await.is_some());
        assert_eq!(completed(database, row.id, job, "Leases expire here.").await, Some(1));
        let again = JobId::new();
        let tx = database.begin().await.unwrap();
        assert!(
            synthesis::start(&tx, row.id, again, machine_now()).await.unwrap().is_none(),
            "a completed one stays"
        );
        tx.rollback().await.unwrap();
        assert!(!failed(database, row.id, job, "late").await, "a completed one does not fail");
        let (row, node) = seen(&test, row.id).await;
        assert_eq!((row.state, row.error_code), (State::Completed, None));
        assert_eq!(node.definition.as_deref(), Some("Leases expire here."));
        let attempts = synthesis_attempt::all_of(database.read(), row.id).await.unwrap();
        let codes: Vec<Option<&str>> = attempts.iter().map(|attempt| attempt.error_code.as_deref()).collect();
        assert_eq!(codes, [Some("no_facts"), None], "the history keeps both");
    }

    #[rstest]
    #[tokio::test]
    async fn a_second_delivery_makes_no_second_node_and_no_second_version(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let (graph, job) = (graph(database).await, JobId::new());
        let first = begun(database, graph, job).await.unwrap();
        let second = begun(database, graph, job).await.unwrap();
        assert_eq!((first.id, first.attempts), (second.id, second.attempts));
        assert_eq!(completed(database, first.id, job, "Leases expire here.").await, Some(1));
        assert!(begun(database, graph, job).await.is_none());
        assert_eq!(completed(database, first.id, job, "Something else.").await, None);
        assert_eq!(synthesis_version::all_of(database.read(), first.id).await.unwrap().len(), 1);
        assert_eq!(node::most_mentioned(database.read(), graph, 10).await.unwrap().len(), 1);
    }

    #[rstest]
    #[tokio::test]
    async fn a_job_that_is_not_the_running_one_writes_nothing(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let (job, stranger) = (JobId::new(), JobId::new());
        let row = begun(database, graph(database).await, job).await.unwrap();
        assert_eq!(completed(database, row.id, stranger, "Not mine.").await, None);
        assert!(!failed(database, row.id, stranger, "not_mine").await);
        assert_eq!(seen(&test, row.id).await.0.state, State::Running);
    }

    #[rstest]
    #[tokio::test]
    async fn one_topic_twice_in_one_second_is_two_syntheses(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let graph = graph(database).await;
        let one = begun(database, graph, JobId::new()).await.unwrap();
        let other = begun(database, graph, JobId::new()).await.unwrap();
        assert_ne!((one.id, &one.node_key), (other.id, &other.node_key));
        assert!(one.node_key.starts_with("synthesis-leases-"), "{}", one.node_key);
    }

    #[test]
    fn a_key_is_a_slug_whatever_the_topic() {
        for topic in ["?!", "知识 图谱", &"long ".repeat(100), "a -- b"] {
            let key = node_key(topic, JobId::new());
            assert_eq!(slug(&key), key, "{topic}");
        }
    }
}
