//! A folder, a database, and what must hold in it after every import.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ackord_entities::database::Database;
use ackord_entities::graph::{
    edge, edge_source, fact, fact_source, graphs, node, node_fact, node_source, source,
};
use ackord_entities::testing::TestDatabase;
use ackord_graph::import::{Import, ImportOptions, Report};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement};
use tempfile::TempDir;

/// A folder of files and a database that they are imported into.
pub(crate) struct World {
    pub(crate) test: TestDatabase,
    pub(crate) folder: Arc<TempDir>,
}

impl World {
    pub(crate) async fn new(backend: DbBackend) -> Option<Self> {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Some(Self { test: TestDatabase::open(backend).await?, folder })
    }

    /// Another, empty database beside the same folder.
    pub(crate) async fn beside(&self) -> Self {
        let test = TestDatabase::open(self.test.database().backend()).await.unwrap();
        Self { test, folder: Arc::clone(&self.folder) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    /// Imports the folder and checks everything that must hold.
    pub(crate) async fn import(&self) -> Report {
        self.import_with(ImportOptions::default()).await
    }

    pub(crate) async fn import_with(&self, options: ImportOptions) -> Report {
        let paths = [self.folder.path().to_owned()];
        let report = Import::new(self.test.database().clone(), options).run(&paths).await.unwrap();
        self.check().await;
        report
    }

    pub(crate) async fn node(&self, key: &str) -> Option<node::Model> {
        let id = node::id_of(graphs::id_of(graphs::DEFAULT), key);
        node::Entity::find_by_id(id).one(self.test.database().read()).await.unwrap()
    }

    pub(crate) async fn edge(&self, key: &str) -> Option<edge::Model> {
        let (relationship, source, target) = edge::parts_of(key).unwrap();
        let id =
            (graphs::id_of(graphs::DEFAULT), source.to_owned(), target.to_owned(), relationship.to_owned());
        edge::Entity::find_by_id(id).one(self.test.database().read()).await.unwrap()
    }

    pub(crate) async fn facts(&self) -> BTreeSet<String> {
        let facts = fact::Entity::find().all(self.test.database().read()).await.unwrap();
        facts.into_iter().map(|fact| fact.content).collect()
    }

    /// Everything in the graph but its times, read through connections of its own.
    pub(crate) async fn contents(&self) -> BTreeSet<String> {
        let database = self.test.reopen().await;
        let contents = Contents::read(&database).await;
        database.close().await;
        contents.lines()
    }

    /// No orphans, and every count and weight is what a fresh count gives.
    pub(crate) async fn check(&self) {
        let database = self.test.reopen().await;
        let contents = Contents::read(&database).await;
        contents.check();
        if database.backend() != DbBackend::Postgres {
            let sql = "SELECT count(*) AS n FROM write_facts_search WHERE rowid NOT IN (SELECT seq FROM write_facts)";
            let row =
                database.read().query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
            assert_eq!(row.unwrap().try_get::<i64>("", "n").unwrap(), 0, "rows of the index without a fact");
        }
        // Fifty questions are as good as three thousand, and the index is read anew for each.
        for fact in contents.facts.iter().step_by(contents.facts.len() / 50 + 1) {
            let terms = ackord_graph::text::terms_of(&fact.content);
            let found = fact::candidates(database.read(), fact.graph_id, &terms, 10_000).await.unwrap();
            assert!(terms.is_empty() || found.contains(fact), "{:?} is not found", fact.content);
        }
        database.close().await;
    }
}

struct Contents {
    sources: Vec<source::Model>,
    facts: Vec<fact::Model>,
    sentences: Vec<fact_source::Model>,
    nodes: Vec<node::Model>,
    spoken: Vec<node_source::Model>,
    pairs: Vec<node_fact::Model>,
    edges: Vec<edge::Model>,
    stated: Vec<edge_source::Model>,
}

impl Contents {
    async fn read(database: &Database) -> Self {
        let connection = database.read();
        Self {
            sources: source::Entity::find().all(connection).await.unwrap(),
            facts: fact::Entity::find().all(connection).await.unwrap(),
            sentences: fact_source::Entity::find().all(connection).await.unwrap(),
            nodes: node::Entity::find().all(connection).await.unwrap(),
            spoken: node_source::Entity::find().all(connection).await.unwrap(),
            pairs: node_fact::Entity::find().all(connection).await.unwrap(),
            edges: edge::Entity::find().all(connection).await.unwrap(),
            stated: edge_source::Entity::find().all(connection).await.unwrap(),
        }
    }

    fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        let epoch = chrono::DateTime::UNIX_EPOCH;
        lines.extend(self.sources.iter().map(|row| {
            format!("{:?}", source::Model { created_at: epoch, updated_at: epoch, ..row.clone() })
        }));
        // Which source was first to say it decides the type of a fact, so it is left out.
        lines.extend(self.facts.iter().map(|row| format!("fact {} {}", row.id, row.content)));
        lines.extend(self.sentences.iter().map(|row| format!("{row:?}")));
        lines.extend(
            self.nodes.iter().map(|row| {
                format!("{:?}", node::Model { created_at: epoch, updated_at: epoch, ..row.clone() })
            }),
        );
        lines.extend(self.spoken.iter().map(|row| format!("{row:?}")));
        lines.extend(self.pairs.iter().map(|row| format!("{row:?}")));
        lines.extend(
            self.edges.iter().map(|row| format!("{:?}", edge::Model { updated_at: epoch, ..row.clone() })),
        );
        lines.extend(self.stated.iter().map(|row| format!("{row:?}")));
        lines
    }

    fn check(&self) {
        self.check_facts();
        self.check_nodes();
        self.check_edges();
    }

    fn check_facts(&self) {
        let sources: BTreeSet<_> = self.sources.iter().map(|row| row.id).collect();
        let facts: BTreeSet<_> = self.facts.iter().map(|row| row.id).collect();
        let stated: BTreeSet<_> = self.sentences.iter().map(|row| row.fact_id).collect();
        assert_eq!(facts, stated, "each fact is stated, and each sentence has its fact");
        assert!(
            self.sentences.iter().all(|row| sources.contains(&row.source_id)),
            "a sentence without its source"
        );
        for source in &self.sources {
            let count = self.sentences.iter().filter(|row| row.source_id == source.id).count();
            assert_eq!(usize::try_from(source.fact_count).unwrap(), count, "{}", source.uri);
        }
    }

    fn check_nodes(&self) {
        let graph = graphs::id_of(graphs::DEFAULT);
        let nodes: BTreeSet<_> = self.nodes.iter().map(|row| row.id).collect();
        let from_sources: BTreeSet<_> =
            self.nodes.iter().filter(|row| row.node_type.comes_from_sources()).map(|row| row.id).collect();
        let sources: BTreeSet<_> = self.sources.iter().map(|row| row.id).collect();
        let spoken: BTreeSet<_> = self.spoken.iter().map(|row| row.node_id).collect();
        assert!(spoken.is_subset(&nodes), "a source speaks of a node that is not there");
        assert!(from_sources.is_subset(&spoken), "a node that nobody speaks of");
        assert!(self.spoken.iter().all(|row| sources.contains(&row.source_id)));
        let pairs: BTreeSet<_> = self.pairs.iter().map(|row| (row.node_id, row.fact_id)).collect();
        let from_sentences: BTreeSet<_> = self
            .sentences
            .iter()
            .flat_map(|row| row.nodes().map(|key| (node::id_of(graph, key), row.fact_id)).collect::<Vec<_>>())
            .collect();
        assert_eq!(pairs, from_sentences, "pairs of node and fact");
        for node in &self.nodes {
            let count = pairs.iter().filter(|(id, _)| *id == node.id).count();
            assert_eq!(usize::try_from(node.fact_count).unwrap(), count, "facts of {}", node.key);
        }
    }

    fn check_edges(&self) {
        let keys: BTreeMap<_, &str> = self.nodes.iter().map(|row| (row.id, row.key.as_str())).collect();
        let mut of_facts: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for pair in &self.pairs {
            of_facts.entry(pair.fact_id).or_default().insert(keys[&pair.node_id]);
        }
        let mut weights: BTreeMap<String, i64> = BTreeMap::new();
        for keys in of_facts.values() {
            let keys: Vec<_> = keys.iter().collect();
            for (index, one) in keys.iter().enumerate() {
                for other in &keys[index + 1..] {
                    *weights.entry(edge::key_of(edge::RELATED, one, other)).or_default() += 1;
                }
            }
        }
        for row in &self.stated {
            *weights.entry(row.edge_key.clone()).or_default() += row.weight;
        }
        let found: BTreeMap<String, i64> = self.edges.iter().map(|row| (row.key(), row.weight)).collect();
        assert_eq!(found, weights, "weights of edges");
        for edge in &self.edges {
            let stated = self
                .stated
                .iter()
                .filter(|row| row.edge_key == edge.key())
                .map(|row| row.weight)
                .sum::<i64>();
            assert_eq!(edge.stated, stated, "what is stated of {}", edge.key());
            assert!(keys.values().any(|key| *key == edge.source_key), "{} has lost its source", edge.key());
            assert!(keys.values().any(|key| *key == edge.target_key), "{} has lost its target", edge.key());
        }
    }
}
