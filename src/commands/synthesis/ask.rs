//! What `create`, `super` and `regenerate` share: who asks, publishing in one transaction, waiting for the text.

use std::time::{Duration, Instant};

use ackord_entities::database::Database;
use ackord_entities::graph::graphs;
use ackord_entities::graph::synthesis::{self, Model, State};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::Visibility;
use ackord_graph::synthesis::AskError;
use anyhow::Context as _;
use serde::Serialize;

use super::view::{Shown, SynthesisView};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{Session, ring};
use crate::terminal::length;

/// Between two looks at a synthesis: soon at first, since most take no second.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// Where and for whom: the same flags on both verbs that ask.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct For {
    /// The graph, by its slug or its id
    #[arg(long, value_name = "SLUG", default_value = graphs::DEFAULT)]
    pub(super) graph: String,
    /// Show it to its creator only
    #[arg(long)]
    private: bool,
    /// Who asks for it
    #[arg(long, value_name = "NAME")]
    pub(super) creator: Option<String>,
}

impl For {
    /// Texts are written where the jobs are, about what is written there.
    pub(super) fn check(&self, session: &Session) -> Result<(), Problem> {
        let is_meant = |slug: &&String| **slug == self.graph || graphs::id_of(slug).to_string() == self.graph;
        let config = session.config();
        match config.graphs.keys().find(is_meant).filter(|slug| config.written_elsewhere(slug).is_some()) {
            None => Ok(()),
            Some(slug) => {
                let text = format!(
                    "the graph `{slug}` is written in a database of its own (graphs.{slug}.write_database)"
                );
                Err(Problem::refused(text)
                    .remedy("texts are written about graphs that are where the jobs are"))
            }
        }
    }

    pub(super) fn visibility(&self) -> Visibility {
        if self.private { Visibility::Private } else { Visibility::Public }
    }
}

/// Whether to wait for the text: the same flags on every verb that has one written.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Waiting {
    /// Wait until there is a text, or none can be had
    #[arg(long)]
    wait: bool,
    /// How long to wait at most, for example 5m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Option<Duration>,
}

/// What became of the request. The JSON is a stable interface.
#[derive(Serialize)]
struct Answer<'a> {
    /// The synthesis.
    id: SynthesisId,
    /// Its job.
    job: JobId,
    kind: &'a str,
    /// With `--wait`: what came of it.
    synthesis: Option<SynthesisView<'a>>,
}

/// Answers the request, at once or when there is a text.
pub(super) async fn answer(
    session: &Session,
    database: &Database,
    waiting: &Waiting,
    id: SynthesisId,
    (job, kind): (JobId, &str),
) -> anyhow::Result<Exit> {
    ring(database).await;
    let asked = || format!("{id}\n{kind} {job}");
    if !waiting.wait {
        session.terminal.answer(&Answer { id, job, kind, synthesis: None }, asked)?;
        return Ok(Exit::Success);
    }
    session.terminal.say(&asked())?;
    let row = settled(database, id, waiting.timeout).await?;
    let shown = Shown::read(database, id).await?.context("the synthesis was removed")?;
    let answer = Answer { id, job, kind, synthesis: Some(SynthesisView::of(&shown)) };
    session.terminal.answer(&answer, || shown.text())?;
    Ok(if row.state == State::Error { Exit::JobEndedBadly } else { Exit::Success })
}

/// Looks at the synthesis until no job works on it.
async fn settled(database: &Database, id: SynthesisId, timeout: Option<Duration>) -> anyhow::Result<Model> {
    let started = Instant::now();
    let mut pause = FIRST_LOOK;
    loop {
        let row = synthesis::by_id(database.read(), id).await?.context("the synthesis was removed")?;
        if !row.is_in_flight() {
            return Ok(row);
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        if let (Some(Duration::ZERO), Some(timeout)) = (left, timeout) {
            let text = format!("the synthesis {id} has no text within {}", length(timeout));
            let remedy = format!("it goes on; `ackord synthesis show {id}` tells how it stands");
            return Err(Problem::new(Exit::TimedOut, text).remedy(remedy).into());
        }
        tokio::time::sleep(left.map_or(pause, |left| left.min(pause))).await;
        pause = pause.mul_f64(1.5).min(LONGEST);
    }
}

/// A request that names what is not there is the user's.
pub(super) fn refusal(error: AskError) -> anyhow::Error {
    match error {
        AskError::Invalid(invalid) => Problem::usage(invalid.to_string()).into(),
        other => other.into(),
    }
}
