//! `processes`: who works on this database at the moment, and as what.
//!
//! A process writes its row when it starts, touches it every [`BEAT`] and removes it when it ends in order. A row that nobody
//! has touched for [`SILENCE`] belongs to a process that died or froze.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, QueryOrder};

use crate::database::Sql;

/// The time between two signs of life.
pub const BEAT: Duration = Duration::from_secs(10);
/// After this long without a sign of life a process counts as dead.
pub const SILENCE: Duration = Duration::from_secs(35);

/// A process.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "processes")]
pub struct Model {
    /// Its name, unlike that of any other process: also the worker's name in attempts and logs.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// What it does, joined by commas: see [`roles_of`].
    pub roles: String,
    /// The machine.
    pub host: String,
    /// Its number on that machine.
    pub process: i64,
    /// The program's version.
    pub version: String,
    /// `embedded`, or the broker's URL without its credentials.
    pub broker: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Its newest sign of life.
    pub seen_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// A part of the engine that some process has to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Performs and commits jobs.
    Work,
    /// Keeps what the broker gave up.
    Archive,
    /// Moves messages from the outbox to the broker.
    Relay,
    /// Puts the jobs of lost workers back and removes what is old.
    Upkeep,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Work, Self::Archive, Self::Relay, Self::Upkeep];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Archive => "archive",
            Self::Relay => "relay",
            Self::Upkeep => "upkeep",
        }
    }
}

/// The stored form of a set of roles.
#[must_use]
pub fn joined(roles: &BTreeSet<Role>) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",")
}

/// The roles of a process. One that this program does not know is passed over: a newer program may run beside it.
#[must_use]
pub fn roles_of(process: &Model) -> BTreeSet<Role> {
    let known = |name| Role::ALL.into_iter().find(|role| role.name() == name);
    process.roles.split(',').filter_map(known).collect()
}

/// The roles that none of `processes` has.
#[must_use]
pub fn missing_roles(processes: &[Model]) -> Vec<Role> {
    let run: BTreeSet<Role> = processes.iter().flat_map(roles_of).collect();
    Role::ALL.into_iter().filter(|role| !run.contains(role)).collect()
}

/// Writes a process that starts. Rows that were silent for a day go.
///
/// # Errors
/// Whatever the database answers.
pub async fn register(tx: &DatabaseTransaction, process: Model) -> Result<(), DbErr> {
    const LONG_GONE: TimeDelta = TimeDelta::days(1);
    Entity::delete_many().filter(Column::SeenAt.lt(process.seen_at - LONG_GONE)).exec(tx).await?;
    let row = ActiveModel {
        name: Set(process.name),
        roles: Set(process.roles),
        host: Set(process.host),
        process: Set(process.process),
        version: Set(process.version),
        broker: Set(process.broker),
        started_at: Set(process.started_at),
        seen_at: Set(process.seen_at),
    };
    Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

/// A sign of life. Answers whether the process was still listed.
///
/// # Errors
/// Whatever the database answers.
pub async fn beat(connection: &impl ConnectionTrait, name: &str, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE processes SET seen_at = ")
        .bind(now)
        .text(" WHERE name = ")
        .bind(name)
        .build();
    Ok(connection.execute_raw(statement).await?.rows_affected() == 1)
}

/// Takes a process off the list.
///
/// # Errors
/// Whatever the database answers.
pub async fn leave(connection: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    Entity::delete_by_id(name.to_owned()).exec(connection).await?;
    Ok(())
}

/// One process of the list, whether alive or not.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait, name: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(name.to_owned()).one(connection).await
}

/// Everybody on the list, the oldest first, whether alive or not.
///
/// # Errors
/// Whatever the database answers.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_asc(Column::StartedAt).order_by_asc(Column::Name).all(connection).await
}

/// Those who gave a sign of life lately.
///
/// # Errors
/// Whatever the database answers.
pub async fn alive(connection: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Vec<Model>, DbErr> {
    let mut processes = all(connection).await?;
    processes.retain(|process| !is_silent(process, now));
    Ok(processes)
}

/// Whether it gave no sign of life for so long that it counts as dead.
#[must_use]
pub fn is_silent(process: &Model, now: DateTime<Utc>) -> bool {
    process.seen_at <= now - TimeDelta::from_std(SILENCE).unwrap_or(TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rstest::rstest;
    use sea_orm::DbBackend;

    use super::*;
    use crate::testing::TestDatabase;

    fn process(name: &str, roles: &[Role], now: DateTime<Utc>) -> Model {
        Model {
            name: name.to_owned(),
            roles: joined(&roles.iter().copied().collect()),
            host: "here".to_owned(),
            process: 7,
            version: "0.1.0".to_owned(),
            broker: "embedded".to_owned(),
            started_at: now,
            seen_at: now,
        }
    }

    #[rstest]
    #[tokio::test]
    async fn a_process_is_listed_until_it_is_silent_or_leaves(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::open(backend).await else { return };
        let database = test.database();
        let now = database.clock().now(database.read()).await.unwrap();
        let tx = database.begin().await.unwrap();
        register(&tx, process("silent", &[Role::Relay], now)).await.unwrap();
        register(&tx, process("lively", &[Role::Work, Role::Archive], now)).await.unwrap();
        tx.commit().await.unwrap();

        let later = now + TimeDelta::from_std(SILENCE).unwrap();
        assert!(beat(database.write(), "lively", later).await.unwrap());
        assert!(!beat(database.write(), "nobody", later).await.unwrap());
        let alive_then = alive(test.reopen().await.read(), later).await.unwrap();
        assert_eq!(alive_then.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["lively"]);
        assert_eq!(missing_roles(&alive_then), [Role::Relay, Role::Upkeep]);

        leave(database.write(), "lively").await.unwrap();
        assert_eq!(all(database.read()).await.unwrap().len(), 1);
    }

    #[test]
    fn a_role_of_a_newer_program_is_passed_over() {
        let now = crate::clock::machine_now();
        let mut one = process("one", &[], now);
        one.roles = "work,dream,relay".to_owned();
        assert_eq!(roles_of(&one), BTreeSet::from([Role::Work, Role::Relay]));
    }
}
