//! Syntheses that did not hear of the end of their job.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};

use crate::database::Sql;
use crate::ids::{JobId, SynthesisId};

/// A synthesis that waits for a job, or says that it is written by one, which has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Unheard {
    /// The synthesis.
    pub id: SynthesisId,
    /// The job.
    pub job_id: JobId,
}

/// At most `most` of them. A job ends and its synthesis hears of it in one transaction, so there is one only where the
/// synthesis could not be told. A super-synthesis that waits for its parts is none: the job that planned it has ended well.
///
/// # Errors
/// Whatever the database answers.
pub async fn unheard(connection: &impl ConnectionTrait, most: u32) -> Result<Vec<Unheard>, DbErr> {
    // The condition on the state is that of the index write_syntheses_in_flight.
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT s.id, s.job_id FROM write_syntheses AS s LEFT JOIN jobs AS j ON j.id = s.job_id \
             WHERE s.state IN ('pending', 'running') AND s.job_id IS NOT NULL \
             AND (j.id IS NULL OR j.finished_at IS NOT NULL) \
             AND NOT EXISTS (SELECT 1 FROM write_super_syntheses AS w WHERE w.id = s.id AND w.job_id = s.job_id) \
             ORDER BY s.job_id LIMIT ",
        )
        .bind(i64::from(most))
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Unheard::from_query_result(row, "")).collect()
}
