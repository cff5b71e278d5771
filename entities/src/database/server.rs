//! What a database server says about itself.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// A database server, or SQLite in this process.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ServerFacts {
    /// Product and version.
    pub product: String,
    /// The version's first number.
    pub major: u32,
    /// The version of TLS by which the server is reached; behind a pooler, by which the pooler reaches it. `None`: nothing is
    /// encrypted. Always so on SQLite, where nothing travels.
    pub tls: Option<String>,
    /// Settings that make a commit less than durable, as `name = value`.
    pub not_durable: Vec<String>,
    /// Connections that the server allows to programs, and how many are open now. `None` on SQLite.
    pub connections: Option<Connections>,
}

/// Connections of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Connections {
    /// Open at most, without those that are reserved for administrators.
    pub allowed: i64,
    /// Open now, of everybody.
    pub open: i64,
}

/// Asks.
///
/// # Errors
/// Whatever the database answers.
pub async fn facts(connection: &impl ConnectionTrait) -> Result<ServerFacts, DbErr> {
    match connection.get_database_backend() {
        DbBackend::Postgres => postgres(connection).await,
        _ => sqlite(connection).await,
    }
}

async fn postgres(connection: &impl ConnectionTrait) -> Result<ServerFacts, DbErr> {
    let sql = "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000, \
        current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'), \
        current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint, \
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
        (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid())";
    let row = one(connection, sql).await?;
    let text = |index| row.try_get_by_index::<String>(index);
    let durable = ["fsync", "synchronous_commit", "full_page_writes"];
    let mut not_durable = Vec::new();
    for (index, name) in (2..).zip(durable) {
        let value = text(index)?;
        if value == "off" {
            not_durable.push(format!("{name} = {value}"));
        }
    }
    Ok(ServerFacts {
        product: format!("PostgreSQL {}", text(0)?),
        major: u32::try_from(row.try_get_by_index::<i32>(1)?).unwrap_or_default(),
        tls: row.try_get_by_index(7)?,
        not_durable,
        connections: Some(Connections { allowed: row.try_get_by_index(5)?, open: row.try_get_by_index(6)? }),
    })
}

async fn sqlite(connection: &impl ConnectionTrait) -> Result<ServerFacts, DbErr> {
    let version: String = one(connection, "SELECT sqlite_version()").await?.try_get_by_index(0)?;
    // Every connection that ackord opens waits for the disk at each commit.
    Ok(ServerFacts {
        product: format!("SQLite {version}"),
        major: 3,
        tls: None,
        not_durable: Vec::new(),
        connections: None,
    })
}

async fn one(connection: &impl ConnectionTrait, sql: &str) -> Result<sea_orm::QueryResult, DbErr> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the server's settings gave no row".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::testing::TestDatabase;

    #[tokio::test]
    async fn each_database_names_itself() {
        for test in TestDatabase::each().await {
            let facts = facts(test.database().read()).await.unwrap();
            let is_server = test.database().backend() == DbBackend::Postgres;
            assert_eq!(facts.product.starts_with("PostgreSQL "), is_server, "{facts:?}");
            assert_eq!(facts.connections.is_some_and(|found| found.open > 0), is_server, "{facts:?}");
            assert!(facts.major >= 3, "{facts:?}");
        }
    }
}
