//! `audit`: what operators did, to what, when and why.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryOrder};

use crate::database::{RowSet, Sql};
use crate::ids::AuditId;

/// One deed.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    /// Its id: sorts by time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AuditId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What: `cancel`, `retry`, `replay`, `discard`, `stop`, `pause`, `resume`, `create`, `revoke`, `change`,
    /// `delete`, `enable`, `disable`, `fire`.
    pub verb: String,
    /// What it was done to.
    pub subject_type: SubjectType,
    /// Its id or name.
    pub subject: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// JSON: what was changed.
    pub details: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What an operator can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// A job.
    #[sea_orm(string_value = "job")]
    Job,
    /// A dead letter.
    #[sea_orm(string_value = "dead_letter")]
    DeadLetter,
    /// A kind.
    #[sea_orm(string_value = "kind")]
    Kind,
    /// A replay run.
    #[sea_orm(string_value = "replay_run")]
    ReplayRun,
    /// A synthesis.
    #[sea_orm(string_value = "synthesis")]
    Synthesis,
    /// A token of the HTTP API, by its name.
    #[sea_orm(string_value = "api_token")]
    ApiToken,
    /// A graph, or rows of it: `default`, `default/nodes/KEY`.
    #[sea_orm(string_value = "graph")]
    Graph,
    /// A schedule, by its name.
    #[sea_orm(string_value = "schedule")]
    Schedule,
}

/// A deed about to be written.
#[derive(Clone, Debug)]
pub struct Deed<'a> {
    /// Who.
    pub actor: &'a str,
    /// What.
    pub verb: &'a str,
    /// What it is done to.
    pub subject_type: SubjectType,
    /// Its id or name.
    pub subject: String,
    /// Why.
    pub reason: Option<&'a str>,
    /// JSON: what was changed.
    pub details: Option<String>,
}

/// Writes a deed.
///
/// # Errors
/// Whatever the database answers.
pub async fn record(tx: &DatabaseTransaction, deed: Deed<'_>, now: DateTime<Utc>) -> Result<(), DbErr> {
    record_all(tx, &[deed], now).await
}

/// Writes what one verb did to many, in one statement.
///
/// # Errors
/// Whatever the database answers.
pub async fn record_all(
    tx: &DatabaseTransaction,
    deeds: &[Deed<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    if deeds.is_empty() {
        return Ok(());
    }
    let rows = RowSet::new("r")
        .uuid("id", deeds.iter().map(|_| AuditId::new().0))
        .string("actor", deeds.iter().map(|deed| deed.actor.to_owned()))
        .string("verb", deeds.iter().map(|deed| deed.verb.to_owned()))
        .string("subject_type", deeds.iter().map(|deed| deed.subject_type.to_value()))
        .string("subject", deeds.iter().map(|deed| deed.subject.clone()))
        .string("reason", deeds.iter().map(|deed| deed.reason.map(str::to_owned)))
        .string("details", deeds.iter().map(|deed| deed.details.clone()));
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO audit (id, at, actor, verb, subject_type, subject, reason, details) SELECT id, ")
        .bind(now)
        .on_postgres("::timestamptz")
        .text(", actor, verb, subject_type, subject, reason, details FROM ")
        .rows(rows)
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// The deeds done to one subject, oldest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_subject(connection: &impl ConnectionTrait, subject: &str) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Subject.eq(subject)).order_by_asc(Column::Id).all(connection).await
}
