//! `testbed audit`: whether every job had its effect, once.

use std::collections::BTreeMap;

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};
use serde::Serialize;

/// What the database says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Audit {
    /// By kind.
    pub kinds: BTreeMap<String, KindAudit>,
    /// Jobs that were published by nobody's commit: what publishers must find again.
    pub ids: Vec<JobId>,
    /// Messages that wait.
    pub outbox: i64,
    /// When the ticks that made a job were planned, in seconds since 1970.
    pub ticks: Vec<i64>,
    /// Leases that somebody has.
    pub leases: i64,
    /// Suspects with recorded starts.
    pub suspects: i64,
    /// Dead letters without a job, or more than one for the same one.
    pub stray_letters: i64,
    /// Effects of jobs that are not there.
    pub stray_effects: i64,
    /// What SQLite says about its file: `ok`, as always on a server.
    pub integrity: String,
}

/// What became of the jobs of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KindAudit {
    /// Jobs.
    pub jobs: i64,
    /// Effects of their commit halves.
    pub effects: i64,
    /// Jobs that have not ended.
    pub unfinished: i64,
    /// Jobs that succeeded.
    pub succeeded: i64,
    /// Jobs with more than one effect.
    pub doubles: Vec<JobId>,
    /// Jobs that ended without the effect that belongs to their end.
    pub lost: Vec<JobId>,
    /// Jobs with an effect that does not belong to their state.
    pub wrong: Vec<JobId>,
    /// Attempts that were blamed on a job.
    pub errored: i64,
    /// The highest number of attempts that a job of this kind has.
    pub attempts: i64,
    /// Dead jobs, by reason.
    pub dead: BTreeMap<String, i64>,
}

/// Kinds whose clean-up has an effect of its own.
const CLEANED_UP: [&str; 4] = ["doomed", "poison", "poison-commit", "poison-long"];

/// Looks.
///
/// # Errors
/// Whatever the database answers.
pub async fn audit(database: &Database) -> Result<Audit, DbErr> {
    let database = &snapshot(database).await?;
    let mut audit = Audit {
        outbox: count(database, "SELECT count(*) FROM outbox").await?,
        ticks: ticks(database).await?,
        leases: count(database, "SELECT count(*) FROM leases WHERE owner IS NOT NULL").await?,
        suspects: count(database, "SELECT count(*) FROM suspects").await?,
        stray_letters: count(
            database,
            "SELECT count(*) - count(DISTINCT jobs.id) FROM dead_letters LEFT JOIN jobs ON jobs.id = dead_letters.job_id",
        )
        .await?,
        stray_effects: count(
            database,
            "SELECT count(*) FROM testbed_effects WHERE job_id NOT IN (SELECT id FROM jobs)",
        )
        .await?,
        integrity: match database.get_database_backend() {
            DbBackend::Sqlite => text(database, "PRAGMA integrity_check").await?,
            // The server's own matter.
            _ => "ok".to_owned(),
        },
        ..Audit::default()
    };
    for row in database.query_all_raw(Statement::from_string(database.get_database_backend(), JOBS)).await? {
        let job = Job {
            id: row.try_get_by_index(0)?,
            kind: row.try_get_by_index(1)?,
            state: row.try_get_by_index(2)?,
            has_parent: row.try_get_by_index(3)?,
            reason: row.try_get_by_index(4)?,
            commits: row.try_get_by_index(5)?,
            abandons: row.try_get_by_index(6)?,
            attempts: row.try_get_by_index::<i32>(7)?.into(),
            errored: row.try_get_by_index(8)?,
        };
        if !job.has_parent {
            audit.ids.push(job.id);
        }
        audit.kinds.entry(job.kind.clone()).or_default().note(job);
    }
    Ok(audit)
}

/// One snapshot: a worker goes on meanwhile, and a job that ends between two looks would seem to leave its message behind.
pub(crate) async fn snapshot(database: &Database) -> Result<DatabaseTransaction, DbErr> {
    let snapshot = database.read().begin().await?;
    if snapshot.get_database_backend() == DbBackend::Postgres {
        snapshot.execute_unprepared("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    }
    Ok(snapshot)
}

const JOBS: &str = "SELECT jobs.id, jobs.kind, jobs.state, jobs.parent_id IS NOT NULL, \
    (SELECT reason FROM dead_letters WHERE dead_letters.job_id = jobs.id LIMIT 1), \
    COALESCE(had.commits, 0), COALESCE(had.abandons, 0), jobs.attempt, \
    (SELECT count(*) FROM attempts WHERE attempts.job_id = jobs.id AND attempts.outcome = 'errored') \
    FROM jobs LEFT JOIN (SELECT job_id, count(*) FILTER (WHERE half = 'commit') AS commits, count(*) FILTER (WHERE half = 'abandon') AS abandons \
    FROM testbed_effects GROUP BY job_id) AS had ON had.job_id = jobs.id ORDER BY jobs.id";

struct Job {
    id: JobId,
    kind: String,
    state: String,
    has_parent: bool,
    reason: Option<String>,
    commits: i64,
    abandons: i64,
    attempts: i64,
    errored: i64,
}

impl KindAudit {
    fn note(&mut self, job: Job) {
        self.jobs += 1;
        self.effects += job.commits;
        self.attempts = self.attempts.max(job.attempts);
        self.errored += job.errored;
        let cleans_up = CLEANED_UP.contains(&job.kind.as_str());
        let (commits, abandons) = match job.state.as_str() {
            "succeeded" => (1, 0),
            "dead" => (0, i64::from(cleans_up)),
            _ => (0, 0),
        };
        if job.commits > 1 || job.abandons > 1 {
            self.doubles.push(job.id);
        }
        if job.commits < commits || job.abandons < abandons {
            self.lost.push(job.id);
        }
        if (job.commits > 0 && commits == 0) || (job.abandons > 0 && abandons == 0) {
            self.wrong.push(job.id);
        }
        match job.state.as_str() {
            "pending" | "running" => self.unfinished += 1,
            "succeeded" => self.succeeded += 1,
            "dead" => {
                let reason = job.reason.unwrap_or_else(|| "without a letter".to_owned());
                *self.dead.entry(reason).or_default() += 1;
            }
            _ => self.wrong.push(job.id),
        }
    }
}

/// Of those whose job is there.
async fn ticks(database: &DatabaseTransaction) -> Result<Vec<i64>, DbErr> {
    let sql = "SELECT planned_at FROM schedule_ticks JOIN jobs ON jobs.id = schedule_ticks.job_id ORDER BY planned_at";
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index::<DateTimeUtc>(0)?.timestamp())).collect()
}

async fn count(database: &DatabaseTransaction, sql: &str) -> Result<i64, DbErr> {
    let row = database.query_one_raw(Statement::from_string(database.get_database_backend(), sql)).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

async fn text(database: &DatabaseTransaction, sql: &str) -> Result<String, DbErr> {
    let row = database.query_one_raw(Statement::from_string(database.get_database_backend(), sql)).await?;
    row.map_or_else(|| Ok(String::new()), |row| row.try_get_by_index(0))
}
