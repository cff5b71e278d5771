//! Statements over many rows at once.
//!
//! Both databases understand multi-row `VALUES`, so there is one text for both. Rows go out in groups of a power of two: few
//! different texts, so that the statement cache of a connection holds all of them.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::SecondsFormat;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

/// Values bound in one statement at most. SQLite's limit is 32,766, Postgres's 65,535; larger statements gain nothing.
const MOST_VALUES: usize = 4_096;

/// A statement with one group of values per row.
///
/// In `row`, `#` stands for the row's next value. `$1`, `$2`, .. stand for the constants, anywhere.
pub(super) struct Bulk<'a> {
    pub(super) head: &'a str,
    pub(super) row: &'a str,
    pub(super) tail: &'a str,
    pub(super) constants: Vec<Value>,
}

impl Bulk<'_> {
    /// Executes the statement over all `rows`, each of which has as many values as `row` has `#`. Returns the number of
    /// rows that the database says were affected.
    pub(super) async fn execute(
        &self,
        connection: &impl ConnectionTrait,
        rows: Vec<Vec<Value>>,
    ) -> Result<u64, DbErr> {
        let mut affected = 0;
        for statement in self.statements(connection.get_database_backend(), rows) {
            affected += connection.execute_raw(statement).await?.rows_affected();
        }
        Ok(affected)
    }

    /// Executes the statement over all `rows` and collects what it returns.
    pub(super) async fn query(
        &self,
        connection: &impl ConnectionTrait,
        rows: Vec<Vec<Value>>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let mut found = Vec::new();
        for statement in self.statements(connection.get_database_backend(), rows) {
            found.extend(connection.query_all_raw(statement).await?);
        }
        Ok(found)
    }

    /// SQLite notes how to undo a statement that fails half way, page by page, unless it is told to leave what it has done.
    /// Whoever writes here gives up the whole transaction after a failure, so nothing is lost by telling it. It is only
    /// of use without an upsert, which takes the notes regardless.
    fn head_for(&self, backend: DbBackend) -> Cow<'_, str> {
        match self.head.strip_prefix("INSERT INTO ") {
            Some(rest) if backend != DbBackend::Postgres && self.tail.is_empty() => {
                format!("INSERT OR FAIL INTO {rest}").into()
            }
            _ => self.head.into(),
        }
    }

    fn statements(&self, backend: DbBackend, rows: Vec<Vec<Value>>) -> Vec<Statement> {
        let width = self.row.matches(['#', '$']).count().max(1);
        let most = previous_power_of_two((MOST_VALUES - self.constants.len()) / width);
        let constants: Vec<Value> = self.constants.iter().map(|value| bound(backend, value)).collect();
        let mut statements = Vec::new();
        let mut left = rows.len();
        let mut rows = rows.into_iter().flatten();
        while left > 0 {
            let count = previous_power_of_two(left).min(most);
            left -= count;
            let mut text = Text::new(backend, &constants);
            text.push(&self.head_for(backend), &mut rows);
            for row in 0..count {
                if row > 0 {
                    text.sql.push(',');
                }
                text.push(self.row, &mut rows);
            }
            text.push(self.tail, &mut rows);
            statements.push(Statement::from_sql_and_values(backend, text.sql, text.values));
        }
        statements
    }
}

/// A statement as it grows.
///
/// Postgres gets numbered parameters, and each constant once. SQLite gets bare question marks and the constants again and
/// again: it looks a numbered parameter up by its name, in time that grows with their number.
struct Text<'a> {
    numbered: bool,
    constants: &'a [Value],
    sql: String,
    values: Vec<Value>,
}

impl<'a> Text<'a> {
    fn new(backend: DbBackend, constants: &'a [Value]) -> Self {
        let numbered = backend == DbBackend::Postgres;
        let values = if numbered { constants.to_vec() } else { Vec::new() };
        Self { numbered, constants, sql: String::new(), values }
    }

    fn push(&mut self, piece: &str, row: &mut impl Iterator<Item = Value>) {
        let mut rest = piece;
        while let Some(at) = rest.find(['#', '$']) {
            self.sql.push_str(&rest[..at]);
            let mark = &rest[at..];
            let digits = mark[1..].bytes().take_while(u8::is_ascii_digit).count();
            let constant = mark[1..=digits].parse().ok().filter(|_| mark.starts_with('$'));
            self.push_parameter(constant, row);
            rest = &mark[1 + digits..];
        }
        self.sql.push_str(rest);
    }

    fn push_parameter(&mut self, constant: Option<usize>, row: &mut impl Iterator<Item = Value>) {
        let number = match constant {
            Some(number) if self.numbered => number,
            Some(number) => {
                self.values.extend(self.constants.get(number - 1).cloned());
                number
            }
            None => {
                self.values.extend(row.next());
                self.values.len()
            }
        };
        if self.numbered {
            // Writing to a String cannot fail.
            let _ = write!(self.sql, "${number}");
        } else {
            self.sql.push('?');
        }
    }
}

/// A time is written as text once for SQLite, not for each row; it is the text that the driver would write.
fn bound(backend: DbBackend, value: &Value) -> Value {
    match value {
        Value::ChronoDateTimeUtc(Some(time)) if backend != DbBackend::Postgres => {
            time.to_rfc3339_opts(SecondsFormat::AutoSi, false).into()
        }
        other => other.clone(),
    }
}

fn previous_power_of_two(number: usize) -> usize {
    if number == 0 { 1 } else { 1 << number.ilog2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert() -> Bulk<'static> {
        Bulk {
            head: "INSERT INTO t VALUES ",
            row: "(#, $1, #)",
            tail: " ON CONFLICT DO UPDATE SET x = $1",
            constants: vec![7.into()],
        }
    }

    fn rows(count: i32) -> Vec<Vec<Value>> {
        (0..count).map(|n| vec![n.into(), (-n).into()]).collect()
    }

    fn values(statement: &Statement) -> Vec<Value> {
        statement.values.as_ref().map(|values| values.0.clone()).unwrap_or_default()
    }

    #[test]
    fn postgres_binds_a_constant_once() {
        let statements = insert().statements(DbBackend::Postgres, rows(2));
        assert_eq!(
            statements[0].sql,
            "INSERT INTO t VALUES ($2, $1, $3),($4, $1, $5) ON CONFLICT DO UPDATE SET x = $1"
        );
        assert_eq!(values(&statements[0]), [7, 0, 0, 1, -1].map(Value::from));
    }

    #[test]
    fn sqlite_binds_in_the_order_of_the_text() {
        let statements = insert().statements(DbBackend::Sqlite, rows(2));
        assert_eq!(
            statements[0].sql,
            "INSERT INTO t VALUES (?, ?, ?),(?, ?, ?) ON CONFLICT DO UPDATE SET x = ?"
        );
        assert_eq!(values(&statements[0]), [0, 7, 0, 1, 7, -1, 7].map(Value::from));
    }

    #[test]
    fn only_a_plain_insert_on_sqlite_may_stop_half_way() {
        let plain = Bulk { tail: "", ..insert() };
        let sql = |bulk: &Bulk<'_>, backend| bulk.statements(backend, rows(1))[0].sql.clone();
        assert_eq!(sql(&plain, DbBackend::Sqlite), "INSERT OR FAIL INTO t VALUES (?, ?, ?)");
        assert_eq!(sql(&plain, DbBackend::Postgres), "INSERT INTO t VALUES ($2, $1, $3)");
        assert!(sql(&insert(), DbBackend::Sqlite).starts_with("INSERT INTO t "));
    }

    #[test]
    fn rows_go_out_in_powers_of_two_and_none_is_lost() {
        let bulk = Bulk { head: "", row: "(#)", tail: "", constants: Vec::new() };
        let statements =
            bulk.statements(DbBackend::Sqlite, (0..4_096 + 21).map(|n| vec![Value::from(n)]).collect());
        let sizes: Vec<usize> = statements.iter().map(|statement| values(statement).len()).collect();
        assert_eq!(sizes, [4_096, 16, 4, 1]);
    }
}
