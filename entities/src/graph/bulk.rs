//! Statements over many rows at once.
//!
//! Both databases understand `$n` parameters and multi-row `VALUES`, so there is one text for both. Rows go out in groups
//! of a power of two: few different texts, so that the statement cache of a connection holds all of them.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};

/// Values bound in one statement at most. SQLite's limit is 32,766, Postgres's 65,535; larger statements gain nothing.
const MOST_VALUES: usize = 4_096;

/// A statement with one group of values per row.
///
/// In `row`, `#` stands for the row's next value and `$1`, `$2`, .. for the constants, which are bound once.
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
        for statement in self.statements(connection, rows) {
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
        for statement in self.statements(connection, rows) {
            found.extend(connection.query_all_raw(statement).await?);
        }
        Ok(found)
    }

    fn statements(&self, connection: &impl ConnectionTrait, rows: Vec<Vec<Value>>) -> Vec<Statement> {
        let backend = connection.get_database_backend();
        let width = self.row.matches('#').count().max(1);
        let most = previous_power_of_two((MOST_VALUES - self.constants.len()) / width);
        let mut statements = Vec::new();
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let count = previous_power_of_two(left).min(most);
            left -= count;
            let values = self.constants.iter().cloned().chain(rows.by_ref().take(count).flatten());
            let values: Vec<Value> = values.collect();
            statements.push(Statement::from_sql_and_values(backend, self.text(count), values));
        }
        statements
    }

    fn text(&self, rows: usize) -> String {
        let mut sql = String::with_capacity(self.head.len() + self.tail.len() + rows * self.row.len() * 3);
        sql.push_str(self.head);
        let mut parameter = self.constants.len();
        for row in 0..rows {
            if row > 0 {
                sql.push(',');
            }
            for (index, piece) in self.row.split('#').enumerate() {
                if index > 0 {
                    parameter += 1;
                    // Writing to a String cannot fail.
                    let _ = write!(sql, "${parameter}");
                }
                sql.push_str(piece);
            }
        }
        sql.push_str(self.tail);
        sql
    }
}

fn previous_power_of_two(number: usize) -> usize {
    if number == 0 { 1 } else { 1 << number.ilog2() }
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;

    #[test]
    fn constants_are_bound_once_and_rows_numbered_behind_them() {
        let bulk = Bulk {
            head: "INSERT INTO t VALUES ",
            row: "(#, $1, #)",
            tail: " ON CONFLICT DO NOTHING",
            constants: vec![7.into()],
        };
        assert_eq!(bulk.text(2), "INSERT INTO t VALUES ($2, $1, $3),($4, $1, $5) ON CONFLICT DO NOTHING");
    }

    #[test]
    fn rows_go_out_in_powers_of_two_and_none_is_lost() {
        let bulk = Bulk { head: "", row: "(#)", tail: "", constants: Vec::new() };
        let connection = sea_orm::MockDatabase::new(DbBackend::Sqlite).into_connection();
        let statements =
            bulk.statements(&connection, (0..4_096 + 21).map(|n| vec![Value::from(n)]).collect());
        let sizes: Vec<usize> =
            statements.iter().map(|s| s.values.as_ref().map_or(0, |v| v.0.len())).collect();
        assert_eq!(sizes, [4_096, 16, 4, 1]);
    }
}
