//! What became of the texts.

use std::collections::HashMap;

use ackord_entities::database::Database;
use ackord_entities::ids::{GraphId, JobId, SynthesisId};
use ackord_graph::synthesis::{Stored, StoredText, id_of, load};
use ackord_producer::story::JobView;

use super::Asked;

/// A text that was asked for, and what came of it.
pub(super) struct Text {
    pub(super) topic: String,
    pub(super) job: JobView,
    pub(super) synthesis: SynthesisId,
    /// The synthesis, with its text if there is one; `None` if its job ended before there was a row.
    pub(super) stored: Option<Stored>,
}

impl Text {
    /// What was written.
    pub(super) fn written(&self) -> Option<&StoredText> {
        self.stored.as_ref()?.text.as_ref()
    }
}

/// What came of each text, in the order in which they were asked for.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn read_all(
    database: &Database,
    graph: GraphId,
    asked: &[Asked],
    ended: &HashMap<JobId, JobView>,
) -> anyhow::Result<Vec<Text>> {
    let mut texts = Vec::new();
    for one in asked {
        let Some(job) = ended.get(&one.job) else { continue };
        let synthesis = id_of(graph, &one.topic, one.job);
        let stored = load(database.read(), synthesis).await?;
        texts.push(Text { topic: one.topic.clone(), job: job.clone(), synthesis, stored });
    }
    Ok(texts)
}
