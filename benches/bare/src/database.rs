//! The database: a row that claims each job, a row that is its effect, and the transactions that write them.

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

/// A job as it came: its id and its note.
pub(crate) type Job = (Uuid, String);

/// The schema of this program.
pub(crate) struct Table {
    client: Client,
}

/// Opens a connection; its task ends with the client.
async fn connect(url: &str) -> Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.context("the database cannot be reached")?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("the database's connection ended: {error}");
        }
    });
    Ok(client)
}

impl Table {
    /// Makes the schema anew.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let table = Self { client: connect(url).await? };
        table.remove().await?;
        table
            .client
            .batch_execute(
                "CREATE SCHEMA ackord_bare; \
                 CREATE TABLE ackord_bare.jobs (id uuid PRIMARY KEY, state text NOT NULL, finished_at timestamptz NOT NULL); \
                 CREATE TABLE ackord_bare.effects (job_id uuid PRIMARY KEY, note text NOT NULL)",
            )
            .await?;
        Ok(table)
    }

    /// Figures of a database that forgets are none.
    pub(crate) async fn check_durable(&self) -> Result<()> {
        for setting in ["fsync", "synchronous_commit"] {
            let row = self.client.query_one("SELECT current_setting($1)", &[&setting]).await?;
            let value: String = row.get(0);
            if value != "on" {
                bail!(
                    "{setting} is {value}: the figures would be of a database that loses what it has committed"
                );
            }
        }
        Ok(())
    }

    /// Every job has its claim and its effect, once; then both tables are emptied.
    pub(crate) async fn audit(&self, jobs: usize) -> Result<()> {
        let sql =
            "SELECT (SELECT count(*) FROM ackord_bare.jobs), (SELECT count(*) FROM ackord_bare.effects)";
        let row = self.client.query_one(sql, &[]).await?;
        let (claims, effects): (i64, i64) = (row.get(0), row.get(1));
        let wanted = i64::try_from(jobs)?;
        ensure!(
            (claims, effects) == (wanted, wanted),
            "of {jobs} jobs {claims} were claimed and {effects} had their effect"
        );
        self.client.batch_execute("TRUNCATE ackord_bare.jobs, ackord_bare.effects").await?;
        Ok(())
    }

    /// Removes the schema.
    pub(crate) async fn remove(&self) -> Result<()> {
        Ok(self.client.batch_execute("DROP SCHEMA IF EXISTS ackord_bare CASCADE").await?)
    }
}

/// A connection that commits groups.
pub(crate) struct Committer {
    client: Client,
    claim: Statement,
    effects: Statement,
    effect: Statement,
}

impl Committer {
    /// Connects and prepares.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let client = connect(url).await?;
        let claim = client
            .prepare("INSERT INTO ackord_bare.jobs (id, state, finished_at) SELECT id, 'succeeded', now() FROM UNNEST($1::uuid[]) AS r (id) ON CONFLICT (id) DO NOTHING RETURNING id")
            .await?;
        let effects = client
            .prepare("INSERT INTO ackord_bare.effects (job_id, note) SELECT id, note FROM UNNEST($1::uuid[], $2::text[]) AS r (id, note)")
            .await?;
        let effect = client.prepare("INSERT INTO ackord_bare.effects (job_id, note) VALUES ($1, $2)").await?;
        Ok(Self { client, claim, effects, effect })
    }

    /// One transaction with a statement for all claims and one for all effects.
    pub(crate) async fn commit_set(&self, group: &[Job]) -> Result<()> {
        self.client.batch_execute("BEGIN").await?;
        let new = self.claim(group).await?;
        let (ids, notes): (Vec<Uuid>, Vec<&str>) =
            group.iter().filter(|(id, _)| new.contains(id)).map(|(id, note)| (*id, note.as_str())).unzip();
        self.client.execute(&self.effects, &[&ids, &notes]).await?;
        self.client.batch_execute("COMMIT").await?;
        Ok(())
    }

    /// One transaction with a statement for all claims, and a savepoint and a statement for each effect; what belongs to one job
    /// is sent together, and so are the jobs.
    pub(crate) async fn commit_each(&self, group: &[Job]) -> Result<()> {
        self.client.batch_execute("BEGIN").await?;
        let new = self.claim(group).await?;
        let effects = group.iter().filter(|(id, _)| new.contains(id)).map(|(id, note)| async move {
            let savepoint = self.client.batch_execute("SAVEPOINT job");
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [id, note];
            let effect = self.client.execute(&self.effect, &parameters);
            let release = self.client.batch_execute("RELEASE SAVEPOINT job");
            let (savepoint, effect, release) = futures::join!(savepoint, effect, release);
            savepoint.and(effect.map(drop)).and(release)
        });
        try_join_all(effects).await?;
        self.client.batch_execute("COMMIT").await?;
        Ok(())
    }

    /// Answers the jobs that were not there before.
    async fn claim(&self, group: &[Job]) -> Result<std::collections::HashSet<Uuid>> {
        let ids: Vec<Uuid> = group.iter().map(|(id, _)| *id).collect();
        let rows = self.client.query(&self.claim, &[&ids]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
