//! A graph that is copied to its read side, so that the worker that does so is killed too.

use ackord_consumers::jobs::SyncCycleHandler;
use ackord_consumers::registry::Registry;
use ackord_entities::database::Database;
use ackord_entities::graph::graphs;
use ackord_entities::jobs::SyncCycle;
use ackord_entities::queue::job;
use ackord_graph::import::{Import, ImportOptions, Upload, UploadFormat};
use ackord_producer::{Publish, enqueue, ring_outside};
use clap::Args;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Statement};
use serde::Serialize;

/// What to do with the graph.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Documents to import.
    #[arg(long, default_value_t = 0)]
    documents: u32,
    /// Remove what the first document says.
    #[arg(long)]
    remove: bool,
}

/// The kind that copies graphs, as `ackord` runs it.
#[must_use]
pub fn with_graphs(registry: Registry) -> Registry {
    registry.with(SyncCycleHandler::default())
}

/// Changes the graph, and publishes a cycle.
///
/// # Errors
/// Whatever the database answers.
pub async fn change(database: &Database, args: &GraphArgs) -> anyhow::Result<()> {
    for number in 1..=args.documents {
        let text = format!(
            "# Lease {number}\n\nThe `lease-{number}` is a claim on a `key`. The `worker` renews the `lease-{number}`. The `sweeper` ends it.\n"
        );
        import(database, number, text).await?;
    }
    if args.remove {
        import(database, 1, "# Nothing\n\nThe `sweeper` has ended it.\n".to_owned()).await?;
    }
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    enqueue(&tx, &SyncCycle::of(graphs::DEFAULT), &Publish::at(now)).await?;
    tx.commit().await?;
    let _ = ring_outside(database).await;
    Ok(())
}

async fn import(database: &Database, number: u32, text: String) -> anyhow::Result<()> {
    let upload = Upload {
        uri: format!("upload:lease-{number}.md"),
        format: UploadFormat::Markdown,
        content: text.into_bytes(),
    };
    Import::new(database.clone(), ImportOptions::default()).take(upload).await?;
    Ok(())
}

/// How the two sides differ.
#[derive(Debug, Serialize)]
pub struct Copied {
    /// Rows of the write side that the read side does not have, and the other way round, by table.
    different: Vec<(&'static str, i64)>,
    /// Rows of the read side.
    rows: i64,
    /// Jobs that have not ended.
    unfinished: u64,
    /// Jobs that have not succeeded.
    unsuccessful: u64,
}

const PAIRS: [(&str, &str, &str); 6] = [
    ("sources", "id, title, content_hash", "write_sources"),
    ("facts", "id, content", "write_facts"),
    ("nodes", "id, key, concept", "write_nodes"),
    ("fact_sources", "source_id, position, fact_id, start_byte", "write_fact_sources"),
    ("node_facts", "node_id, fact_id", "write_node_facts"),
    ("edges", "", "write_edges"),
];

/// Compares both sides.
///
/// # Errors
/// Whatever the database answers.
pub async fn compare(database: &Database) -> anyhow::Result<Copied> {
    let (mut different, mut rows) = (Vec::new(), 0);
    for (read, columns, written) in PAIRS {
        let (left, right) = match read {
            "edges" => (
                "SELECT a.key, b.key, e.relationship_type, e.weight FROM edges AS e JOIN nodes AS a ON a.id = e.source_id \
                 JOIN nodes AS b ON b.id = e.target_id"
                    .to_owned(),
                "SELECT source_key, target_key, relationship_type, weight FROM write_edges".to_owned(),
            ),
            _ => (format!("SELECT {columns} FROM {read}"), format!("SELECT {columns} FROM {written}")),
        };
        let there = number(database, &format!("SELECT count(*) FROM {read}")).await?;
        for (one, other) in [(&left, &right), (&right, &left)] {
            let sql = format!(
                "SELECT count(*) FROM (SELECT * FROM ({one}) AS x EXCEPT SELECT * FROM ({other}) AS y) AS z"
            );
            let count = number(database, &sql).await?;
            if count > 0 {
                different.push((read, count));
            }
        }
        rows += there;
    }
    let jobs = |condition| job::Entity::find().filter(condition).count(database.read());
    let unfinished = jobs(job::Column::FinishedAt.is_null()).await?;
    let unsuccessful = jobs(job::Column::State.ne("succeeded")).await?;
    Ok(Copied { different, rows, unfinished, unsuccessful })
}

async fn number(database: &Database, sql: &str) -> anyhow::Result<i64> {
    let statement = Statement::from_string(database.backend(), sql);
    let row = database.read().query_one_raw(statement).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?)
}
