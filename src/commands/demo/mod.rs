//! `ackord demo`: documents in, texts with citations out, everything in one process.

mod documents;
mod missing;
mod report;
mod texts;
mod topics;
mod watch;
mod whole;

use std::path::PathBuf;

use ackord_entities::database::{Database, DatabaseOptions};
use ackord_entities::graph::graphs;
use ackord_entities::ids::{GraphId, JobId};
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::queue::state::JobState;
use ackord_graph::import::{Import, ImportOptions, Report};
use ackord_producer::Doorbell;
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::import;
use super::up::check;
use crate::config::Concurrency;
use crate::exit::Exit;
use crate::node::{Node, NodeOptions};
use crate::problem::Problem;
use crate::registry::without_model;
use crate::session::Session;
use crate::signals::stop_on_signal;
use documents::Documents;
use missing::Missing;
use topics::Topic;
use whole::Whole;

/// See it work: import documents, have a text written in parts, mend the part that fails, look at a job's timeline
///
/// Everything runs in this process, on a file of its own. Without PATH, ackord's own documents are imported. One of the parts
/// is about something that no document tells of: it fails, and says so. Then a document about it comes in, the part is written again, and the
/// whole is made again by itself. Run it again: nothing is imported twice, and new texts are written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord demo
  ackord demo ~/notes --topic 'sourdough' --topic 'rye bread'
  ackord jobs list --database sqlite:.ackord/demo.db")]
pub(crate) struct DemoArgs {
    /// Markdown, plain text or JSONL, files or folders [default: ackord's own documents]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What to write a part about; may be given several times [default: what the documents speak of most]
    #[arg(long, value_name = "TEXT")]
    topic: Vec<String>,
    /// Where the data is kept
    #[arg(long, value_name = "FILE", default_value = ".ackord/demo.db")]
    data: PathBuf,
    /// Jobs of a kind that run at once, as kind=number,.. [default: what each kind says]
    #[arg(long, value_name = "KIND=N,..")]
    pub(crate) concurrency: Option<Concurrency>,
}

/// What a run of the demo stands on.
struct Demo<'a> {
    session: &'a Session,
    database: Database,
    doorbell: Doorbell,
    documents: Documents,
    /// The file of the data.
    data: PathBuf,
    /// The `--database` that leads to the data.
    url: String,
}

/// A text that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    topic: String,
    job: JobId,
}

impl DemoArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        check(&session.config().worker.concurrency)?;
        let documents = documents::find(self.paths, &self.data)?;
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let url = format!("sqlite:{}", self.data.display());
        let database = DatabaseOptions::new(&url).open().await?;
        let node = Node::start(database, without_model(), NodeOptions::embedded(session.config())).await?;
        let demo = Demo {
            session,
            database: node.database().clone(),
            doorbell: node.doorbell().clone(),
            documents,
            data: self.data,
            url,
        };
        let node = tokio::spawn(node.run(stop.clone()));
        // Ctrl-C ends the show; what was accepted goes on at the next start.
        let shown = tokio::select! {
            shown = demo.show(&self.topic) => shown,
            () = stop.cancelled() => Ok(()),
        };
        stop.cancel();
        let ended = node.await.context("the worker")?;
        shown.and(ended)?;
        Ok(Exit::Success)
    }
}

impl Demo<'_> {
    async fn show(&self, wanted: &[String]) -> anyhow::Result<()> {
        let terminal = self.session.terminal;
        terminal.say(&report::welcome(&self.url, &self.documents))?;
        let imported = self.import().await?;
        terminal.say(&report::imported(&imported))?;
        let graph = self.graph().await?;
        let missing = Missing::find(&self.database, (graph, self.documents.graph), &self.data).await?;
        let topics = self.topics(graph, wanted, &missing).await?;
        let left_over = self.unfinished().await?;
        let (whole, job) = Whole::ask(&self.database, &self.doorbell, self.documents.graph, &topics).await?;
        terminal.say(&report::published(topics.len(), left_over.len()))?;
        let planning = [Asked { topic: whole.topic.clone(), job }];
        watch::all(&self.database, &[], &planning, terminal).await?;
        let asked = whole.parts(&self.database).await?;
        let ended = watch::all(&self.database, &left_over, &asked, terminal).await?;
        whole.settled(&self.database).await?;
        let texts = texts::read_all(&self.database, graph, &asked, &ended).await?;
        terminal.say(&report::texts(&texts))?;
        let story = report::story(&self.database, &texts).await?;
        terminal.say(&report::finished(&texts))?;
        terminal.say(&report::failed(&texts))?;
        let outcome = whole.complete(&self.database, &self.doorbell, &missing).await?;
        self.finish_all().await?;
        if terminal.json() {
            let answer = report::json(&imported, &texts, story.as_ref(), &outcome);
            terminal.answer(&answer, String::new)?;
            return Ok(());
        }
        terminal.say(&report::completed(&whole, &missing, &outcome))?;
        terminal.say(&report::timeline(story.as_ref()))?;
        terminal.say(&report::next(&self.url, &self.documents, &texts, &whole))?;
        Ok(())
    }

    /// Waits for what else is to be done, of this run and of one that was cut off.
    async fn finish_all(&self) -> anyhow::Result<()> {
        loop {
            let unfinished = self.unfinished().await?;
            if unfinished.is_empty() {
                return Ok(());
            }
            watch::all(&self.database, &unfinished, &[], self.session.terminal).await?;
        }
    }

    async fn import(&self) -> anyhow::Result<Report> {
        let options = ImportOptions { graph: self.documents.graph.to_owned(), ..ImportOptions::default() };
        let bar = import::bar(self.session.terminal);
        let progress = std::sync::Arc::new(import::Bar(bar.clone()));
        let report = Import::new(self.database.clone(), options)
            .with_progress(progress)
            .run(&self.documents.paths)
            .await?;
        bar.finish_and_clear();
        if report.taken + report.updated + report.unchanged == 0 {
            return Err(Problem::usage("none of the documents could be imported")
                .remedy("give files or folders with Markdown (.md), text (.txt) or JSONL (.jsonl)")
                .into());
        }
        Ok(report)
    }

    async fn graph(&self) -> anyhow::Result<GraphId> {
        let graph = graphs::by_slug(self.database.read(), self.documents.graph).await?;
        Ok(graph.context("the graph of the documents")?.id)
    }

    async fn topics(
        &self,
        graph: GraphId,
        wanted: &[String],
        missing: &Missing,
    ) -> anyhow::Result<Vec<Topic>> {
        let mut topics = if !wanted.is_empty() {
            wanted.iter().cloned().map(Topic::about).collect()
        } else if self.documents.own {
            topics::own()
        } else {
            topics::strongest(self.database.read(), graph).await?
        };
        topics.push(Topic::about(missing.topic));
        Ok(topics)
    }

    /// Jobs that have not ended: those of an earlier run that was cut off, at first.
    async fn unfinished(&self) -> anyhow::Result<Vec<Asked>> {
        let filter = Filter { states: vec![JobState::Pending, JobState::Running], ..Filter::default() };
        let jobs = job::list(self.database.read(), &filter, 100).await?;
        Ok(jobs
            .into_iter()
            .map(|job| Asked { topic: topics::of_job(&job.kind, &job.payload), job: job.id })
            .collect())
    }
}
