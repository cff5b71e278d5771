//! Handlers of each sort stand every trial of the harness, and one that does not is found.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Handler, Outcome, Turn, Tx};
use ackord_consumers::testing::{Candidate, Harness};
use ackord_entities::database::{Database, Sql};
use ackord_entities::ids::JobId;
use async_trait::async_trait;
use sea_orm::ConnectionTrait;

use crate::effects::{effects, make_effects, write_effect};
use crate::kinds::{Long, Noted, Scripted, Short, Work};

/// A kind of the engine's tests.
struct Sample<J>(J);

async fn everything(database: &Database) -> String {
    let statement =
        Sql::new(database.backend()).text("SELECT job_id, note FROM effects ORDER BY job_id, note").build();
    let rows = database.read().query_all_raw(statement).await.unwrap();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row.try_get_by_index::<String>(0).unwrap(),
                row.try_get_by_index::<String>(1).unwrap()
            )
        })
        .collect();
    lines.join("\n")
}

async fn successes(database: &Database, job: JobId) -> u64 {
    effects(database, job).await.iter().filter(|note| !note.starts_with("abandoned")).count() as u64
}

#[async_trait]
impl<J: Noted> Candidate for Sample<J> {
    type Handler = Scripted<J>;

    fn handler(&self) -> Scripted<J> {
        Scripted::new()
    }

    fn sample(&self) -> J {
        self.0.clone()
    }

    async fn prepare(&self, database: &Database) {
        make_effects(database).await;
    }

    async fn effects(&self, database: &Database, job: JobId) -> u64 {
        successes(database, job).await
    }

    async fn snapshot(&self, database: &Database) -> String {
        everything(database).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_kind_stands_every_trial() {
    Harness::new(Sample(Short::keyed("tea", "k"))).run().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_with_both_halves_stands_every_trial() {
    Harness::new(Sample(Work::new("tea"))).run().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handed_over_kind_stands_every_trial() {
    Harness::new(Sample(Long::keyed("tea", "graph:one"))).run().await;
}

/// Its group half forgets the last job.
struct Careless;

#[async_trait]
impl Handler for Careless {
    type Job = Short;
    type Output = ();

    async fn commit(&self, turn: &Turn<Short>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write_effect(tx, turn.id, &turn.job.note).await?;
        Ok(Outcome::succeeded())
    }

    async fn commit_group(
        &self,
        work: &[(&Turn<Short>, &())],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError> {
        for (turn, ()) in work.iter().take(work.len().max(2) - 1) {
            self.commit(turn, &(), tx).await?;
        }
        Ok(vec![Outcome::succeeded(); work.len()])
    }
}

#[async_trait]
impl Candidate for Careless {
    type Handler = Self;

    fn handler(&self) -> Self {
        Self
    }

    fn sample(&self) -> Short {
        Short::new("tea")
    }

    async fn prepare(&self, database: &Database) {
        make_effects(database).await;
    }

    async fn effects(&self, database: &Database, job: JobId) -> u64 {
        successes(database, job).await
    }

    async fn snapshot(&self, database: &Database) -> String {
        everything(database).await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "commit and commit_group do the same")]
async fn a_group_half_that_forgets_a_job_is_found() {
    Harness::new(Careless).group_and_single_commits_do_the_same().await;
}
