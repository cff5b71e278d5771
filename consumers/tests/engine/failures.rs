//! What becomes of a job that goes wrong: retried, deferred, failed, dead.

use std::time::Duration;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Failure, Outcome};
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{StageOptions, eventually};
use ackord_consumers::worker::WorkerOptions;
use ackord_entities::queue::attempt::Outcome as Attempt;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::outbox::Cause;
use ackord_entities::queue::state::{JobState, ShownState};
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::Held;
use ackord_producer::broker::topology::DEAD_LETTERS;
use sea_orm::{ConnectionTrait, DbBackend};

use crate::effects::write_effect;
use crate::kinds::{Calls, Hasty, Impatient, Long, Scripted, Short, Work};
use crate::steps::{
    advance, all_settled, attempts_of, effects_of, letters, letters_of, permanent, quiet, reasons, shown,
    staged, transient, waiting,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_error_is_retried_and_every_attempt_is_recorded() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|turn, _| {
            Box::pin(
                async move { if turn.attempt < 3 { Err(transient("busy")) } else { Ok("fine".to_owned()) } },
            )
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Succeeded, 3, 3));
        assert_eq!(job.error, None, "a success clears the error");
        assert_eq!(effects_of(&stage, id).await, ["fine"]);
        let busy = Some("busy".to_owned());
        assert_eq!(
            attempts_of(&stage, id).await,
            [(1, Attempt::Errored, busy.clone()), (2, Attempt::Errored, busy)]
        );
        all_settled::<Work>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_in_the_outbox_with_its_reason_and_not_with_a_worker() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Hasty>::new().perform(|turn, _| {
            Box::pin(
                async move { if turn.attempt == 1 { Err(transient("busy")) } else { Ok("fine".to_owned()) } },
            )
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Hasty::new("tea")).await;
        let message = eventually("the retry waits", async || {
            waiting(&stage, id).await.filter(|message| message.cause == Cause::Retry)
        })
        .await;
        assert_eq!((message.seq, message.reason.as_deref()), (2, Some("busy, this time")));
        assert!(message.due_at > crate::steps::now(&stage).await);
        assert_eq!(shown(&stage, id).await, ShownState::Retrying);
        all_settled::<Hasty>(&stage).await;
        advance(&stage, 60);
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        stage.stop().await;
    }
}

/// When the retry of a job is due that was told to leave somebody alone for `wait`, in seconds from the failure on.
async fn due_after(database: TestDatabase, wait: Duration) -> f64 {
    let handler = Scripted::<Work>::new().perform(move |turn, _| {
        Box::pin(async move {
            let failure = Failure::new("busy", "busy, this time");
            if turn.attempt == 1 {
                Err(JobError::TransientAfter { failure, wait })
            } else {
                Ok("fine".to_owned())
            }
        })
    });
    let mut stage = staged(database, Registry::new().with(handler)).await;
    let before = crate::steps::now(&stage).await;
    let id = stage.publish(&Work::new("tea")).await;
    let message = eventually("the retry waits", async || {
        waiting(&stage, id).await.filter(|message| message.cause == Cause::Retry)
    })
    .await;
    assert_eq!(attempts_of(&stage, id).await, [(1, Attempt::Errored, Some("busy".to_owned()))]);
    advance(&stage, 2 * 3_600);
    assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
    stage.stop().await;
    (message.due_at - before).as_seconds_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_not_due_before_what_the_error_asks_for_and_at_the_latest_after_an_hour() {
    for database in TestDatabase::each().await {
        let due = due_after(database, Duration::from_secs(900)).await;
        assert!((900.0..1_000.0).contains(&due), "{due}");
    }
    let due = due_after(TestDatabase::sqlite().await, Duration::from_secs(90_000)).await;
    assert!((3_600.0..3_700.0).contains(&due), "{due}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_attempt_makes_a_dead_letter_and_the_domain_hears_of_it() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|_, _| Box::pin(async { Err(transient("busy")) }));
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Dead, 3));
        assert_eq!(job.error_code.as_deref(), Some("busy"));
        assert_eq!(attempts_of(&stage, id).await.len(), 3);
        assert_eq!(effects_of(&stage, id).await, ["abandoned: busy"]);
        let letters = letters_of(&stage, id).await;
        assert_eq!(reasons(&letters), [Reason::AttemptsExhausted]);
        let letter = &letters[0];
        assert_eq!((letter.attempts, letter.seq, letter.error_code.as_str()), (3, Some(3), "busy"));
        assert_eq!(letter.body, br#"{"note":"tea"}"#);
        assert!(letter.first_failed_at <= letter.last_failed_at);
        all_settled::<Work>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_error_is_a_dead_letter_at_once_in_either_half_and_when_handed_over() {
    for database in TestDatabase::each().await {
        let work = Scripted::<Work>::new().perform(|_, _| Box::pin(async { Err(permanent("lost")) }));
        let short = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_effect(tx, turn.id, "half done").await?;
                Err(permanent("lost"))
            })
        });
        let long = Scripted::<Long>::new().perform(|_, _| Box::pin(async { Err(permanent("lost")) }));
        let mut stage = staged(database, Registry::new().with(work).with(short).with(long)).await;
        let work = stage.publish(&Work::new("tea")).await;
        let short = stage.publish(&Short::new("tea")).await;
        let long = stage.publish(&Long::new("tea")).await;
        for id in [work, short, long] {
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.attempt), (JobState::Dead, 1));
            assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::Permanent]);
            assert_eq!(attempts_of(&stage, id).await, [(1, Attempt::Errored, Some("lost".to_owned()))]);
            assert_eq!(effects_of(&stage, id).await, ["abandoned: lost"]);
        }
        // What was rejected is archived, and that doubles nothing.
        eventually("the dead-letter queue is empty", async || {
            (stage.broker.held(DEAD_LETTERS)? == Held::default()).then_some(())
        })
        .await;
        assert_eq!(letters(&stage).await.len(), 3);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_domain_failure_keeps_what_it_wrote_and_is_no_dead_letter() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_effect(tx, turn.id, "no facts").await?;
                Ok(Outcome::Failed(Failure::new("no_facts", "the graph holds none")))
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Short::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("no_facts")));
        assert_eq!(effects_of(&stage, id).await, ["no facts"]);
        assert_eq!(attempts_of(&stage, id).await, [(1, Attempt::Failed, Some("no_facts".to_owned()))]);
        assert!(letters_of(&stage, id).await.is_empty());
        all_settled::<Short>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_failure_as_an_error_rolls_back_and_is_recorded_through_abandon() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_effect(tx, turn.id, "half done").await?;
                Err(JobError::Failed(Failure::new("no_facts", "the graph holds none")))
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Short::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("no_facts")));
        assert_eq!(effects_of(&stage, id).await, ["abandoned: no_facts"]);
        assert!(letters_of(&stage, id).await.is_empty());
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_job_shows_its_reason_and_no_attempt() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|turn, _| {
            Box::pin(async move {
                if turn.seq == 1 {
                    Err(JobError::deferred(Duration::from_secs(3600), "the gate is closed"))
                } else {
                    Ok("fine".to_owned())
                }
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        let message = eventually("the job is deferred", async || {
            waiting(&stage, id).await.filter(|message| message.cause == Cause::Deferral)
        })
        .await;
        assert_eq!(message.reason.as_deref(), Some("the gate is closed"));
        assert_eq!(shown(&stage, id).await, ShownState::Deferred);
        let job = stage.job(id).await;
        assert_eq!((job.attempt, job.deferrals, job.seq), (0, 1, 2));
        advance(&stage, 3601);
        assert_eq!(stage.ended(id).await.attempt, 1);
        assert!(attempts_of(&stage, id).await.is_empty());
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_deferred_too_often_dies_with_its_reason() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Impatient>::new()
            .commit(|_, _| Box::pin(async { Err(JobError::deferred(Duration::ZERO, "the gate is closed")) }));
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Impatient::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.deferrals), (JobState::Dead, 0, 3));
        let letters = letters_of(&stage, id).await;
        assert_eq!(reasons(&letters), [Reason::DeferredTooLong]);
        assert!(letters[0].error.contains("the gate is closed"), "{}", letters[0].error);
        assert_eq!(effects_of(&stage, id).await, ["abandoned: deferred_too_long"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_over_its_time_limit_is_ended_and_counted() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Hasty>::new().perform(|turn, _| {
            Box::pin(async move {
                if turn.attempt == 1 {
                    std::future::pending::<()>().await;
                }
                Ok("fine".to_owned())
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Hasty::new("tea")).await;
        eventually("the attempt timed out", async || {
            waiting(&stage, id).await.filter(|message| message.cause == Cause::Retry)
        })
        .await;
        advance(&stage, 60);
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        assert_eq!(attempts_of(&stage, id).await, [(1, Attempt::TimedOut, Some("timed_out".to_owned()))]);
        assert_eq!(effects_of(&stage, id).await, ["fine"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_the_domain_cannot_record_stands_with_both_errors() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new()
            .commit(|_, _| Box::pin(async { Err(permanent("lost")) }))
            .abandon(|turn, tx| {
                Box::pin(async move {
                    write_effect(tx, turn.id, "half abandoned").await?;
                    Err(permanent("deaf"))
                })
            });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Short::new("tea")).await;
        let job = stage.ended(id).await;
        let error = job.error.unwrap();
        assert_eq!(job.state, JobState::Dead);
        assert!(error.contains("lost, for ever") && error.contains("deaf, for ever"), "{error}");
        assert!(effects_of(&stage, id).await.is_empty());
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::Permanent]);
        stage.stop().await;
    }
}

/// A recording that kills its connection each time must not hold up the other jobs of the kind.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_recording_kills_its_connection_stands_all_the_same() {
    let Some(database) = TestDatabase::open(DbBackend::Postgres).await else { return };
    let calls = Calls::default();
    let handler =
        Scripted::<Short>::new().commit(|_, _| Box::pin(async { Err(permanent("lost")) })).abandon({
            let calls = calls.clone();
            move |turn, tx| {
                calls.count(&turn.job.note);
                Box::pin(async move {
                    tx.execute_unprepared("SELECT pg_terminate_backend(pg_backend_pid())").await?;
                    Ok(())
                })
            }
        });
    let mut stage = staged(database, Registry::new().with(handler)).await;
    let id = stage.publish(&Short::new("tea")).await;
    assert_eq!(stage.ended(id).await.state, JobState::Dead);
    assert_eq!(letters_of(&stage, id).await.len(), 1);
    assert!(calls.of("tea") >= 3, "it is tried more than once");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_text_with_a_nul_character_is_recorded_without_it() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|_, _| {
            Box::pin(async { Err(JobError::Permanent(Failure::new("odd", "bytes: \0\u{1}"))) })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Short::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!(job.state, JobState::Dead);
        assert!(job.error.unwrap().starts_with("bytes: "));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_domain_marks_a_job_as_running_in_its_claim_or_not_at_all() {
    for database in TestDatabase::each().await {
        let calls = Calls::default();
        let handler = Scripted::<Long>::new().accept({
            let calls = calls.clone();
            move |turn, tx| {
                let call = calls.count(&turn.job.note);
                Box::pin(async move {
                    write_effect(tx, turn.id, "accepted").await?;
                    if call == 1 { Err(transient("busy")) } else { Ok(()) }
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Long::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
        assert_eq!(effects_of(&stage, id).await, ["accepted", "tea"], "the first mark was rolled back");
        let busy = (1, Attempt::Errored, Some("busy".to_owned()));
        assert_eq!(attempts_of(&stage, id).await, [busy, (2, Attempt::Succeeded, None)]);
        stage.stop().await;
    }
}

/// Nobody looks after the broker's dead letters here, so that what comes there stays.
#[tokio::test(flavor = "multi_thread")]
async fn the_message_of_a_job_that_dies_goes_to_the_brokers_dead_letters() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|_, _| Box::pin(async { Err(permanent("lost")) }));
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let worker = WorkerOptions { archive: false, ..StageOptions::default().worker };
        stage.start(StageOptions { worker, ..StageOptions::default() });
        let id = stage.publish(&Work::new("tea")).await;
        assert_eq!(stage.ended(id).await.state, JobState::Dead);
        all_settled::<Work>(&stage).await;
        assert_eq!(stage.broker.held(DEAD_LETTERS).unwrap(), Held { ready: 1, ..Held::default() });
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_half_that_finds_something_of_ours_away_goes_on_and_is_nobodys_attempt() {
    for database in TestDatabase::each().await {
        let calls = Calls::default();
        let handler = Scripted::<Work>::new().perform({
            let calls = calls.clone();
            move |turn, _| {
                let call = calls.count(&turn.job.note);
                let (attempt, away) = (turn.attempt, "it is away".to_owned());
                Box::pin(async move {
                    if call == 1 {
                        return Err(JobError::Unavailable { operator: away, conflict: false });
                    }
                    Ok(format!("attempt {attempt}"))
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, calls.of("tea")), (JobState::Succeeded, 1, 2));
        assert_eq!(attempts_of(&stage, id).await, []);
        assert_eq!(effects_of(&stage, id).await, ["attempt 1"]);
        stage.stop().await;
    }
}
