//! A graph with both its sides, copied cycle by cycle as the job does, and both sides compared row by row.

use std::collections::BTreeMap;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::graph::{changes, graphs};
use ackord_entities::ids::GraphId;
use ackord_entities::sync::failure::{self, Policy};
use ackord_entities::sync::state;
use ackord_entities::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio_util::sync::CancellationToken;

use super::super::{Claim, DEFAULT, Engine};
use crate::import::{Import, ImportOptions};
use crate::sync::{Cycle, CycleEnd, Progress, SyncContext, SyncError, SyncProvider};

pub(super) const LEASES: &str = "# Leases\n\nA `lease` is an exclusive claim on a `key` that ends by itself. A `worker` renews the `lease` of its \
     job every ten seconds. The `sweeper` puts back the job of a `worker` whose `lease` has expired.\n";
pub(super) const OUTBOX: &str = "# The outbox\n\nThe `outbox` is a table of messages that wait for the broker. The `relay` publishes the messages \
     of the `outbox` and deletes what the broker has confirmed. The `sweeper` writes to the `outbox`.\n";

/// A graph with a write side and a read side in databases of their own.
pub(super) struct World {
    write: TestDatabase,
    read: TestDatabase,
    pub(super) graph: GraphId,
    pub(super) slug: String,
    pub(super) term: i64,
    pub(super) budget: Duration,
    pub(super) policy: Policy,
    /// Whether each cycle is performed once before the one that counts, as by a worker that died in between.
    pub(super) is_lost_first: bool,
}

impl World {
    pub(super) async fn new(backend: DbBackend) -> Option<Self> {
        Self::called(backend, graphs::DEFAULT).await
    }

    pub(super) async fn called(backend: DbBackend, slug: &str) -> Option<Self> {
        let (write, read) = (TestDatabase::open(backend).await?, TestDatabase::open(backend).await?);
        let database = write.database();
        let now = database.clock().now(database.read()).await.unwrap();
        let graph = graphs::ensure(database.write(), slug, now).await.unwrap();
        Some(Self {
            write,
            read,
            graph,
            slug: slug.to_owned(),
            term: 1,
            budget: Duration::from_secs(60),
            policy: Policy::default(),
            is_lost_first: false,
        })
    }

    /// The write side, which is also where the jobs are.
    pub(super) fn write(&self) -> &Database {
        self.write.database()
    }

    pub(super) fn read(&self) -> &Database {
        self.read.database()
    }

    pub(super) async fn import(&self, name: &str, text: &str) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let options = ImportOptions { graph: self.slug.clone(), ..ImportOptions::default() };
        let report =
            Import::new(self.write().clone(), options).run(&[folder.path().to_owned()]).await.unwrap();
        assert_eq!(report.taken, 1);
    }

    /// Runs `sql` on the write side.
    pub(super) async fn change(&self, sql: &str) -> u64 {
        self.write().write().execute_unprepared(sql).await.unwrap().rows_affected()
    }

    /// Runs `sql` on the read side.
    pub(super) async fn meddle(&self, sql: &str) -> u64 {
        self.read().write().execute_unprepared(sql).await.unwrap().rows_affected()
    }

    pub(super) fn context(&self) -> SyncContext {
        SyncContext {
            graph: self.graph,
            slug: self.slug.clone(),
            name: self.slug.clone(),
            write: self.write().clone(),
            read: self.read().clone(),
            jobs: self.write().clone(),
            claim: Claim { key: format!("sync:{}", self.slug), term: self.term },
            stop: CancellationToken::new(),
            budget: self.budget,
            afresh: false,
        }
    }

    pub(super) async fn progress(&self) -> Progress {
        let known = state::get(self.write().read(), self.graph, DEFAULT).await.unwrap();
        Progress { state: known.map(|row| row.state) }
    }

    /// The slow half of a cycle: nothing of it counts yet.
    pub(super) async fn perform(&self) -> Result<Cycle, SyncError> {
        Engine.cycle(&self.context(), &self.progress().await).await
    }

    /// The short half.
    pub(super) async fn commit(&self, cycle: &Cycle) {
        let tx = self.write().begin().await.unwrap();
        let now = self.write().clock().now(&tx).await.unwrap();
        if let Some(text) = &cycle.state {
            state::put(&tx, self.graph, DEFAULT, text.clone(), now).await.unwrap();
        }
        failure::clear(&tx, self.graph, &cycle.cleared).await.unwrap();
        failure::record(&tx, self.graph, &cycle.held, self.policy, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) async fn cycle(&self) -> Cycle {
        if self.is_lost_first {
            drop(self.perform().await.unwrap());
        }
        let cycle = self.perform().await.unwrap();
        self.commit(&cycle).await;
        cycle
    }

    /// Cycles until nothing is left of what was committed before; answers what they did. On Postgres that is when the horizon has come
    /// there, which transactions of every test on the server hold back.
    pub(super) async fn settle(&self) -> Vec<Cycle> {
        let committed = self.newest_transaction().await;
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let mut done = Vec::new();
        loop {
            let horizon = changes::look(self.write().read(), self.graph, &[]).await.unwrap().horizon;
            let cycle = self.cycle().await;
            let is_over = matches!(cycle.end, CycleEnd::Idle | CycleEnd::Complete);
            done.push(cycle);
            if is_over && horizon.number >= committed {
                return done;
            }
            assert!(std::time::Instant::now() < deadline, "the graph was not copied within a minute");
        }
    }

    /// Waits until what was committed before can be read, which on Postgres the transactions of every test on the server hold back.
    pub(super) async fn readable(&self) {
        let committed = self.newest_transaction().await;
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while changes::look(self.write().read(), self.graph, &[]).await.unwrap().horizon.number < committed {
            assert!(std::time::Instant::now() < deadline, "the horizon did not move for a minute");
        }
    }

    async fn newest_transaction(&self) -> i64 {
        if self.write().backend() != DbBackend::Postgres {
            return 0;
        }
        let sql = "SELECT pg_current_xact_id()::text::bigint AS n";
        let row = self.write().write().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        row.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// Every row that the read side has, by table; what the write side says it should have.
    pub(super) async fn both(
        &self,
    ) -> (BTreeMap<&'static str, Vec<String>>, BTreeMap<&'static str, Vec<String>>) {
        let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
        for Pair { table, write, read } in PAIRS {
            expected.insert(table, lines(self.write(), write).await);
            found.insert(table, lines(self.read(), read).await);
        }
        (expected, found)
    }

    pub(super) async fn assert_equal(&self) {
        let (expected, found) = self.both().await;
        if let Some((table, rows)) = expected.iter().find(|(table, rows)| found[*table] != **rows) {
            let (mut more, mut less) = (found[table].clone(), rows.clone());
            more.retain(|row| !rows.contains(row));
            less.retain(|row| !found[table].contains(row));
            panic!(
                "{table}: {} rows here, {} there; too many: {more:#?}; too few: {less:#?}",
                found[table].len(),
                rows.len()
            );
        }
        assert_eq!(self.wrong_counts().await, Vec::<String>::new(), "counts");
    }

    /// Rows of the read side whose counts are wrong.
    async fn wrong_counts(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for sql in [
            "SELECT key FROM nodes WHERE fact_count <> (SELECT count(*) FROM node_facts AS f WHERE f.node_id = nodes.id)",
            "SELECT key FROM nodes WHERE edge_count <> (SELECT count(*) FROM edges AS e WHERE e.source_id = nodes.id OR e.target_id = nodes.id)",
            "SELECT key FROM nodes WHERE dimension_count <> (SELECT count(*) FROM dimensions AS d WHERE d.node_id = nodes.id)",
            "SELECT uri FROM sources WHERE fact_count <> (SELECT count(*) FROM fact_sources AS f WHERE f.source_id = sources.id)",
            "SELECT content FROM dimensions WHERE fact_count <> (SELECT count(*) FROM dimension_facts AS f WHERE f.dimension_id = dimensions.id)",
            "SELECT 'uncounted' FROM uncounted_nodes",
        ] {
            wrong.extend(texts(self.read(), sql).await);
        }
        wrong
    }

    /// What is recorded of rows that were not copied: table, key, state and tries.
    pub(super) async fn failures(&self) -> Vec<(String, String, failure::State, i32)> {
        use sea_orm::EntityTrait as _;
        let rows = failure::Entity::find().all(self.write().read()).await.unwrap();
        let mut all: Vec<_> =
            rows.into_iter().map(|row| (row.table_name, row.record_key, row.state, row.tries)).collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }

    pub(super) async fn count(&self, table: &str) -> usize {
        texts(self.read(), &format!("SELECT 'x' FROM {table}")).await.len()
    }
}

/// The rows of a table of the read side, and the rows of the write side that it should have, in the same words. Written out here,
/// not taken from the streams: they are what is tested.
struct Pair {
    table: &'static str,
    write: &'static str,
    read: &'static str,
}

const PAIRS: [Pair; 10] = [
    Pair {
        table: "sources",
        write: "SELECT $id(id), $id(graph_id), $id(container_id), uri, title, content_hash, content_type, byte_size, canonical_url, doi, \
                created_at, updated_at FROM write_sources",
        read: "SELECT $id(id), $id(graph_id), $id(container_id), uri, title, content_hash, content_type, byte_size, canonical_url, doi, \
               created_at, updated_at FROM sources",
    },
    Pair {
        table: "facts",
        write: "SELECT $id(id), $id(graph_id), content, fact_type, created_at, updated_at FROM write_facts WHERE dedup_status = 'ready'",
        read: "SELECT $id(id), $id(graph_id), content, fact_type, created_at, updated_at FROM facts",
    },
    Pair {
        table: "nodes",
        write: "SELECT $id(id), $id(graph_id), key, concept, node_type, definition, visibility, creator_id, created_at, updated_at FROM write_nodes",
        read: "SELECT $id(id), $id(graph_id), key, concept, node_type, definition, visibility, creator_id, created_at, updated_at FROM nodes",
    },
    Pair {
        table: "fact_sources",
        write: "SELECT $id(s.source_id), s.position, $id(s.fact_id), s.line, s.start_byte, s.end_byte, s.heading FROM write_fact_sources AS s \
                JOIN write_facts AS f ON f.id = s.fact_id WHERE f.dedup_status = 'ready'",
        read: "SELECT $id(source_id), position, $id(fact_id), line, start_byte, end_byte, heading FROM fact_sources",
    },
    Pair {
        table: "node_facts",
        write: "SELECT $id(l.node_id), $id(l.fact_id) FROM write_node_facts AS l JOIN write_facts AS f ON f.id = l.fact_id \
                JOIN write_nodes AS n ON n.id = l.node_id WHERE f.dedup_status = 'ready' \
                AND NOT EXISTS (SELECT 1 FROM write_node_fact_rejections AS x WHERE x.node_id = l.node_id AND x.fact_id = l.fact_id)",
        read: "SELECT $id(node_id), $id(fact_id) FROM node_facts",
    },
    Pair {
        table: "edges",
        write: "SELECT $id(e.graph_id), $id(a.id), $id(b.id), e.relationship_type, e.weight, e.stated, e.justification, e.updated_at \
                FROM write_edges AS e JOIN write_nodes AS a ON a.graph_id = e.graph_id AND a.key = e.source_key \
                JOIN write_nodes AS b ON b.graph_id = e.graph_id AND b.key = e.target_key",
        read: "SELECT $id(graph_id), $id(source_id), $id(target_id), relationship_type, weight, stated, justification, updated_at FROM edges",
    },
    Pair {
        table: "dimensions",
        write: "SELECT $id(d.id), $id(d.graph_id), $id(n.id), d.model_id, d.content, d.confidence, d.suggested_concepts, d.batch_index, \
                d.is_definitive, d.metadata, d.created_at, d.updated_at FROM write_dimensions AS d \
                JOIN write_nodes AS n ON n.graph_id = d.graph_id AND n.key = d.node_key",
        read: "SELECT $id(id), $id(graph_id), $id(node_id), model_id, content, confidence, suggested_concepts, batch_index, is_definitive, \
               metadata, created_at, updated_at FROM dimensions",
    },
    Pair {
        table: "dimension_facts",
        write: "SELECT $id(l.dimension_id), $id(l.fact_id) FROM write_dimension_facts AS l JOIN write_facts AS f ON f.id = l.fact_id \
                WHERE f.dedup_status = 'ready'",
        read: "SELECT $id(dimension_id), $id(fact_id) FROM dimension_facts",
    },
    Pair {
        table: "syntheses",
        write: "SELECT $id(id), $id(graph_id), topic, state, visibility, creator_id, error_code, error_public, error_at, current_version, \
                attempts, created_at, updated_at FROM write_syntheses",
        read: "SELECT $id(id), $id(graph_id), topic, state, visibility, creator_id, error_code, error_public, error_at, current_version, \
               attempts, created_at, updated_at FROM syntheses",
    },
    Pair {
        table: "synthesis_versions",
        write: "SELECT $id(synthesis_id), version, markdown, document, sentences_count, facts_linked, nodes_referenced, producer, created_at \
                FROM write_synthesis_versions",
        read: "SELECT $id(synthesis_id), version, markdown, document, sentences_count, facts_linked, nodes_referenced, producer, created_at \
               FROM synthesis_versions",
    },
];

/// The rows of `sql` as one text each, sorted: what is NULL stays told apart from what is empty.
async fn lines(database: &Database, sql: &str) -> Vec<String> {
    let (columns, rest) = sql.strip_prefix("SELECT ").unwrap().split_once(" FROM ").unwrap();
    let texts_of: Vec<String> = columns
        .split(", ")
        .map(|column| {
            let column = match (column.strip_prefix("$id("), database.backend()) {
                (Some(id), DbBackend::Postgres) => {
                    format!("replace(CAST({} AS text), '-', '')", id.trim_end_matches(')'))
                }
                (Some(id), _) => format!("lower(hex({}))", id.trim_end_matches(')')),
                (None, _) => format!("CAST({column} AS text)"),
            };
            format!("COALESCE({column}, '-')")
        })
        .collect();
    texts(database, &format!("SELECT {} FROM {rest}", texts_of.join(" || '|' || "))).await
}

async fn texts(database: &Database, sql: &str) -> Vec<String> {
    let rows = database.read().query_all_raw(Statement::from_string(database.backend(), sql)).await.unwrap();
    let mut all: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    all.sort();
    all
}
