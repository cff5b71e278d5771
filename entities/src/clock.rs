//! The clock that decides: due times, lease expiry, retention.
//!
//! Several processes on several machines share one database, so the database's clock decides; a machine's own clock only
//! measures durations. Tests (and nothing else) shift the clock by an offset.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// The database's time plus an offset. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_micros: Arc<AtomicI64>,
}

impl Clock {
    /// The time that decides, in UTC, to the microsecond (what both databases store).
    ///
    /// One round trip on Postgres. SQLite runs in this process: its clock is the machine's.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn now(&self, connection: &impl ConnectionTrait) -> Result<DateTime<Utc>, DbErr> {
        let now = match connection.get_database_backend() {
            DbBackend::Postgres => postgres_now(connection).await?,
            _ => machine_now(),
        };
        Ok(now + self.offset())
    }

    /// The same for a `time` that the database told with something else.
    #[must_use]
    pub fn shifted(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        time + self.offset()
    }

    /// The same without asking: for a statement that finds out as it goes. A round trip less on Postgres.
    #[must_use]
    pub fn on_receipt(&self, backend: DbBackend) -> Moment {
        match backend {
            DbBackend::Postgres => Moment::OnReceipt(self.offset()),
            _ => Moment::At(machine_now() + self.offset()),
        }
    }

    /// Shifts the clock of all clones by `duration` into the future.
    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.offset_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Shifts the clock of all clones by `duration` into the past: the bad clock of tests.
    pub fn set_back(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.offset_micros.fetch_sub(micros, Ordering::Relaxed);
    }

    fn offset(&self) -> TimeDelta {
        TimeDelta::microseconds(self.offset_micros.load(Ordering::Relaxed))
    }
}

/// A time as a statement gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This one.
    At(DateTime<Utc>),
    /// When the server receives the statement, and that much later: what the database's clock says then.
    OnReceipt(TimeDelta),
}

/// `now` plus `wait`, however long that is: at the latest the end of the year 9999, which both databases can store and compare.
#[must_use]
pub fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    const END: i64 = 253_402_300_799;
    let end = DateTime::from_timestamp(END, 0).unwrap_or(now);
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| now.checked_add_signed(wait))
        .map_or(end, |time| time.min(end))
}

/// The machine's time, in UTC, to the microsecond. For display and for SQLite; what decides asks a [`Clock`].
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
pub fn machine_now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

async fn postgres_now(connection: &impl ConnectionTrait) -> Result<DateTime<Utc>, DbErr> {
    let statement = Statement::from_string(DbBackend::Postgres, "SELECT clock_timestamp() AS now");
    let row = connection
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("clock_timestamp() gave no row".to_owned()))?;
    row.try_get("", "now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_without_end_ends_with_the_year_9999() {
        let now = machine_now();
        assert_eq!(later(now, Duration::from_secs(5)), now + TimeDelta::seconds(5));
        assert_eq!(later(now, Duration::MAX).to_rfc3339(), "9999-12-31T23:59:59+00:00");
    }
}
