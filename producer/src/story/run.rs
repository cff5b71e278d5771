//! A replay run as it is shown.

use ackord_entities::database::Database;
use ackord_entities::ids::{DeadLetterId, JobId, ReplayRunId};
use ackord_entities::queue::replay_letter::{self, RunLetterState, Step};
use ackord_entities::queue::replay_run::{self, Model, RunState};
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::Value;

use super::job::json_or_text;

/// Letters that did not go out, as far as they are shown.
const LEFT_BEHIND: u64 = 20;

/// A run.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReplayRun))]
pub struct RunView {
    /// The run.
    pub id: ReplayRunId,
    /// Where it stands.
    pub state: RunState,
    /// Why it was stopped.
    pub stop: Option<Stop>,
    /// The letters of its frozen set.
    pub letters: LetterCounts,
    /// The jobs that got another life.
    pub jobs: JobCounts,
    /// The steps of its ramp so far.
    pub steps: Vec<StepView>,
    /// The first letters that did not go out, and why.
    pub left_behind: Vec<LeftBehind>,
    /// Percentage of a step that may fail again.
    pub tolerate: i32,
    /// What was asked for.
    pub selection: Value,
    /// JSON Patch that is applied to each payload.
    pub patch: Option<Value>,
    /// The job that works on it, or did so last.
    pub job_id: JobId,
    /// Why it was asked for, in the operator's words.
    pub reason: Option<String>,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it finished or was stopped.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Why a run was stopped.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReplayRunStop))]
pub struct Stop {
    /// For programs.
    pub code: String,
    /// For people.
    pub cause: String,
}

/// The letters of its frozen set.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReplayRunLetters))]
pub struct LetterCounts {
    /// All of them.
    pub total: i64,
    /// Their turn has not come.
    pub waiting: i64,
    /// Their jobs got another life.
    pub replayed: i64,
    /// They cannot be replayed as they are, and are still open.
    pub refused: i64,
    /// Somebody else dealt with them.
    pub skipped: i64,
}

/// The jobs that got another life.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReplayRunJobs))]
pub struct JobCounts {
    /// Not ended yet.
    pub unfinished: i64,
    /// Ended well.
    pub succeeded: i64,
    /// Dead or failed.
    pub failed_again: i64,
    /// Called off.
    pub cancelled: i64,
    /// Ended so long ago that their rows are gone.
    pub removed: i64,
}

/// One step of the ramp.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReplayRunStep))]
pub struct StepView {
    /// From 1.
    pub step: i32,
    /// Letters that went out in it.
    pub replayed: i64,
    /// What became of their jobs.
    #[serde(flatten)]
    pub jobs: JobCounts,
}

/// A letter that did not go out.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeftBehind {
    /// The letter.
    pub id: DeadLetterId,
    /// What became of it.
    pub state: RunLetterState,
    /// Why, for programs.
    pub code: Option<String>,
    /// Why, for people.
    pub note: Option<String>,
}

impl From<&Step> for JobCounts {
    fn from(step: &Step) -> Self {
        Self {
            unfinished: step.unfinished,
            succeeded: step.succeeded,
            failed_again: step.failed_again,
            cancelled: step.cancelled,
            removed: step.removed,
        }
    }
}

impl JobCounts {
    fn and(self, other: Self) -> Self {
        Self {
            unfinished: self.unfinished + other.unfinished,
            succeeded: self.succeeded + other.succeeded,
            failed_again: self.failed_again + other.failed_again,
            cancelled: self.cancelled + other.cancelled,
            removed: self.removed + other.removed,
        }
    }
}

impl RunView {
    /// The run of that id, if it is there.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn of(database: &Database, id: ReplayRunId) -> Result<Option<Self>, DbErr> {
        match replay_run::find(database.read(), id).await? {
            Some(run) => Self::read(database, run).await.map(Some),
            None => Ok(None),
        }
    }

    /// The run of that row, with its counts.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(database: &Database, run: Model) -> Result<Self, DbErr> {
        let read = database.read();
        let mut letters = LetterCounts { total: i64::from(run.total), ..LetterCounts::default() };
        for (state, count) in replay_letter::count(read, run.id).await? {
            *match state {
                RunLetterState::Waiting => &mut letters.waiting,
                RunLetterState::Replayed => &mut letters.replayed,
                RunLetterState::Refused => &mut letters.refused,
                RunLetterState::Skipped => &mut letters.skipped,
            } = count;
        }
        let steps = replay_letter::steps(read, run.id, None).await?;
        let left_behind = if letters.refused + letters.skipped > 0 {
            replay_letter::left_behind(read, run.id, LEFT_BEHIND).await?
        } else {
            Vec::new()
        };
        Ok(Self {
            id: run.id,
            state: run.state,
            stop: run.stop_code.zip(run.stop_cause).map(|(code, cause)| Stop { code, cause }),
            letters,
            jobs: steps.iter().map(JobCounts::from).fold(JobCounts::default(), JobCounts::and),
            steps: steps.iter().map(step_view).collect(),
            left_behind: left_behind.into_iter().map(left_behind_view).collect(),
            tolerate: run.tolerance,
            selection: json_or_text(&run.selection),
            patch: run.patch.as_deref().map(json_or_text),
            job_id: run.job_id,
            reason: run.reason,
            created_by: run.created_by,
            created_at: run.created_at,
            ended_at: run.ended_at,
        })
    }
}

fn step_view(step: &Step) -> StepView {
    StepView { step: step.step + 1, replayed: step.replayed, jobs: step.into() }
}

fn left_behind_view(letter: replay_letter::Model) -> LeftBehind {
    LeftBehind { id: letter.letter_id, state: letter.state, code: letter.code, note: letter.note }
}
