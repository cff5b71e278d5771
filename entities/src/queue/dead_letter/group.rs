//! Letters that failed alike, as one.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{ActiveEnum, ConnectionTrait, DbBackend, FromQueryResult, Order, QueryOrder, QuerySelect};

use super::{Column, Entity, Filter, Reason};

/// Letters that failed alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common: kind, code, and the error without its numbers.
    pub fingerprint: String,
    /// Their kind, where their messages named one.
    pub kind: Option<String>,
    /// Why they were given up: one error can end attempts in several ways.
    pub reasons: Vec<Reason>,
    /// Code of the error behind them.
    pub error_code: String,
    /// The error of one of them, for operators.
    pub example: String,
    /// How many.
    pub letters: i64,
    /// When the first attempt of the first of them failed.
    pub first_failed_at: DateTime<Utc>,
    /// When the last of them was given up.
    pub last_failed_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    fingerprint: String,
    kind: Option<String>,
    reasons: String,
    error_code: String,
    example: String,
    letters: i64,
    first_failed_at: DateTime<Utc>,
    last_failed_at: DateTime<Utc>,
}

/// The groups of the letters that `filter` leaves, the largest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn groups(
    connection: &impl ConnectionTrait,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<Group>, DbErr> {
    let reasons = match connection.get_database_backend() {
        DbBackend::Postgres => "string_agg(DISTINCT reason, ',' ORDER BY reason)",
        _ => "group_concat(DISTINCT reason)",
    };
    let letters = || -> SimpleExpr { Expr::cust("COUNT(*)") };
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .column(Column::Fingerprint)
        .column_as(Expr::cust("MIN(kind)"), "kind")
        .column_as(Expr::cust(reasons), "reasons")
        .column_as(Expr::cust("MIN(error_code)"), "error_code")
        // The shortest work for the database: any of them will do, since they are alike.
        .column_as(Expr::cust("MIN(error)"), "example")
        .column_as(letters(), "letters")
        .column_as(Expr::cust("MIN(first_failed_at)"), "first_failed_at")
        .column_as(Expr::cust("MAX(last_failed_at)"), "last_failed_at")
        .filter(filter.condition())
        .group_by(Column::Fingerprint)
        .order_by(letters(), Order::Desc)
        .order_by_asc(Column::Fingerprint)
        .limit(limit)
        .into_model()
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(Group::from).collect())
}

impl From<Row> for Group {
    fn from(row: Row) -> Self {
        // A reason that this program does not know was written by a newer one: the group is shown without it.
        let known = |word: &str| Reason::try_from_value(&word.to_owned()).ok();
        let mut reasons: Vec<Reason> = row.reasons.split(',').filter_map(known).collect();
        reasons.sort_by_key(Reason::to_string);
        Self {
            fingerprint: row.fingerprint,
            kind: row.kind,
            reasons,
            error_code: row.error_code,
            example: row.example,
            letters: row.letters,
            first_failed_at: row.first_failed_at,
            last_failed_at: row.last_failed_at,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::{LetterState, NewLetter, insert};
    use super::*;
    use crate::clock::machine_now;
    use crate::envelope::Message;
    use crate::queue::job::ErrorText;
    use crate::testing::TestDatabase;

    fn letter(kind: &str, code: &str, row: u32, reason: Reason) -> NewLetter {
        NewLetter {
            job_id: None,
            message: Message {
                message_id: Some(format!("{kind}-{row}")),
                kind: Some(kind.to_owned()),
                ..Message::default()
            },
            queue: Some(format!("ackord.{kind}")),
            reason,
            error: ErrorText {
                code: code.to_owned(),
                operator: format!("row {row} is missing"),
                public: String::new(),
            },
            attempts: 1,
            first_failed_at: None,
        }
    }

    #[tokio::test]
    async fn letters_that_failed_alike_are_one_group_and_each_filter_narrows() {
        for database in TestDatabase::each().await {
            let database = database.database();
            let tx = database.begin().await.unwrap();
            let (early, late) = (machine_now() - chrono::TimeDelta::hours(2), machine_now());
            for (new, at) in [
                (letter("order", "missing", 1, Reason::Permanent), early),
                (letter("order", "missing", 22, Reason::AttemptsExhausted), late),
                (letter("order", "late", 3, Reason::Permanent), late),
                (letter("invoice", "missing", 4, Reason::Permanent), late),
            ] {
                assert!(insert(&tx, new, at).await.unwrap());
            }
            tx.commit().await.unwrap();
            let open = Filter { state: Some(LetterState::Open), ..Filter::default() };
            let found = groups(database.read(), &open, 10).await.unwrap();
            assert_eq!(found.iter().map(|group| group.letters).collect::<Vec<_>>(), [2, 1, 1]);
            let first = &found[0];
            assert_eq!((first.kind.as_deref(), first.error_code.as_str()), (Some("order"), "missing"));
            assert_eq!(first.reasons, [Reason::AttemptsExhausted, Reason::Permanent]);
            assert_eq!((first.first_failed_at, first.last_failed_at), (early, late));
            assert!(first.example.starts_with("row "), "{}", first.example);

            for (filter, letters) in [
                (Filter { fingerprint: Some(first.fingerprint.clone()), ..open.clone() }, 2),
                (Filter { kind: Some("order".to_owned()), ..open.clone() }, 3),
                (Filter { reason: Some(Reason::AttemptsExhausted), ..open.clone() }, 1),
                (Filter { error_code: Some("missing".to_owned()), ..open.clone() }, 3),
                (Filter { queue: Some("ackord.invoice".to_owned()), ..open.clone() }, 1),
                (Filter { since: Some(late), ..open.clone() }, 3),
                (Filter { until: Some(late), ..open.clone() }, 1),
                (Filter { state: Some(LetterState::Discarded), ..Filter::default() }, 0),
                (open.clone(), 4),
            ] {
                assert_eq!(
                    super::super::ids(database.read(), &filter).await.unwrap().len(),
                    letters,
                    "{filter:?}"
                );
            }
        }
    }
}
