//! Which provider copies a graph.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ackord_entities::ids::GraphId;
use ackord_entities::sync::cycle::Resolution;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::engine::{DEFAULT, Engine};
use super::nobody::Nobody;
use super::provider::{SyncError, SyncProvider};

/// Who does what for a graph. What is not named here is done by the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Composition {
    /// The id of the provider that copies the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
}

/// The provider of a graph.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The provider.
    pub provider: Arc<dyn SyncProvider>,
    /// How it was found.
    pub resolution: Resolution,
}

/// Why a graph has no provider.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// No provider has this id.
    #[error(
        "the graph's composition names the sync provider `{id}`, which this program does not have; it has {known}"
    )]
    Unknown {
        /// The id.
        id: String,
        /// Those that there are.
        known: String,
    },
    /// The composition cannot be read.
    #[error("the graph's composition cannot be read: {0}")]
    Composition(String),
    /// The provider could not be made ready.
    #[error("the sync provider `{id}` could not be made ready")]
    NotReady {
        /// The provider.
        id: &'static str,
        /// Why.
        source: SyncError,
    },
}

/// The providers of a process. Each is made ready once, when it is first needed, and again only if that went wrong.
pub struct Providers {
    slots: BTreeMap<&'static str, Slot>,
    warned: Mutex<HashSet<(GraphId, String)>>,
}

struct Slot {
    provider: Arc<dyn SyncProvider>,
    ready: OnceCell<()>,
}

impl fmt::Debug for Providers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.slots.keys()).finish()
    }
}

impl Default for Providers {
    /// The default provider, and the one that copies nothing.
    fn default() -> Self {
        Self { slots: BTreeMap::new(), warned: Mutex::default() }
            .with(Arc::new(Engine))
            .with(Arc::new(Nobody))
    }
}

impl Providers {
    /// With one more; one of the same id is replaced.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn SyncProvider>) -> Self {
        self.slots.insert(provider.id(), Slot { provider, ready: OnceCell::new() });
        self
    }

    /// The ids of all, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<&'static str> {
        self.slots.keys().copied().collect()
    }

    /// The provider that the graph's `composition` names, ready to work.
    ///
    /// An id that is not known is warned of once for each graph: it may be a program of another version, and comes again with each cycle.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn resolve(&self, graph: GraphId, composition: Option<&str>) -> Result<Resolved, ResolveError> {
        let composition: Composition = match composition {
            None => Composition::default(),
            Some(text) => {
                serde_json::from_str(text).map_err(|error| ResolveError::Composition(error.to_string()))?
            }
        };
        let (id, resolution) = match &composition.sync {
            None => (DEFAULT, Resolution::Default),
            Some(id) => (id.as_str(), Resolution::Composition),
        };
        let Some(slot) = self.slots.get(id) else {
            let unknown = ResolveError::Unknown { id: id.to_owned(), known: self.ids().join(", ") };
            self.warn(graph, id, &unknown);
            return Err(unknown);
        };
        let provider = Arc::clone(&slot.provider);
        slot.ready
            .get_or_try_init(|| provider.initialise())
            .await
            .map_err(|source| ResolveError::NotReady { id: provider.id(), source })?;
        Ok(Resolved { provider, resolution })
    }

    fn warn(&self, graph: GraphId, id: &str, unknown: &ResolveError) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert((graph, id.to_owned())) {
            tracing::warn!(graph.id = %graph, provider = id, "{unknown}");
        } else {
            tracing::debug!(graph.id = %graph, provider = id, "{unknown}");
        }
    }
}
