//! A bad job harms nobody: not its group, not its worker, and it leaves no trace but its attempt.

use std::sync::Arc;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Handler, Outcome, Turn, Tx};
use ackord_consumers::registry::Registry;
use ackord_entities::ids::JobId;
use ackord_entities::queue::attempt::Outcome as Attempt;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::Publish;
use async_trait::async_trait;
use sea_orm::ConnectionTrait;
use tokio::sync::Mutex;

use crate::effects::{write_effect, write_unique_effect};
use crate::kinds::{Calls, Scripted, Short, Work};
use crate::steps::{
    attempts_of, effects_of, in_transaction, letters_of, permanent, quiet, reasons, staged, transient,
};

/// Publishes jobs in one transaction, so that one delivery batch and one group has them all.
async fn publish_together(stage: &ackord_consumers::testing::Stage, notes: &[&str]) -> Vec<JobId> {
    let jobs: Vec<Short> = notes.iter().map(|note| Short::new(note)).collect();
    let published = in_transaction(stage, async |tx, now| {
        ackord_producer::enqueue_all(tx, &jobs, &Publish::at(now)).await.unwrap()
    });
    published.await.into_iter().map(|one| one.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_slow_half_is_an_attempt() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|turn, _| {
            Box::pin(async move {
                assert_ne!(turn.attempt, 1, "a bad moment");
                Ok("fine".to_owned())
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        assert_eq!(attempts_of(&stage, id).await, [(1, Attempt::Panicked, Some("panicked".to_owned()))]);
        assert_eq!(effects_of(&stage, id).await, ["fine"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_short_half_rolls_back_and_spares_its_group() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_effect(tx, turn.id, &turn.job.note).await?;
                assert_ne!(turn.job.note, "bad", "a bad job");
                Ok(Outcome::succeeded())
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let ids = publish_together(&stage, &["one", "bad", "two"]).await;
        let bad = stage.ended(ids[1]).await;
        assert_eq!((bad.state, bad.attempt), (JobState::Dead, 3));
        assert_eq!(bad.error_code.as_deref(), Some("panicked"));
        assert!(!bad.public_error.unwrap().contains("a bad job"), "a panic's text is for operators");
        assert_eq!(effects_of(&stage, ids[1]).await, ["abandoned: panicked"]);
        for (id, note) in [(ids[0], "one"), (ids[2], "two")] {
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
            assert_eq!(effects_of(&stage, id).await, [note]);
        }
        stage.stop().await;
    }
}

/// Notes which calls it got together, and refuses a group with a bad job.
struct Grouping {
    groups: Arc<Mutex<Vec<Vec<String>>>>,
    alone: Calls,
}

#[async_trait]
impl Handler for Grouping {
    type Job = Short;
    type Output = ();

    async fn commit(&self, turn: &Turn<Short>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        self.alone.count(&turn.job.note);
        write_effect(tx, turn.id, &turn.job.note).await?;
        if turn.job.note == "bad" { Err(permanent("bad")) } else { Ok(Outcome::succeeded()) }
    }

    async fn commit_group(
        &self,
        work: &[(&Turn<Short>, &())],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError> {
        self.groups.lock().await.push(work.iter().map(|(turn, ())| turn.job.note.clone()).collect());
        for (turn, ()) in work {
            write_effect(tx, turn.id, &turn.job.note).await?;
        }
        if work.iter().any(|(turn, ())| turn.job.note == "bad") {
            return Err(transient("somebody in the group"));
        }
        let short_of_one = usize::from(work.iter().any(|(turn, ())| turn.job.note == "miscounted"));
        Ok(vec![Outcome::succeeded(); work.len() - short_of_one])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_a_bad_job_is_taken_apart_and_commits_the_others() {
    for database in TestDatabase::each().await {
        let groups = Arc::new(Mutex::default());
        let handler = Grouping { groups: Arc::clone(&groups), alone: Calls::default() };
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let ids = publish_together(&stage, &["one", "bad", "two"]).await;
        stage.start(ackord_consumers::testing::StageOptions::default());
        let bad = stage.ended(ids[1]).await;
        assert_eq!((bad.state, bad.attempt), (JobState::Dead, 1));
        assert!(effects_of(&stage, ids[1]).await.is_empty());
        assert_eq!(attempts_of(&stage, ids[1]).await, [(1, Attempt::Errored, Some("bad".to_owned()))]);
        for (id, note) in [(ids[0], "one"), (ids[2], "two")] {
            assert_eq!(stage.ended(id).await.attempt, 1);
            assert_eq!(effects_of(&stage, id).await, [note]);
            assert!(attempts_of(&stage, id).await.is_empty());
        }
        let with_bad = groups.lock().await.iter().filter(|group| group.contains(&"bad".to_owned())).count();
        assert_eq!(with_bad, 1, "never back to the group for the same set");
        assert_eq!(groups.lock().await[0].len(), 3, "they were one group");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_half_that_answers_too_few_outcomes_is_not_believed() {
    for database in TestDatabase::each().await {
        let alone = Calls::default();
        let handler = Grouping { groups: Arc::default(), alone: alone.clone() };
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let ids = publish_together(&stage, &["one", "miscounted"]).await;
        stage.start(ackord_consumers::testing::StageOptions::default());
        for (id, note) in [(ids[0], "one"), (ids[1], "miscounted")] {
            assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
            assert_eq!(effects_of(&stage, id).await, [note]);
        }
        assert_eq!((alone.of("one"), alone.of("miscounted")), (1, 1));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_writes_and_then_fails_leaves_only_its_attempts() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_effect(tx, turn.id, &format!("attempt {}", turn.attempt)).await?;
                ackord_producer::enqueue(tx.connection(), &Work::new("child"), &turn.follow_up(tx)).await?;
                if turn.attempt == 1 { Err(transient("late")) } else { Ok(Outcome::succeeded()) }
            })
        });
        let registry = Registry::new().with(handler).with(Scripted::<Work>::new());
        let mut stage = staged(database, registry).await;
        let id = stage.publish(&Short::new("tea")).await;
        stage.ended(id).await;
        assert_eq!(effects_of(&stage, id).await, ["attempt 2"]);
        let filter = ackord_entities::queue::job::Filter { parent: Some(id), ..Default::default() };
        let children = ackord_entities::queue::job::list(stage.database.read(), &filter, 10).await.unwrap();
        assert_eq!(children.len(), 1, "the follow-up of the failed attempt was rolled back");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_constraint_is_the_fault_of_the_job_that_broke_it() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_unique_effect(tx, turn.id, &turn.job.note).await?;
                Ok(Outcome::succeeded())
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let first = stage.publish(&Short::new("only one")).await;
        stage.ended(first).await;
        let ids = publish_together(&stage, &["only one", "another"]).await;
        let refused = stage.ended(ids[0]).await;
        assert_eq!((refused.state, refused.attempt), (JobState::Dead, 3), "another job may free the name");
        assert_eq!(refused.error_code.as_deref(), Some("database"));
        assert!(!refused.public_error.unwrap().contains("effects"), "no table for everybody");
        assert_eq!(stage.ended(ids[1]).await.state, JobState::Succeeded);
        assert_eq!(reasons(&letters_of(&stage, ids[0]).await), [Reason::AttemptsExhausted]);
        stage.stop().await;
    }
}

/// On Postgres a failed statement spoils the transaction, whatever the handler makes of the error.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_hides_a_failed_statement_harms_nobody_else() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                if turn.job.note == "sly" {
                    let _ = tx.execute_unprepared("INSERT INTO no_such_table VALUES (1)").await;
                } else {
                    write_effect(tx, turn.id, &turn.job.note).await?;
                }
                Ok(Outcome::succeeded())
            })
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let ids = publish_together(&stage, &["one", "sly", "two"]).await;
        stage.start(ackord_consumers::testing::StageOptions::default());
        for (id, note) in [(ids[0], "one"), (ids[2], "two")] {
            assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
            assert_eq!(effects_of(&stage, id).await, [note]);
        }
        let sly = stage.ended(ids[1]).await.state;
        let spoiled = stage.database.backend() == sea_orm::DbBackend::Postgres;
        assert_eq!(sly, if spoiled { JobState::Dead } else { JobState::Succeeded });
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_is_checked_at_the_end_is_still_the_fault_of_its_job() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_effect(tx, turn.id, &turn.job.note).await?;
                if turn.job.note == "orphan" {
                    tx.execute_unprepared("INSERT INTO leaves (branch) VALUES (7)").await?;
                }
                Ok(Outcome::succeeded())
            })
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        for statement in [
            "CREATE TABLE branches (id integer PRIMARY KEY)",
            "CREATE TABLE leaves (branch integer REFERENCES branches (id) DEFERRABLE INITIALLY DEFERRED)",
        ] {
            stage.database.write().execute_unprepared(statement).await.unwrap();
        }
        let ids = publish_together(&stage, &["one", "orphan", "two"]).await;
        stage.start(ackord_consumers::testing::StageOptions::default());
        for (id, note) in [(ids[0], "one"), (ids[2], "two")] {
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
            assert_eq!(effects_of(&stage, id).await, [note]);
        }
        let orphan = stage.ended(ids[1]).await;
        assert_eq!((orphan.state, orphan.attempt), (JobState::Dead, 3));
        assert_eq!(effects_of(&stage, ids[1]).await, ["abandoned: database"]);
        stage.stop().await;
    }
}
