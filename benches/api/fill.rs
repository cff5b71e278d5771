//! A database as it is after two weeks: finished jobs, and syntheses that are copies of one that was written as always.

use ackord_entities::database::{Database, DatabaseOptions};
use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::{graphs, synthesis_version};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_graph::import::{Import, ImportOptions, Upload, UploadFormat};
use ackord_graph::synthesis::document::Document;
use ackord_graph::synthesis::{ExtractiveProducer, Request, Run, Wish, begin, complete, compose, find_graph};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Statement};
use std::fmt::Write as _;

/// Rows of one statement.
const STEP: u32 = 50_000;

/// `$id`: a UUIDv7 of the millisecond `ms`. One job of a hundred has failed, one of a thousand is dead.
const JOBS: &str = "\
    INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, subject, created_at, started_at, \
    finished_at, error_code, error, public_error) \
    SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid, \
    CASE WHEN n % 10 < 7 THEN 'synthesis' WHEN n % 10 < 9 THEN 'regeneration' ELSE 'recombination' END, 1, \
    CASE WHEN n % 100 = 50 THEN 'failed' WHEN n % 1000 = 1 THEN 'dead' ELSE 'succeeded' END, 1, 'enqueue', 1, 5, 0, \
    '{\"topic\":\"How leases keep two workers apart, part ' || n || '\"}', 'graph:default', to_timestamp(ms / 1000.0), \
    to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0) + interval '1 second', \
    CASE WHEN n % 100 = 50 OR n % 1000 = 1 THEN 'no_facts' END, CASE WHEN n % 100 = 50 OR n % 1000 = 1 THEN 'no facts in the graph' END, \
    CASE WHEN n % 100 = 50 OR n % 1000 = 1 THEN 'the graph says nothing about it' END \
    FROM (SELECT n, (extract(epoch FROM now()) * 1000)::bigint - (($jobs - n) * (14 * 86400000::bigint / $jobs)) AS ms \
    FROM generate_series($first::bigint, $last::bigint) AS n) AS s";

/// One of fifty has failed, one of ten is private, one of a thousand is in five parts.
const SYNTHESES: [&str; 5] = [
    "INSERT INTO write_syntheses (id, graph_id, node_key, topic, state, visibility, creator_id, input, error_code, error_message, \
     error_public, error_at, current_version, attempts, row_version, job_id, created_at, updated_at) \
     SELECT md5('synthesis ' || n)::uuid, s.graph_id, 'synthesis-copy-' || n, s.topic || ', part ' || n, \
     CASE WHEN n % 50 = 7 THEN 'error' ELSE 'completed' END, CASE WHEN n % 10 = 3 THEN 'private' ELSE 'public' END, \
     'creator-' || n % 1000, s.input, CASE WHEN n % 50 = 7 THEN 'no_facts' END, CASE WHEN n % 50 = 7 THEN 'no facts' END, \
     CASE WHEN n % 50 = 7 THEN 'the graph says nothing about it' END, CASE WHEN n % 50 = 7 THEN at END, 1, 1, 3, s.job_id, at, at \
     FROM (SELECT n, now() - n * interval '12 seconds' AS at FROM generate_series($first, $last) AS n) AS c, \
     (SELECT * FROM write_syntheses WHERE id = '$id') AS s",
    "INSERT INTO write_nodes (id, graph_id, key, concept, node_type, visibility, creator_id, fact_count, strength, created_at, updated_at, \
     definition) SELECT w.id, w.graph_id, w.node_key, w.topic, 'synthesis', w.visibility, w.creator_id, 0, 0, w.created_at, w.created_at, v.markdown \
     FROM write_syntheses AS w, write_synthesis_versions AS v WHERE v.synthesis_id = '$id' \
     AND w.id = ANY (SELECT md5('synthesis ' || n)::uuid FROM generate_series($first, $last) AS n)",
    "INSERT INTO write_synthesis_versions (synthesis_id, version, markdown, document, sentences_count, facts_linked, nodes_referenced, \
     job_id, producer, created_at) SELECT md5('synthesis ' || n)::uuid, 1, v.markdown, v.document, v.sentences_count, v.facts_linked, \
     v.nodes_referenced, v.job_id, v.producer, v.created_at FROM generate_series($first, $last) AS n, write_synthesis_versions AS v \
     WHERE v.synthesis_id = '$id'",
    "INSERT INTO write_super_syntheses (id) SELECT md5('synthesis ' || n)::uuid FROM generate_series($first, $last) AS n WHERE n % 1000 = 0",
    "INSERT INTO write_synthesis_links (super_id, sub_id, position, origin) SELECT md5('synthesis ' || n)::uuid, \
     md5('synthesis ' || n - 1 - position)::uuid, position, 'planned' FROM generate_series($first, $last) AS n, generate_series(0, 4) AS position \
     WHERE n % 1000 = 0",
];

/// What is asked for by its id.
pub(crate) struct Filled {
    pub(crate) job: JobId,
    pub(crate) synthesis: SynthesisId,
    /// A sentence that has facts.
    pub(crate) sentence: u32,
    now: DateTime<Utc>,
}

impl Filled {
    /// A moment as the API reads it.
    pub(crate) fn minutes_ago(&self, minutes: i64) -> String {
        (self.now - TimeDelta::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

/// Fills the database, which has its tables.
pub(crate) async fn fill(url: &str, jobs: u32, syntheses: u32) -> Filled {
    let database = DatabaseOptions::new(url).open().await.unwrap();
    let (synthesis, sentence) = write_one(&database).await;
    let set = |sql: &str, first: u32, last: u32| {
        sql.replace("$first", &first.to_string())
            .replace("$last", &last.to_string())
            .replace("$id", &synthesis.to_string())
    };
    for (first, last) in steps(jobs) {
        run(&database, &set(JOBS, first, last).replace("$jobs", &jobs.to_string())).await;
    }
    for (first, last) in steps(syntheses) {
        for sql in SYNTHESES {
            run(&database, &set(sql, first, last)).await;
        }
    }
    database.write().execute_unprepared("VACUUM (ANALYZE)").await.unwrap();
    let some = Statement::from_string(
        database.backend(),
        format!("SELECT id FROM jobs ORDER BY id OFFSET {} LIMIT 1", jobs / 2),
    );
    let some = database.read().query_one_raw(some).await.unwrap().unwrap();
    let now = database.clock().now(database.read()).await.unwrap();
    let filled = Filled { job: some.try_get_by_index(0).unwrap(), synthesis, sentence, now };
    database.close().await;
    filled
}

/// First and last of each step, from 1.
fn steps(count: u32) -> impl Iterator<Item = (u32, u32)> {
    (1..=count).step_by(STEP as usize).map(move |first| (first, count.min(first + STEP - 1)))
}

async fn run(database: &Database, sql: &str) {
    let tx = database.begin_unlimited().await.unwrap();
    tx.execute_unprepared(sql).await.unwrap();
    tx.commit().await.unwrap();
}

/// Documents, and a synthesis about them: the one that the others are copies of. Also which of its sentences has facts.
async fn write_one(database: &Database) -> (SynthesisId, u32) {
    let mut text = String::from("# Leases\n\n");
    for number in 1..=200 {
        write!(
            text,
            "## Rule {number}\n\nLease {number} is an exclusive claim on key {number} that ends by itself. The sweeper puts back the job of \
             an expired lease {number} times. A worker renews lease {number} while it performs, and compares its term when it commits.\n\n"
        )
        .unwrap();
    }
    let upload = Upload {
        uri: "upload:leases.md".to_owned(),
        format: UploadFormat::Markdown,
        content: text.into_bytes(),
    };
    Import::new(database.clone(), ImportOptions::default()).take(upload).await.unwrap();
    let graph = find_graph(database.read(), graphs::DEFAULT).await.unwrap().unwrap();
    let topic = "How a worker renews a lease";
    let request =
        Request { graph, topic: topic.to_owned(), starting_nodes: Vec::new(), budget: 50, max_words: 1_000 };
    let composed = compose(database.read(), &ExtractiveProducer, &request, &Run::unwatched()).await.unwrap();
    let input = format!("{{\"topic\":\"{topic}\"}}");
    let wish = Wish { graph, topic, visibility: Visibility::Public, creator: None, input: &input };
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let job = JobId::new();
    let running = begin(&tx, &wish, job, now).await.unwrap().unwrap();
    let written = composed.text.expect("the documents say something about it");
    complete(&tx, running.id, job, &written, &composed.producer, &composed.record, now).await.unwrap();
    tx.commit().await.unwrap();
    let version = synthesis_version::of(database.read(), running.id, 1).await.unwrap().unwrap();
    let document: Document = serde_json::from_str(&version.document).unwrap();
    let backed = document.sentences.iter().find(|sentence| !sentence.fact_links.is_empty()).unwrap();
    eprintln!("a synthesis has {} sentences and {} bytes", document.sentences.len(), version.document.len());
    (running.id, backed.position)
}
