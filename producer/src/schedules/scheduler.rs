//! The scheduler: looks for schedules that are due, again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ackord_entities::database::{Database, Fault, classify};
use ackord_entities::ids::ScheduleId;
use ackord_entities::jobs::Catalogue;
use ackord_entities::queue::schedule::{self, Model};
use ackord_entities::queue::schedule_tick::Fate;
use ackord_entities::{error_chain, fault};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::count;
use super::fire::{Done, FireError, fire};
use crate::doorbell::Doorbell;
use crate::health::Health;
use crate::metrics::SchedulerMeter;

/// Schedules that one look at the agenda reads.
const PAGE: u32 = 100;
/// A look that takes longer is said in health.
const LONG: Duration = Duration::from_secs(30);
/// Less than this is no pause: two clocks are never quite the same.
const SHORTEST: Duration = Duration::from_millis(5);
/// The database's clock may be read a little out of turn by several connections; by more than this it was set back.
const SET_BACK: TimeDelta = TimeDelta::seconds(2);

/// How the scheduler works.
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// The time between two looks at most. A tick is fired when it comes; a schedule that another process has changed is seen after
    /// this long.
    pub poll: Duration,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1) }
    }
}

/// The scheduler. Any number may run: the rows they work on are locked, and no tick is written down twice.
#[derive(Debug)]
pub struct Scheduler {
    database: Database,
    catalogue: Catalogue,
    doorbell: Doorbell,
    options: SchedulerOptions,
    health: Health,
    meter: SchedulerMeter,
    /// What was last complained of, so that it is said once.
    told: HashMap<ScheduleId, String>,
    latest: Option<DateTime<Utc>>,
}

impl Scheduler {
    /// A scheduler of these kinds that is not running yet.
    #[must_use]
    pub fn new(
        database: Database,
        catalogue: Catalogue,
        doorbell: Doorbell,
        options: SchedulerOptions,
    ) -> Self {
        let health = Health::new("scheduler");
        health.fails("looks", "the schedules have not been looked at yet");
        let meter = SchedulerMeter::new();
        Self { database, catalogue, doorbell, options, health, meter, told: HashMap::new(), latest: None }
    }

    /// Whether it can look.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let pause = match self.look(&stop).await {
                Ok(pause) => {
                    failing = false;
                    pause
                }
                Err(error) => {
                    let error = error_chain(&error);
                    self.health.fails("looks", format!("the schedules cannot be looked at: {error}"));
                    if !failing {
                        failing = true;
                        error!(error, "the schedules cannot be looked at; it is tried again");
                    }
                    self.options.poll
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Deals with every schedule that is due. Answers how long nothing is to be done, as far as is known.
    ///
    /// # Errors
    /// The database is away. What goes wrong with one schedule stops no other; it is said in the log.
    pub async fn look(&mut self, stop: &CancellationToken) -> Result<Duration, DbErr> {
        let begun = Instant::now();
        let step = self.health.step("looks", None, "a look at the schedules", LONG);
        let now = self.database.clock().now(self.database.read()).await?;
        self.notice_a_clock_that_was_set_back(now);
        let mut after = None;
        let earliest = 'agenda: loop {
            let page = schedule::agenda(self.database.read(), after, PAGE).await?;
            for (next_tick, id) in &page {
                if *next_tick > now || stop.is_cancelled() {
                    break 'agenda Some(*next_tick);
                }
                self.deal_with(*id).await?;
            }
            match page.last() {
                Some(last) => after = Some(*last),
                None => break None,
            }
        };
        drop(step);
        self.health.holds("looks");
        // A tick that came due meanwhile is seen at once, and one that is left to others after the usual time.
        let pause = earliest.and_then(|tick| (tick - now).to_std().ok());
        let pause = pause.map_or(self.options.poll, |pause| pause.saturating_sub(begun.elapsed()));
        Ok(pause.max(SHORTEST).min(self.options.poll))
    }

    async fn deal_with(&mut self, id: ScheduleId) -> Result<(), DbErr> {
        let transaction = Box::pin(transaction(&self.database, &self.catalogue, id));
        let dealt_with = self.database.within_limit(transaction).await;
        match dealt_with {
            Ok(None) => {}
            Ok(Some((schedule, done))) => self.tell(&schedule, &done),
            Err(error) => {
                if let Some(database) = error.database().filter(|error| classify(error) == Fault::Unavailable)
                {
                    return Err(database.clone());
                }
                self.complain(id, &error);
            }
        }
        Ok(())
    }

    /// One schedule could not be dealt with. What it says may be the same again and again.
    fn complain(&mut self, id: ScheduleId, error: &FireError) {
        let text = error_chain(error);
        if matches!(error.database().map(classify), Some(Fault::Conflict | Fault::Transient)) {
            debug!(schedule.id = %id, error = text, "somebody was in the way of a schedule; the next look finds it");
        } else if self.told.insert(id, text.clone()).as_ref() != Some(&text) {
            error!(schedule.id = %id, error = text, "the ticks of a schedule cannot be dealt with; the others go on");
        }
    }

    /// Says what became of the ticks: to the relay, to the figures, and to people where something is wrong.
    fn tell(&mut self, schedule: &Model, done: &[Done]) {
        if done.iter().any(|done| done.fate.job().is_some()) {
            self.doorbell.ring();
        }
        for Done { planned_at, fate, late_by } in done {
            self.meter.tick(fate.outcome(), *late_by);
            let (name, kind, planned) = (&schedule.name, &schedule.kind, planned_at.to_rfc3339());
            match fate {
                Fate::Fired(job) => {
                    self.told.remove(&schedule.id);
                    debug!(schedule.name = %name, job.id = %job, job.kind = kind, planned, "a tick was fired");
                }
                Fate::Missed { count: passed_over, .. } => {
                    let ticks = count(*passed_over);
                    warn!(schedule.name = %name, job.kind = kind, ticks, newest = planned, "ticks were missed and are passed over");
                }
                Fate::UnknownKind(reason) | Fate::InvalidPayload(reason) => {
                    if self.told.insert(schedule.id, reason.clone()).as_ref() != Some(reason) {
                        warn!(schedule.name = %name, job.kind = kind, reason, "a schedule cannot be fired; its ticks are passed over");
                    }
                }
                Fate::Overlap(holder) | Fate::Duplicate(holder) => {
                    debug!(schedule.name = %name, holder.id = %holder, job.kind = kind, planned, "a tick was skipped");
                }
                Fate::Changed { .. } => {}
            }
        }
    }

    fn notice_a_clock_that_was_set_back(&mut self, now: DateTime<Utc>) {
        if let Some(latest) = self.latest
            && latest - now > SET_BACK
        {
            let by_seconds = (latest - now).num_seconds();
            warn!(by_seconds, "the database's clock was set back: nothing is due until it is where it was");
        }
        self.latest = Some(now);
    }
}

/// One schedule, from its lock to the commit.
async fn transaction(
    database: &Database,
    catalogue: &Catalogue,
    id: ScheduleId,
) -> Result<Option<(Model, Vec<Done>)>, FireError> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let Some(schedule) = schedule::claim(&tx, id, now).await? else { return Ok(None) };
    let done = fire(&tx, catalogue, &schedule, now).await?;
    fault::point("schedule_before_commit");
    tx.commit().await?;
    fault::point("schedule_after_commit");
    Ok(Some((schedule, done)))
}
