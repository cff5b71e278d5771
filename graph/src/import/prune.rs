//! Sources whose files are gone.

use std::collections::HashSet;
use std::path::Path;

use ackord_entities::graph::source;

use super::error::ImportError;
use super::report::Outcome;
use super::uri::{file_uri, path_of};
use super::writer::Writer;

/// Sources looked at in one query.
const AT_ONCE: u64 = 500;

impl Writer {
    /// Counts the sources under `folder` whose files are not there any more, and removes them if told so.
    ///
    /// Gone means that the system says so. A file that is now excluded, unreadable or refused keeps its source.
    pub(super) async fn prune(&mut self, folder: &Path, remove: bool) -> Result<(), ImportError> {
        let mut prefix = file_uri(folder);
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let mut after = String::new();
        loop {
            let sources =
                source::files_under(self.database.write(), self.graph, &prefix, &after, AT_ONCE).await?;
            let Some(last) = sources.last() else { return Ok(()) };
            after.clone_from(&last.uri);
            for source in &sources {
                let Some(path) = path_of(&source.uri) else { continue };
                let gone =
                    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
                if !gone {
                    continue;
                }
                if !remove {
                    self.report.gone += 1;
                    continue;
                }
                self.remove_records(source.id, &HashSet::new()).await?;
                self.remove(source.id).await?;
                self.tell(&path, &Outcome::Removed, 0);
            }
        }
    }
}
