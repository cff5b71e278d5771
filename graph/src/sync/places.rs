//! Where graphs are written and read.

use std::collections::BTreeMap;
use std::sync::Arc;

use ackord_entities::database::{Database, DatabaseError, DatabaseOptions};
use tokio::sync::OnceCell;

/// Where graphs are written and read: by default in the jobs' own database. Another database is opened when it is first needed.
#[derive(Clone, Debug, Default)]
pub struct Places {
    read: Option<Arc<Lazy>>,
    own: BTreeMap<String, Pair>,
}

#[derive(Clone, Debug, Default)]
struct Pair {
    write: Option<Arc<Lazy>>,
    read: Option<Arc<Lazy>>,
}

#[derive(Debug)]
struct Lazy {
    options: DatabaseOptions,
    database: OnceCell<Database>,
}

impl Lazy {
    fn new(options: DatabaseOptions) -> Arc<Self> {
        Arc::new(Self { options, database: OnceCell::new() })
    }

    async fn get(&self) -> Result<Database, DatabaseError> {
        self.database.get_or_try_init(|| self.options.clone().open()).await.cloned()
    }
}

impl Places {
    /// Graphs are read here, unless they have a place of their own.
    #[must_use]
    pub fn reading(mut self, options: DatabaseOptions) -> Self {
        self.read = Some(Lazy::new(options));
        self
    }

    /// The graph called `slug` is written and read here; what is not given is as for the others.
    #[must_use]
    pub fn with(
        mut self,
        slug: impl Into<String>,
        write: Option<DatabaseOptions>,
        read: Option<DatabaseOptions>,
    ) -> Self {
        self.own.insert(slug.into(), Pair { write: write.map(Lazy::new), read: read.map(Lazy::new) });
        self
    }

    /// Where the graph called `slug` is written, and where it is read.
    ///
    /// # Errors
    /// A database that cannot be opened.
    pub async fn of(&self, slug: &str, jobs: &Database) -> Result<(Database, Database), DatabaseError> {
        let own = self.own.get(slug);
        let write = match own.and_then(|pair| pair.write.as_ref()) {
            Some(write) => write.get().await?,
            None => jobs.clone(),
        };
        let read = match own.and_then(|pair| pair.read.as_ref()).or(self.read.as_ref()) {
            Some(read) => read.get().await?,
            None => jobs.clone(),
        };
        Ok((write, read))
    }
}
