//! The tokens of the HTTP API, without what makes them work.

use ackord_entities::ids::ApiTokenId;
use ackord_entities::queue::api_token::{ApiRole, Model};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// A token of the HTTP API. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Token))]
pub struct TokenView {
    /// Its id.
    pub id: ApiTokenId,
    /// What the audit calls whoever uses it. Unique for ever.
    pub name: String,
    /// How far it goes.
    pub role: ApiRole,
    /// Whose token it is: private syntheses belong to a subject.
    pub subject: Option<String>,
    /// Whether it counts.
    pub valid: bool,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is worth nothing.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used, to ten minutes.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl TokenView {
    /// The token as it is at `now`.
    #[must_use]
    pub fn new(token: Model, now: DateTime<Utc>) -> Self {
        Self {
            valid: token.is_valid(now),
            id: token.id,
            name: token.name,
            role: token.role,
            subject: token.subject,
            created_by: token.created_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
        }
    }
}
