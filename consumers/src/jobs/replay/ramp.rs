//! The ramp: 1, 10, 100, 1,000, 10,000, 10,000, ... Each step waits for the jobs of the one before, and a step that fails again stops the run.

use std::time::Duration;

use ackord_entities::queue::replay_letter::{self, Step};
use ackord_entities::queue::replay_run;
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DbErr};

/// When the jobs of a step are looked at first, and how often at least.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The largest step: 10,000 jobs. Each part counts what has become of its step, and a run over millions is not to fill the queue.
const LARGEST_RUNG: u32 = 4;

/// What a run does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many more go out in this step.
    Send {
        /// The step.
        step: i32,
        /// How large it is, see [`size`].
        rung: i32,
        /// Jobs that it still lacks.
        need: i64,
    },
    /// What went out has not ended.
    Wait(String),
    /// Too many failed again.
    Stop {
        /// For machines.
        code: &'static str,
        /// For people.
        cause: String,
    },
    /// Nothing is left to do.
    Finish,
}

/// What the tables say that a run does next.
pub(super) async fn next(connection: &impl ConnectionTrait, run: &replay_run::Model) -> Result<Next, DbErr> {
    let step = replay_letter::steps(connection, run.id, Some(run.step)).await?.pop().unwrap_or_default();
    let need = (size(run.rung) - step.replayed).max(0);
    let waiting = replay_letter::waiting(connection, run.id, need.max(1)).await?;
    let next = decide(run, &step, waiting);
    match next {
        Next::Stop { code, cause } => {
            let example = replay_letter::a_failure(connection, run.id, run.step).await?;
            let example = example.map_or_else(String::new, |(job, error)| format!("; job {job}: {error}"));
            Ok(Next::Stop { code, cause: cause + &example })
        }
        next => Ok(next),
    }
}

fn decide(run: &replay_run::Model, step: &Step, waiting: i64) -> Next {
    let need = (size(run.rung) - step.replayed).max(0);
    let in_step = step.replayed + need.min(waiting);
    if step.failed_again * 100 > in_step * i64::from(run.tolerance) {
        let cause = format!(
            "{} of {in_step} jobs of step {} failed again, more than {} %",
            step.failed_again,
            run.step + 1,
            run.tolerance
        );
        return Next::Stop { code: "failed_again", cause };
    }
    if need > 0 && waiting > 0 {
        return Next::Send { step: run.step, rung: run.rung, need };
    }
    if step.unfinished > 0 {
        let (unfinished, replayed) = (step.unfinished, step.replayed);
        return Next::Wait(format!(
            "{unfinished} of {replayed} jobs of step {} have not ended",
            run.step + 1
        ));
    }
    if waiting > 0 {
        return Next::Send { step: run.step + 1, rung: run.rung + 1, need: size(run.rung + 1) };
    }
    Next::Finish
}

/// Jobs of a step: 10 to the power of its rung, up to the largest.
fn size(rung: i32) -> i64 {
    10_i64.pow(rung.unsigned_abs().min(LARGEST_RUNG))
}

/// How long to wait before the next look at a step that has waited so long: an ever smaller share of the work.
pub(super) fn pause(waited: TimeDelta) -> Duration {
    let waited = waited.to_std().unwrap_or_default();
    (waited / 5).clamp(FIRST_LOOK, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::clock::machine_now;
    use ackord_entities::ids::{JobId, ReplayRunId};
    use ackord_entities::queue::replay_run::RunState;
    use rstest::rstest;

    use super::*;

    fn run(step: i32, rung: i32, tolerance: i32) -> replay_run::Model {
        replay_run::Model {
            id: ReplayRunId::new(),
            job_id: JobId::new(),
            state: RunState::Running,
            selection: "{}".to_owned(),
            selection_key: String::new(),
            patch: None,
            tolerance,
            total: 1_000,
            step,
            rung,
            step_at: machine_now(),
            stop_code: None,
            stop_cause: None,
            reason: None,
            created_by: "ada".to_owned(),
            created_at: machine_now(),
            ended_at: None,
        }
    }

    fn step(replayed: i64, unfinished: i64, failed_again: i64) -> Step {
        let succeeded = replayed - unfinished - failed_again;
        Step { replayed, unfinished, succeeded, failed_again, ..Step::default() }
    }

    const STOP: Option<(i32, i32, i64)> = Some((-1, -1, -1));
    const WAIT: Option<(i32, i32, i64)> = Some((-2, -2, -2));
    const FINISH: Option<(i32, i32, i64)> = None;

    #[rstest]
    #[case::the_first_goes_out(0, step(0, 0, 0), 1, Some((0, 0, 1)))]
    #[case::it_is_waited_for(0, step(1, 1, 0), 1, WAIT)]
    #[case::it_failed_again(0, step(1, 0, 1), 1, STOP)]
    #[case::it_succeeded_and_ten_follow(0, step(1, 0, 0), 1, Some((1, 1, 10)))]
    #[case::nothing_is_left(0, step(1, 0, 0), 0, FINISH)]
    #[case::one_of_ten_may_fail(1, step(10, 0, 1), 1, Some((2, 2, 100)))]
    #[case::two_of_ten_may_not(1, step(10, 0, 2), 1, STOP)]
    #[case::too_many_are_too_many_before_all_have_ended(1, step(10, 8, 2), 1, STOP)]
    #[case::a_step_goes_on_where_it_was(1, step(7, 2, 0), 3, Some((1, 1, 3)))]
    #[case::the_last_step_is_smaller(2, step(3, 1, 0), 0, WAIT)]
    #[case::one_of_a_small_last_step_is_too_many(2, step(3, 0, 1), 0, STOP)]
    #[case::failures_of_a_part_count_for_the_whole_step(2, step(20, 0, 9), 80, Some((2, 2, 80)))]
    #[case::and_stop_it_before_it_is_whole(2, step(20, 0, 11), 80, STOP)]
    #[case::everything_was_refused(0, step(0, 0, 0), 0, FINISH)]
    fn what_a_run_does_next(
        #[case] at: i32,
        #[case] step: Step,
        #[case] waiting: i64,
        #[case] expected: Option<(i32, i32, i64)>,
    ) {
        let found = match decide(&run(at, at, 10), &step, waiting) {
            Next::Send { step, rung, need } => Some((step, rung, need)),
            Next::Stop { .. } => STOP,
            Next::Wait(_) => WAIT,
            Next::Finish => FINISH,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_resumed_run_counts_its_steps_on_and_starts_with_one() {
        assert_eq!(decide(&run(4, 0, 10), &step(0, 0, 0), 1), Next::Send { step: 4, rung: 0, need: 1 });
        assert_eq!(decide(&run(4, 0, 10), &step(1, 0, 0), 1), Next::Send { step: 5, rung: 1, need: 10 });
    }

    #[test]
    fn who_tolerates_everything_is_never_stopped_and_who_tolerates_nothing_at_once() {
        assert!(matches!(decide(&run(0, 0, 100), &step(1, 0, 1), 1), Next::Send { .. }));
        assert!(matches!(decide(&run(2, 2, 0), &step(100, 99, 1), 1), Next::Stop { .. }));
    }

    #[test]
    fn a_run_of_any_length_goes_out_in_steps_that_can_be_counted() {
        assert_eq!([0, 1, 3, 4, 5, i32::MAX].map(size), [1, 10, 1_000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn the_longer_a_step_waits_the_rarer_it_is_looked_at() {
        assert_eq!(pause(TimeDelta::zero()), FIRST_LOOK);
        assert_eq!(pause(TimeDelta::seconds(-5)), FIRST_LOOK);
        assert_eq!(pause(TimeDelta::seconds(10)), Duration::from_secs(2));
        assert_eq!(pause(TimeDelta::days(3)), LONGEST_PAUSE);
    }
}
