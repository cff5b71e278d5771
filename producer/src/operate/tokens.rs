//! Making and revoking the tokens of the HTTP API.

use std::fmt;

use ackord_entities::ids::ApiTokenId;
use ackord_entities::queue::api_token::{self, ApiRole, Model, New, PREFIX};
use ackord_entities::queue::audit::{self, Deed, SubjectType};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::Operator;

/// Random bytes of a token: 256 bits.
const RANDOM: usize = 32;

/// A token that was made a moment ago: the only time that it can be read.
pub struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, DbErr> {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random)
            .map_err(|error| DbErr::Custom(format!("the system has no random numbers: {error}")))?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))))
    }

    /// The token itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

/// A token that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// Its name, unique for ever.
    pub name: &'a str,
    /// How far it goes.
    pub role: ApiRole,
    /// Whose token it is.
    pub subject: Option<&'a str>,
    /// From when on it is worth nothing.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a token. `None`, with nothing changed, when its name was used before.
///
/// # Errors
/// Whatever the database answers.
pub async fn create_token(
    tx: &DatabaseTransaction,
    request: TokenRequest<'_>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<Option<(ApiTokenId, Secret)>, DbErr> {
    let (id, secret) = (ApiTokenId::new(), Secret::new()?);
    let new = New {
        id,
        name: request.name,
        hash: &api_token::hash(secret.reveal()),
        role: request.role,
        subject: request.subject,
        created_by: &operator.name,
        expires_at: request.expires_at,
    };
    if !api_token::insert(tx, &new, now).await? {
        return Ok(None);
    }
    let details = serde_json::json!({
        "role": request.role,
        "subject": request.subject,
        "expires_at": request.expires_at,
    });
    let deed = operator.deed("create", SubjectType::ApiToken, request.name.to_owned());
    audit::record(tx, Deed { details: Some(details.to_string()), ..deed }, now).await?;
    Ok(Some((id, secret)))
}

/// Revokes a token: it counts no more from the commit on. Answers whether it did before.
///
/// # Errors
/// Whatever the database answers.
pub async fn revoke_token(
    tx: &DatabaseTransaction,
    token: &Model,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let revoked = api_token::revoke(tx, token.id, now).await?;
    if revoked {
        let deed = operator.deed("revoke", SubjectType::ApiToken, token.name.clone());
        audit::record(tx, deed, now).await?;
    }
    Ok(revoked)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_secret_is_long_unlike_any_other_and_does_not_show_itself() {
        let (one, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        assert!(one.reveal().starts_with(PREFIX) && one.reveal().len() == PREFIX.len() + 43);
        assert_ne!(one.reveal(), other.reveal());
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
