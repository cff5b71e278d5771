//! An import from its paths to its report: walk, look up, read, write.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ackord_entities::database::Database;
use ackord_entities::graph::{graphs, source};
use ackord_entities::ids::GraphId;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::contribution::FileFacts;
use super::error::ImportError;
use super::files::{Found, Roots};
use super::options::ImportOptions;
use super::progress::{Event, Progress, Silent};
use super::reading::{Content, FileReader, Item, READ_AHEAD, Task};
use super::report::Report;
use super::upload::Upload;
use super::uri::file_uri;
use super::writer::Writer;
use crate::text::slug;

/// How many files are looked up in the database at once.
const LOOK_UP: usize = 256;

/// An import of files and folders.
///
/// ```no_run
/// # async fn example(database: ackord_entities::database::Database) -> Result<(), ackord_graph::import::ImportError> {
/// use ackord_graph::import::{Import, ImportOptions};
/// let report = Import::new(database, ImportOptions::default()).run(&["docs".into()]).await?;
/// println!("{} new files, {} facts", report.taken, report.facts);
/// # Ok(())
/// # }
/// ```
pub struct Import {
    database: Database,
    options: ImportOptions,
    progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Import").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Import {
    /// An import into `database`, which must be migrated.
    #[must_use]
    pub fn new(database: Database, options: ImportOptions) -> Self {
        Self { database, options, progress: Arc::new(Silent) }
    }

    /// Tells `progress` what happens.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Imports `paths`, files and folders. A file that cannot be taken is in the report and stops nothing.
    ///
    /// Dropping the future stops the import after the transaction that runs; what was committed stays.
    ///
    /// # Errors
    /// [`ImportError`], when the database fails or the options make no sense. What was committed stays.
    pub async fn run(self, paths: &[PathBuf]) -> Result<Report, ImportError> {
        let begun = Instant::now();
        let graph = self.ensure_graph().await?;
        tune(&self.database, true).await?;
        let roots = Roots::new(paths, &self.options.excludes)?;
        let folders = roots.folders();
        let (items, mut threads) = self.start(graph, roots);
        let mut writer = Writer::new(self.database, graph, Arc::clone(&self.progress));
        let written = writer.write_all(items).await;
        while let Some(ended) = threads.join_next().await {
            // A thread that ends early because the writer failed says so with `Ok`.
            ended.map_err(|_| ImportError::Reader)??;
        }
        tune(&writer.database, false).await?;
        written?;
        for folder in folders {
            writer.prune(&folder, self.options.prune).await?;
        }
        Ok(Report { duration: begun.elapsed(), ..writer.into_report() })
    }

    /// Imports one document that comes without a file. A document that cannot be taken is in the report.
    ///
    /// Dropping the future stops the import after the transaction that runs; what was committed stays.
    ///
    /// # Errors
    /// [`ImportError`], when the database fails or the graph's name is none. What was committed stays.
    pub async fn take(self, upload: Upload) -> Result<Report, ImportError> {
        let begun = Instant::now();
        let graph = self.ensure_graph().await?;
        let mut task = upload.task(graph);
        task.known = source::known(self.database.read(), [task.file.id]).await?.remove(&task.file.id);
        let (task_sender, tasks) = mpsc::channel(1);
        let (item_sender, items) = mpsc::channel(64);
        let mut threads = JoinSet::new();
        self.start_readers(&mut threads, 1, tasks, &item_sender);
        drop(item_sender);
        // The only reader takes it.
        task_sender.send(task).await.map_err(|_| ImportError::Reader)?;
        drop(task_sender);
        let mut writer = Writer::new(self.database, graph, Arc::clone(&self.progress));
        let written = writer.write_all(items).await;
        while let Some(ended) = threads.join_next().await {
            ended.map_err(|_| ImportError::Reader)??;
        }
        written?;
        Ok(Report { duration: begun.elapsed(), ..writer.into_report() })
    }

    async fn ensure_graph(&self) -> Result<GraphId, ImportError> {
        let name = &self.options.graph;
        // An id is what everybody else takes for one: as a slug it could never be found again.
        if let Ok(id) = name.parse::<GraphId>() {
            let known = graphs::Entity::find_by_id(id).one(self.database.read()).await?;
            return known.map(|graph| graph.id).ok_or_else(|| ImportError::GraphName { slug: name.clone() });
        }
        if name.is_empty() || name.len() > 64 || slug(name) != *name {
            return Err(ImportError::GraphName { slug: name.clone() });
        }
        let now = self.database.clock().now(self.database.read()).await?;
        Ok(graphs::ensure(self.database.write(), name, now).await?)
    }

    /// Starts the walk, the look-up and the readers. Each ends when the one behind it is gone.
    fn start(
        &self,
        graph: GraphId,
        roots: Roots,
    ) -> (mpsc::Receiver<Item>, JoinSet<Result<(), ImportError>>) {
        let (found_sender, found) = mpsc::channel(2 * LOOK_UP);
        let (task_sender, tasks) = mpsc::channel(64);
        let (item_sender, items) = mpsc::channel(64);
        let mut threads = JoinSet::new();
        let progress = Arc::clone(&self.progress);
        threads.spawn_blocking(move || {
            walk(roots, progress.as_ref(), &found_sender);
            Ok(())
        });
        threads.spawn(look_up(self.database.clone(), graph, found, task_sender, item_sender.clone()));
        self.start_readers(&mut threads, self.options.reader_threads(), tasks, &item_sender);
        (items, threads)
    }

    fn start_readers(
        &self,
        threads: &mut JoinSet<Result<(), ImportError>>,
        count: usize,
        tasks: mpsc::Receiver<Task>,
        items: &mpsc::Sender<Item>,
    ) {
        let tasks = Arc::new(Mutex::new(tasks));
        let ahead = Arc::new(Semaphore::new(READ_AHEAD as usize));
        for _ in 0..count {
            let reader = FileReader::new(
                Arc::clone(&tasks),
                items.clone(),
                Arc::clone(&ahead),
                Handle::current(),
                self.options.most_bytes,
            );
            threads.spawn_blocking(move || {
                reader.run();
                Ok(())
            });
        }
    }
}

/// Gives SQLite's writer more memory while it imports: nodes and edges are written all over their tables, and what undoes a
/// statement over many rows would go through a temporary file.
async fn tune(database: &Database, importing: bool) -> Result<(), ImportError> {
    if database.backend() == DbBackend::Sqlite {
        let sql = if importing {
            "PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000"
        } else {
            "PRAGMA cache_size = -2000; PRAGMA temp_store = DEFAULT; PRAGMA wal_autocheckpoint = 1000; \
             PRAGMA shrink_memory"
        };
        database.write().execute_unprepared(sql).await?;
    }
    Ok(())
}

fn walk(roots: Roots, progress: &dyn Progress, sender: &mpsc::Sender<Found>) {
    roots.walk(|found| {
        if let Found::File { bytes, .. } = &found {
            progress.on(Event::Found { bytes: *bytes });
        }
        sender.blocking_send(found).is_ok()
    });
    progress.on(Event::AllFound);
}

/// Adds what the graph knows of each file. Ends quietly when nobody reads any more.
async fn look_up(
    database: Database,
    graph: GraphId,
    mut found: mpsc::Receiver<Found>,
    tasks: mpsc::Sender<Task>,
    items: mpsc::Sender<Item>,
) -> Result<(), ImportError> {
    let mut batch = Vec::with_capacity(LOOK_UP);
    while found.recv_many(&mut batch, LOOK_UP).await > 0 {
        let mut files = Vec::new();
        for found in batch.drain(..) {
            let item = match found {
                Found::File { path, file_type, bytes } => {
                    let uri = file_uri(&path);
                    let content_type = file_type.media_type();
                    let file = FileFacts { graph, id: source::id_of(graph, &uri), uri, content_type };
                    let content = Content::File;
                    files.push(Task { path, file_type, bytes, content, file, known: None });
                    continue;
                }
                Found::Refused { path, refusal } => Item::Refused { path, refusal, bytes: 0, emptied: None },
                Found::PassedOver => Item::PassedOver,
            };
            if items.send(item).await.is_err() {
                return Ok(());
            }
        }
        let mut known = source::known(database.read(), files.iter().map(|task| task.file.id)).await?;
        for mut task in files {
            task.known = known.remove(&task.file.id);
            if tasks.send(task).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
