//! Why a whole import ended early.

use ackord_entities::database::{Fault, classify};
use sea_orm::DbErr;

/// What ends an import. Everything that was committed before stays and is skipped by the next one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The database failed.
    #[error("the database failed while importing; run the import again: it goes on where it stopped")]
    Database(#[from] DbErr),
    /// A pattern to exclude cannot be understood.
    #[error("the pattern `{pattern}` cannot be understood: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        reason: String,
    },
    /// The graph's slug is not one.
    #[error(
        "`{slug}` is no name for a graph: use lowercase letters, digits and single dashes, at most 64 characters"
    )]
    GraphName {
        /// What was given.
        slug: String,
    },
    /// A thread that reads files died.
    #[error("a reading thread died: this is a defect in ackord")]
    Reader,
}

impl ImportError {
    /// Whether the same import would fail again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Database(error) => classify(error) == Fault::Permanent,
            Self::Pattern { .. } | Self::GraphName { .. } => true,
            Self::Reader => false,
        }
    }
}
