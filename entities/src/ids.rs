//! Typed ids: a [`JobId`] cannot be passed where a [`FactId`] is meant.
//!
//! All are UUIDs. Ids that we make ourselves are version 7 (they sort by the time of their making, so new rows land at the
//! end of the index); ids that are derived from a key are version 5, so that the same key has the same id for ever.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A text that is not a UUID stands where an id is wanted.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an id: give a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct NotAnId {
    text: String,
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema,
            sea_orm::DeriveValueType,
        )]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, version 7: it sorts behind every id made earlier.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "a default id would hide that each call makes another one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id that `key` has in `namespace`, version 5: the same for ever.
            #[must_use]
            pub fn derived(namespace: Uuid, key: &str) -> Self {
                Self(Uuid::new_v5(&namespace, key.as_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        /// With its hyphens, as the schema says; the other ways to write a UUID are refused.
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self(uuid::fmt::Hyphenated::deserialize(deserializer)?.into_uuid()))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Uuid::parse_str(text).map(Self).map_err(|_| NotAnId { text: text.to_owned() })
            }
        }

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }
    };
}

typed_id!(
    /// A job: its row in `jobs` and the `message_id` of the message that carries it. Always version 7.
    JobId
);
typed_id!(
    /// A row of `dead_letters`.
    DeadLetterId
);
typed_id!(
    /// A row of `api_tokens`.
    ApiTokenId
);
typed_id!(
    /// A row of `audit`.
    AuditId
);
typed_id!(
    /// A replay run: many dead letters on their way back.
    ReplayRunId
);
typed_id!(
    /// A schedule. One that is removed and made again under its name is another one.
    ScheduleId
);
typed_id!(
    /// One life of a broker's storage, by which a broker that lost it is noticed.
    Incarnation
);
typed_id!(
    /// A graph.
    GraphId
);
typed_id!(
    /// A source of a graph: version 5 of graph and URI.
    SourceId
);
typed_id!(
    /// A fact of a graph.
    FactId
);
typed_id!(
    /// A node of a graph: version 5 of graph and key.
    NodeId
);
typed_id!(
    /// A synthesis. It is also the id of the synthesis's node.
    SynthesisId
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_new_id_sorts_behind_an_older_one() {
        let older = JobId::new();
        let newer = JobId::new();
        assert!(older < newer);
    }

    #[test]
    fn a_derived_id_is_the_same_for_ever() {
        let namespace = Uuid::from_u128(7);
        assert_eq!(NodeId::derived(namespace, "gravity"), NodeId::derived(namespace, "gravity"));
        assert_ne!(NodeId::derived(namespace, "gravity"), NodeId::derived(namespace, "mass"));
    }

    #[test]
    fn a_text_that_is_no_id_is_named_in_the_error() {
        let error = "seven".parse::<JobId>().unwrap_err();
        assert!(error.to_string().contains("`seven`"), "{error}");
    }
}
