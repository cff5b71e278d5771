//! Who is asking, and what he may do.

use ackord_entities::graph::node::Visibility;
use ackord_entities::ids::ApiTokenId;
use ackord_entities::queue::api_token::ApiRole;
use ackord_producer::operate;
use ackord_producer::story::Audience;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::problem::Problem;

/// Who is asking.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The token; `None` for everybody on this machine while there are no tokens.
    pub(crate) token: Option<ApiTokenId>,
    /// What the audit calls him.
    pub(crate) name: String,
    /// How far he may go.
    pub(crate) role: ApiRole,
    /// On whose behalf.
    pub(crate) subject: Option<String>,
}

impl Caller {
    /// Everybody on this machine while there are no tokens.
    pub(crate) fn on_this_machine() -> Self {
        Self { token: None, name: "api".to_owned(), role: ApiRole::Admin, subject: None }
    }

    /// What he may read of errors.
    pub(crate) fn audience(&self) -> Audience {
        if self.is_operator() { Audience::Operators } else { Audience::Everybody }
    }

    /// Whether he looks after the system.
    pub(crate) fn is_operator(&self) -> bool {
        self.role >= ApiRole::Operator
    }

    /// Whether he may see what is `creator`'s.
    pub(crate) fn may_see(&self, visibility: Visibility, creator: Option<&str>) -> bool {
        visibility == Visibility::Public || self.is_operator() || self.owns(creator)
    }

    /// Whether something is his own.
    pub(crate) fn owns(&self, creator: Option<&str>) -> bool {
        creator.is_some() && self.subject.as_deref() == creator
    }

    /// Whether he may change what is `creator`'s.
    pub(crate) fn may_change(&self, creator: Option<&str>) -> bool {
        self.is_operator() || (self.role >= ApiRole::Publisher && self.owns(creator))
    }

    /// As the audit is told.
    pub(crate) fn operator(&self, reason: Option<String>) -> operate::Operator {
        operate::Operator { name: self.name.clone(), reason }
    }

    /// Distinguishes what different callers remember: their idempotency keys.
    pub(crate) fn scope(&self) -> String {
        self.token.map_or_else(|| "api".to_owned(), |token| format!("api:{token}"))
    }

    fn at_least(parts: &Parts, role: ApiRole) -> Result<Self, Problem> {
        // The door puts it there for every route that has such a parameter.
        let caller = parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)?;
        if caller.role >= role {
            return Ok(caller);
        }
        Err(Problem::forbidden(format!(
            "this takes the role {role}; the token `{}` is a {}",
            caller.name, caller.role
        ))
        .with("role_needed", role))
    }
}

/// A parameter that lets in whoever has the role, or a higher one.
macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) Caller);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
                Caller::at_least(parts, ApiRole::$name).map(Self)
            }
        }
    };
}

role!(
    /// May read.
    Viewer
);
role!(
    /// May publish.
    Publisher
);
role!(
    /// May look after the system.
    Operator
);
role!(
    /// May make and revoke tokens.
    Admin
);
