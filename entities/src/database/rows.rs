//! A set of rows as parameters of one statement, so that a statement is one text however many rows it works on.
//!
//! Postgres gets one array per column and `UNNEST`; SQLite gets one JSON text and `json_each`. Both appear in the
//! statement as a table of the given name and columns. A column whose values are given as `Option` may hold NULL: on Postgres
//! it travels as an array literal, since the driver's arrays hold no NULL. A column that has one value in all rows is not a
//! column on the way but a single parameter: most are like that, and reading an array costs the server for each row.
//!
//! ```
//! # use ackord_entities::database::{RowSet, Sql};
//! # use sea_orm::DbBackend;
//! # let ids = [uuid::Uuid::nil()];
//! let rows = RowSet::new("r").uuid("id", ids).int("seq", [1]);
//! let statement = Sql::new(DbBackend::Sqlite)
//!     .text("DELETE FROM outbox WHERE (job_id, seq) IN (SELECT id, seq FROM ")
//!     .rows(rows)
//!     .text(")")
//!     .build();
//! assert!(statement.sql.contains("json_each($1)"));
//! ```

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::sea_query::ArrayType;
use sea_orm::{DbBackend, Statement, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::clock::Moment;

/// Rows given column by column.
#[derive(Debug)]
pub struct RowSet {
    name: &'static str,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    nullable: bool,
    values: Values,
}

/// What a column is made of: values, or values that may be missing. The type decides, so the text of a statement does not
/// depend on its data.
pub trait Cell<T> {
    /// Whether a value may be missing.
    const NULLABLE: bool;
    /// The value, if there is one.
    fn value(self) -> Option<T>;
}

impl<T> Cell<T> for T {
    const NULLABLE: bool = false;

    fn value(self) -> Option<T> {
        Some(self)
    }
}

impl<T> Cell<T> for Option<T> {
    const NULLABLE: bool = true;

    fn value(self) -> Self {
        self
    }
}

#[derive(Debug)]
enum Values {
    Uuid(Vec<Option<Uuid>>),
    Text(Vec<Option<String>>),
    Int(Vec<Option<i32>>),
    Big(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Bool(Vec<Option<bool>>),
    Time(Vec<Option<DateTime<Utc>>>),
}

macro_rules! column {
    ($(#[$doc:meta])* $method:ident, $variant:ident, $type:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $method<V: Cell<$type>>(mut self, name: &'static str, values: impl IntoIterator<Item = V>) -> Self {
            let values = Values::$variant(values.into_iter().map(Cell::value).collect());
            self.columns.push(Column { name, nullable: V::NULLABLE, values });
            self
        }
    };
}

/// `text` with U+FFFD in the place of each NUL character. Postgres refuses a statement that holds one and SQLite cuts the text
/// off there; an error's text or a stranger's header with one must not keep a job from being recorded. What is data is refused
/// at the door instead.
#[must_use]
pub fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

impl RowSet {
    /// No columns yet; `name` is the table's name within the statement.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, columns: Vec::new() }
    }

    column!(/** A column of UUIDs. */ uuid, Uuid, Uuid);
    /// A column of texts. Neither database keeps a NUL character in text: see [`without_nul`].
    #[must_use]
    pub fn string<V: Cell<String>>(
        mut self,
        name: &'static str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(|value| value.value().map(without_nul)).collect();
        self.columns.push(Column { name, nullable: V::NULLABLE, values: Values::Text(values) });
        self
    }

    column!(/** A column of 32-bit integers. */ int, Int, i32);
    column!(/** A column of 64-bit integers. */ big, Big, i64);
    column!(/** A column of floating-point numbers. */ real, Real, f64);
    column!(/** A column of booleans. */ bool, Bool, bool);
    column!(/** A column of times. */ time, Time, DateTime<Utc>);

    fn postgres(self, first: usize) -> (String, Vec<Value>) {
        let constant = self.constant();
        let (mut listed, mut arrays, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut values = Vec::with_capacity(self.columns.len());
        for (column, constant) in self.columns.into_iter().zip(&constant) {
            let (name, kind, number) = (column.name, column.values.postgres_type(), first + values.len());
            if *constant {
                match column.values.single() {
                    Some(value) => {
                        listed.push(format!("${number}::{kind} AS {name}"));
                        values.push(value);
                    }
                    None => listed.push(format!("NULL::{kind} AS {name}")),
                }
            } else {
                let through = if column.nullable { "::text" } else { "" };
                arrays.push(format!("${number}{through}::{kind}[]"));
                listed.push(name.to_owned());
                names.push(name);
                values.push(column.into_value());
            }
        }
        let (arrays, names, listed) = (arrays.join(", "), names.join(", "), listed.join(", "));
        let sql = if constant.contains(&true) {
            format!("(SELECT {listed} FROM UNNEST({arrays}) AS given({names})) AS {}", self.name)
        } else {
            format!("UNNEST({arrays}) AS {}({names})", self.name)
        };
        (sql, values)
    }

    fn sqlite(self, first: usize) -> (String, Vec<Value>) {
        let constant = self.constant();
        let mut varying: Vec<Values> = Vec::new();
        let mut values: Vec<Value> = vec![Value::String(None)];
        let mut listed = Vec::new();
        for (Column { name, values: column, .. }, constant) in self.columns.into_iter().zip(constant) {
            if !constant {
                listed.push(format!("{} AS {name}", column.sqlite_expression(varying.len())));
                varying.push(column);
            } else if let Some(value) = column.single() {
                listed.push(format!("${} AS {name}", first + values.len()));
                values.push(value);
            } else {
                listed.push(format!("NULL AS {name}"));
            }
        }
        let sql = format!("(SELECT {} FROM json_each(${first})) AS {}", listed.join(", "), self.name);
        let rows = varying.first().map_or(0, Values::len);
        let rows: Vec<Json> = (0..rows)
            .map(|row| Json::Array(varying.iter().map(|values| values.json(row)).collect()))
            .collect();
        values[0] = Json::Array(rows).to_string().into();
        (sql, values)
    }

    /// Which columns have one value in every row: it travels once, and is read once. The first column never is one, for it says how many rows
    /// there are.
    fn constant(&self) -> Vec<bool> {
        let columns = self.columns.iter().enumerate();
        columns.map(|(index, column)| index > 0 && column.values.is_constant()).collect()
    }
}

impl Column {
    fn into_value(self) -> Value {
        if self.nullable { self.values.literal().into() } else { self.values.into_array() }
    }
}

impl Values {
    /// Postgres's text form of an array: `{"a",NULL}`.
    fn literal(&self) -> String {
        let mut text = String::from("{");
        for row in 0..self.len() {
            if row > 0 {
                text.push(',');
            }
            match self.text(row) {
                None => text.push_str("NULL"),
                Some(value) => {
                    text.push('"');
                    for letter in value.chars() {
                        if matches!(letter, '"' | '\\') {
                            text.push('\\');
                        }
                        text.push(letter);
                    }
                    text.push('"');
                }
            }
        }
        text.push('}');
        text
    }

    fn text(&self, row: usize) -> Option<String> {
        match self {
            Self::Uuid(values) => values[row].map(|id| id.to_string()),
            Self::Text(values) => values[row].clone(),
            Self::Int(values) => values[row].map(|number| number.to_string()),
            Self::Big(values) => values[row].map(|number| number.to_string()),
            Self::Real(values) => values[row].map(|number| number.to_string()),
            Self::Bool(values) => values[row].map(|flag| flag.to_string()),
            Self::Time(values) => values[row].map(|time| time.to_rfc3339()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Uuid(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Big(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Time(values) => values.len(),
        }
    }

    /// Whether there are rows, and all have the same value.
    fn is_constant(&self) -> bool {
        fn same<T: PartialEq>(values: &[T]) -> bool {
            values.split_first().is_some_and(|(first, rest)| rest.iter().all(|value| value == first))
        }
        match self {
            Self::Uuid(values) => same(values),
            Self::Text(values) => same(values),
            Self::Int(values) => same(values),
            Self::Big(values) => same(values),
            Self::Real(values) => same(values),
            Self::Bool(values) => same(values),
            Self::Time(values) => same(values),
        }
    }

    /// The value of the first row, unless it is missing.
    fn single(self) -> Option<Value> {
        fn first<T: Into<Value>>(values: Vec<Option<T>>) -> Option<Value> {
            values.into_iter().next().flatten().map(Into::into)
        }
        match self {
            Self::Uuid(values) => first(values),
            Self::Text(values) => first(values),
            Self::Int(values) => first(values),
            Self::Big(values) => first(values),
            Self::Real(values) => first(values),
            Self::Bool(values) => first(values),
            Self::Time(values) => first(values),
        }
    }

    fn postgres_type(&self) -> &'static str {
        match self {
            Self::Uuid(_) => "uuid",
            Self::Text(_) => "text",
            Self::Int(_) => "integer",
            Self::Big(_) => "bigint",
            Self::Real(_) => "double precision",
            Self::Bool(_) => "boolean",
            Self::Time(_) => "timestamptz",
        }
    }

    fn sqlite_expression(&self, index: usize) -> String {
        match self {
            Self::Uuid(_) => format!("unhex(value ->> {index})"),
            _ => format!("value ->> {index}"),
        }
    }

    fn json(&self, row: usize) -> Json {
        match self {
            Self::Uuid(values) => values[row].map_or(Json::Null, |id| id.simple().to_string().into()),
            Self::Text(values) => values[row].clone().map_or(Json::Null, Json::String),
            Self::Int(values) => values[row].into(),
            Self::Big(values) => values[row].into(),
            Self::Real(values) => values[row].into(),
            Self::Bool(values) => values[row].map_or(Json::Null, |value| i32::from(value).into()),
            Self::Time(values) => values[row].map_or(Json::Null, |time| sqlite_time(time).into()),
        }
    }

    fn into_array(self) -> Value {
        fn array<T: Into<Value>>(array_type: ArrayType, values: Vec<Option<T>>) -> Value
        where
            Option<T>: Into<Value>,
        {
            let values = values.into_iter().flatten().map(|value| Some(value).into());
            Value::Array(array_type, Some(Box::new(values.collect())))
        }
        match self {
            Self::Uuid(values) => array(ArrayType::Uuid, values),
            Self::Text(values) => array(ArrayType::String, values),
            Self::Int(values) => array(ArrayType::Int, values),
            Self::Big(values) => array(ArrayType::BigInt, values),
            Self::Real(values) => array(ArrayType::Double, values),
            Self::Bool(values) => array(ArrayType::Bool, values),
            Self::Time(values) => array(ArrayType::ChronoDateTimeUtc, values),
        }
    }
}

/// A time as the SQLite driver writes it, so that texts written either way compare as times do.
fn sqlite_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

/// A statement put together from texts, single values and row sets, with its parameters numbered as they come.
#[derive(Debug)]
pub struct Sql {
    backend: DbBackend,
    sql: String,
    values: Vec<Value>,
}

impl Sql {
    /// An empty statement for `backend`.
    #[must_use]
    pub fn new(backend: DbBackend) -> Self {
        Self { backend, sql: String::new(), values: Vec::new() }
    }

    /// Whether it is for Postgres.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.backend == DbBackend::Postgres
    }

    /// Text that both databases read the same.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.sql.push_str(text);
        self
    }

    /// Text that only Postgres gets, in row locks above all: SQLite has one writer and no need of them.
    #[must_use]
    pub fn on_postgres(mut self, text: &str) -> Self {
        if self.backend == DbBackend::Postgres {
            self.sql.push_str(text);
        }
        self
    }

    /// The one text for Postgres, the other for SQLite.
    #[must_use]
    pub fn either(mut self, postgres: &str, sqlite: &str) -> Self {
        self.sql.push_str(if self.backend == DbBackend::Postgres { postgres } else { sqlite });
        self
    }

    /// A single value.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self.sql.push('$');
        self.sql.push_str(&self.values.len().to_string());
        self
    }

    /// A time that is known, or that the server finds out.
    #[must_use]
    pub fn moment(self, moment: Moment) -> Self {
        match moment {
            Moment::At(time) => self.bind(time).on_postgres("::timestamptz"),
            Moment::OnReceipt(offset) if offset.is_zero() => self.text("statement_timestamp()"),
            Moment::OnReceipt(offset) => self
                .text("(statement_timestamp() + ")
                .bind(offset.num_microseconds())
                .text(" * INTERVAL '1 microsecond')"),
        }
    }

    /// A row set, as a table to select from.
    #[must_use]
    pub fn rows(mut self, rows: RowSet) -> Self {
        let first = self.values.len() + 1;
        let (sql, values) =
            if self.backend == DbBackend::Postgres { rows.postgres(first) } else { rows.sqlite(first) };
        self.sql.push_str(&sql);
        self.values.extend(values);
        self
    }

    /// A set of ids, to stand behind `=` (`id = ANY(..)`) on Postgres and `IN` on SQLite: `column` is compared with it.
    #[must_use]
    pub fn any_of(self, column: &str, ids: impl IntoIterator<Item = Uuid>) -> Self {
        let rows = RowSet::new("wanted").uuid("wanted_id", ids);
        self.text(column).text(" IN (SELECT wanted_id FROM ").rows(rows).text(")")
    }

    /// The statement.
    #[must_use]
    pub fn build(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.sql, self.values)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::testing::TestDatabase;
    use sea_orm::ConnectionTrait;

    #[tokio::test]
    async fn rows_arrive_as_they_were_given_on_both_databases() {
        for database in TestDatabase::each().await {
            let database = database.database();
            let ids = [Uuid::now_v7(), Uuid::now_v7()];
            let now = crate::clock::machine_now();
            let rows = RowSet::new("r")
                .uuid("id", ids)
                .string("name", [Some("a \"quoted\" 'name', \\ and {braces}".to_owned()), None])
                .int("number", [Some(-7), None])
                .big("large", [1_i64 << 40, 0])
                .time("missing", [None, Some(now)])
                .uuid("other", [Some(ids[1]), None])
                .real("share", [0.5, 1e-9])
                .bool("flag", [true, false])
                .time("at", [now, now]);
            let statement =
                Sql::new(database.backend()).text("SELECT * FROM ").rows(rows).text(" ORDER BY id").build();
            let found = database.read().query_all_raw(statement).await.unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(found[0].try_get::<Uuid>("", "id").unwrap(), ids[0]);
            assert_eq!(
                found[0].try_get::<String>("", "name").unwrap(),
                "a \"quoted\" 'name', \\ and {braces}"
            );
            assert_eq!(found[1].try_get::<Option<String>>("", "name").unwrap(), None);
            assert!((found[1].try_get::<f64>("", "share").unwrap() - 1e-9).abs() < 1e-15);
            assert_eq!(found[0].try_get::<DateTime<Utc>>("", "at").unwrap(), now);
            assert_eq!(found[1].try_get::<Option<DateTime<Utc>>>("", "missing").unwrap(), Some(now));
            assert_eq!(found[0].try_get::<Option<Uuid>>("", "other").unwrap(), Some(ids[1]));
        }
    }

    #[tokio::test]
    async fn a_column_with_one_value_arrives_in_every_row() {
        for database in TestDatabase::each().await {
            let database = database.database();
            let (ids, other) = ([Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()], Uuid::now_v7());
            let now = crate::clock::machine_now();
            let rows = RowSet::new("r")
                .uuid("id", ids)
                .string("name", ["it's \"quoted\""; 3].map(ToOwned::to_owned))
                .string("none", [None::<String>, None, None])
                .int("number", [7; 3])
                .big("large", [Some(1_i64 << 40); 3])
                .time("at", [now; 3])
                .int("varying", [1, 2, 3])
                .uuid("other", [Some(other); 3])
                .real("share", [0.5; 3])
                .bool("flag", [true; 3]);
            let statement = Sql::new(database.backend())
                .text("SELECT * FROM ")
                .rows(rows)
                .text(" ORDER BY varying")
                .build();
            let found = database.read().query_all_raw(statement).await.unwrap();
            assert_eq!(found.len(), 3);
            for (row, (id, varying)) in found.iter().zip(ids.into_iter().zip(1..)) {
                assert_eq!(row.try_get::<Uuid>("", "id").unwrap(), id);
                assert_eq!(row.try_get::<i32>("", "varying").unwrap(), varying);
                assert_eq!(row.try_get::<String>("", "name").unwrap(), "it's \"quoted\"");
                assert_eq!(row.try_get::<Option<String>>("", "none").unwrap(), None);
                assert_eq!(row.try_get::<i32>("", "number").unwrap(), 7);
                assert_eq!(row.try_get::<i64>("", "large").unwrap(), 1 << 40);
                assert_eq!(row.try_get::<DateTime<Utc>>("", "at").unwrap(), now);
                assert_eq!(row.try_get::<Uuid>("", "other").unwrap(), other);
                assert!((row.try_get::<f64>("", "share").unwrap() - 0.5).abs() < 1e-15);
                assert!(row.try_get::<bool>("", "flag").unwrap());
            }
        }
    }

    #[test]
    fn the_text_does_not_depend_on_the_number_of_rows() {
        let text = |count: usize| {
            let ids = (0..count).map(|_| Uuid::now_v7());
            Sql::new(DbBackend::Postgres).text("DELETE FROM t WHERE ").any_of("id", ids).build().sql
        };
        assert_eq!(text(1), text(100));
    }
}
