//! `ackord tokens create|list|revoke`.

use std::time::Duration;

use ackord_entities::clock::later;
use ackord_entities::ids::ApiTokenId;
use ackord_entities::queue::api_token::{self, ApiRole};
use ackord_producer::operate::{TokenRequest, create_token, revoke_token};
use ackord_producer::story::TokenView;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session};
use crate::terminal::{Column, ago, table};

const LONGEST_NAME: usize = 200;

/// Make, list and revoke the tokens of the HTTP API
#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token and print it: it is stored as a hash only and cannot be read again
    #[command(after_help = "\
Roles: viewer reads; publisher also publishes, imports and asks for syntheses; operator also sees payloads and causes, cancels, retries,
replays, discards and pauses; admin also makes and revokes tokens over the API. A name means one token for ever, in the audit too.

Examples:
  ackord tokens create ci --role publisher --expires 90d
  ackord tokens create anna --role viewer --subject anna
  TOKEN=$(ackord tokens create shell --role admin)")]
    Create {
        /// Its name: what the audit calls whoever uses it
        #[arg(value_name = "NAME")]
        token: String,
        /// How far it goes
        #[arg(long, value_enum)]
        role: RoleName,
        /// Whose token it is: private syntheses belong to a subject
        #[arg(long, value_name = "TEXT")]
        subject: Option<String>,
        /// It is worth nothing after this time, for example 90d [default: never]
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        operator: OperatorArgs,
    },
    /// List all tokens, newest first
    #[command(
        after_help = "Example:\n  ackord tokens list --json | jq -r '.tokens[] | select(.valid) | .name'"
    )]
    List,
    /// Revoke a token: it counts no more from now on
    #[command(after_help = "Example:\n  ackord tokens revoke ci --reason 'it was in a log'")]
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        token: String,
        #[command(flatten)]
        operator: OperatorArgs,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Viewer,
    Publisher,
    Operator,
    Admin,
}

impl RoleName {
    fn role(self) -> ApiRole {
        match self {
            Self::Viewer => ApiRole::Viewer,
            Self::Publisher => ApiRole::Publisher,
            Self::Operator => ApiRole::Operator,
            Self::Admin => ApiRole::Admin,
        }
    }
}

/// A token that was made. The JSON is a stable interface.
#[derive(Serialize)]
struct Created<'a> {
    id: ApiTokenId,
    name: &'a str,
    role: ApiRole,
    /// The token: shown this once.
    token: &'a str,
    expires_at: Option<DateTime<Utc>>,
}

/// All tokens. The JSON is a stable interface.
#[derive(Serialize)]
struct Tokens {
    tokens: Vec<TokenView>,
}

/// What `revoke` did. The JSON is a stable interface.
#[derive(Serialize)]
struct Revoked<'a> {
    name: &'a str,
    changed: bool,
}

fn row(token: &TokenView, now: DateTime<Utc>) -> Vec<String> {
    let when = |time: Option<DateTime<Utc>>, never: &str| {
        time.map_or_else(|| never.to_owned(), |time| ago(time, now))
    };
    let state = match (token.valid, token.revoked_at) {
        (true, _) => "valid",
        (false, Some(_)) => "revoked",
        (false, None) => "expired",
    };
    vec![
        token.name.clone(),
        token.role.to_string(),
        token.subject.clone().unwrap_or_default(),
        state.to_owned(),
        ago(token.created_at, now),
        when(token.expires_at, "never"),
        when(token.last_used_at, "never"),
    ]
}

impl TokensArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Create { token, role, subject, expires, operator } => {
                let wish = Wish { name: token, role: role.role(), subject, expires };
                create(session, &wish, &operator).await
            }
            Verb::List => list(session).await,
            Verb::Revoke { token, operator } => revoke(session, &token, &operator).await,
        }
    }
}

struct Wish {
    name: String,
    role: ApiRole,
    subject: Option<String>,
    expires: Option<Duration>,
}

async fn create(session: &Session, wish: &Wish, operator: &OperatorArgs) -> anyhow::Result<Exit> {
    one_line("NAME", &wish.name)?;
    if let Some(subject) = &wish.subject {
        one_line("--subject", subject)?;
    }
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let expires_at = wish.expires.map(|time| later(now, time));
    let (name, role) = (wish.name.as_str(), wish.role);
    let request = TokenRequest { name, role, subject: wish.subject.as_deref(), expires_at };
    let Some((id, secret)) = create_token(&tx, request, &operator.operator(), now).await? else {
        return Err(Problem::refused(format!("there is, or was, a token `{name}`"))
            .remedy("give another name: the audit must never mean two tokens by one")
            .into());
    };
    tx.commit().await?;
    let created = Created { id, name, role, token: secret.reveal(), expires_at };
    session.terminal.answer(&created, || secret.reveal().to_owned())?;
    Ok(Exit::Success)
}

fn one_line(field: &str, text: &str) -> Result<(), Problem> {
    ackord_entities::jobs::check::line(field, text, LONGEST_NAME)
        .map_err(|error| Problem::usage(error.to_string()))
}

async fn list(session: &Session) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let now = database.clock().now(database.read()).await?;
    let rows = api_token::all(database.read()).await?;
    let tokens = Tokens { tokens: rows.into_iter().map(|token| TokenView::new(token, now)).collect() };
    session.terminal.answer(&tokens, || text(&tokens, now))?;
    Ok(Exit::Success)
}

fn text(tokens: &Tokens, now: DateTime<Utc>) -> String {
    if tokens.tokens.is_empty() {
        return "no tokens: the HTTP API answers this machine only, and lets everybody on it do everything"
            .to_owned();
    }
    let columns = [
        Column::text("NAME"),
        Column::text("ROLE"),
        Column::text("SUBJECT"),
        Column::text("STATE"),
        Column::text("MADE"),
        Column::text("EXPIRES"),
        Column::text("USED"),
    ];
    table(&columns, tokens.tokens.iter().map(|token| row(token, now)).collect())
}

async fn revoke(session: &Session, name: &str, operator: &OperatorArgs) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let Some(token) = api_token::by_name(&tx, name).await? else {
        return Err(Problem::not_found(format!("there is no token `{name}`"))
            .remedy("`ackord tokens list` shows them")
            .into());
    };
    let changed = revoke_token(&tx, &token, &operator.operator(), now).await?;
    tx.commit().await?;
    session.terminal.answer(&Revoked { name, changed }, || {
        let before = if changed { "" } else { " before" };
        format!("token `{name}` was revoked{before}")
    })?;
    Ok(Exit::Success)
}
