//! Where graphs are written and read.

use std::collections::BTreeMap;
use std::sync::Arc;

use ackord_entities::database::{Database, DatabaseError, DatabaseOptions};
use tokio::sync::OnceCell;

/// Where graphs are written and read: by default in the jobs' own database. Another database is opened when it is first needed, once
/// for all graphs that name it.
#[derive(Clone, Debug, Default)]
pub struct Places {
    read: Option<Arc<Lazy>>,
    own: BTreeMap<String, Pair>,
    /// All of them, by URL.
    known: BTreeMap<String, Arc<Lazy>>,
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
    async fn get(&self) -> Result<Database, DatabaseError> {
        self.database.get_or_try_init(|| self.options.clone().open()).await.cloned()
    }
}

impl Places {
    /// Graphs are read here, unless they have a place of their own.
    #[must_use]
    pub fn reading(mut self, options: DatabaseOptions) -> Self {
        self.read = Some(self.at(options));
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
        let (write, read) = (write.map(|options| self.at(options)), read.map(|options| self.at(options)));
        self.own.insert(slug.into(), Pair { write, read });
        self
    }

    fn at(&mut self, options: DatabaseOptions) -> Arc<Lazy> {
        let known = self.known.entry(options.url.clone());
        Arc::clone(known.or_insert_with(|| Arc::new(Lazy { options, database: OnceCell::new() })))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_that_name_one_database_share_it() {
        let at = |name: &str| Some(DatabaseOptions::new(format!("sqlite:{name}.db")));
        let places = Places::default().with("a", at("one"), at("two")).with("b", at("two"), at("three"));
        let same = |a: &Option<Arc<Lazy>>, b: &Option<Arc<Lazy>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let (a, b) = (&places.own["a"], &places.own["b"]);
        assert!(same(&a.read, &b.write));
        assert!(!same(&a.write, &b.read));
    }
}
