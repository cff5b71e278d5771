//! Which moments a cron expression names in a time zone, and which of them are to be fired now. Without a clock and without a database.

use ackord_entities::jobs::Invalid;
use ackord_entities::queue::schedule::CatchUp;
use ackord_entities::queue::schedule_tick::MOST_COUNTED;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;

/// Characters of an expression at most.
pub const LONGEST_EXPRESSION: usize = 200;

/// The moments of an expression in a time zone.
///
/// They are one ordered set of whole seconds, and every answer here is about that set: asking from any moment between two of them gives
/// the same next one.
#[derive(Clone, Debug)]
pub struct Plan {
    cron: Cron,
    zone: Tz,
}

/// What is to be done about a schedule that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Ticks to fire, the oldest first.
    pub ticks: Vec<DateTime<Utc>>,
    /// Ticks that are passed over.
    pub missed: Option<Missed>,
    /// The next tick, which is to come; `None` when the expression names no moment more.
    pub next: Option<DateTime<Utc>>,
}

/// Ticks that are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The oldest of them.
    pub from: DateTime<Utc>,
    /// The newest of them.
    pub to: DateTime<Utc>,
    /// How many; [`MOST_COUNTED`] stands for that many or more.
    pub count: u32,
}

impl Plan {
    /// The plan of a cron expression in the time zone of that IANA name.
    ///
    /// # Errors
    /// The field that is wrong, `expression` or `zone`, and what would be right.
    pub fn new(expression: &str, zone: &str) -> Result<Self, Invalid> {
        let length = expression.chars().count();
        if length > LONGEST_EXPRESSION {
            let reason = format!("has {length} characters: give at most {LONGEST_EXPRESSION}");
            return Err(Invalid::new("expression", reason));
        }
        let cron = CronParser::new().parse(expression).map_err(|error| {
            let reason = format!(
                "`{expression}` is no cron expression: {error}; give minute, hour, day of the month, month, day of the week, \
                 with the second before them if it matters: `30 2 * * *`, `*/10 * * * * *`, `@hourly`"
            );
            Invalid::new("expression", reason)
        })?;
        let zone = zone.parse().map_err(|_| {
            let shown: String = zone.chars().take(60).collect();
            let reason =
                format!("there is no time zone `{shown}`: give an IANA name such as Europe/Berlin or UTC");
            Invalid::new("zone", reason)
        })?;
        Ok(Self { cron, zone })
    }

    /// The first moment of the plan behind `after`; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = after.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&local, false).ok()?.with_timezone(&Utc);
        // A next tick that does not lie behind would be fired for ever.
        (next > after).then_some(next)
    }

    /// The next `number` moments behind `after`.
    #[must_use]
    pub fn preview(&self, after: DateTime<Utc>, number: usize) -> Vec<DateTime<Utc>> {
        self.moments(after).take(number).collect()
    }

    /// A moment as the clocks of the zone show it, with its offset: `2026-03-29T03:30:00+02:00`.
    #[must_use]
    pub fn local(&self, time: DateTime<Utc>) -> String {
        time.with_timezone(&self.zone).to_rfc3339()
    }

    /// What is to be done at `now` about a schedule whose next tick is `first`, which is due. However many ticks were missed, it
    /// takes no longer than [`MOST_COUNTED`] of them.
    #[must_use]
    pub fn due(&self, first: DateTime<Utc>, now: DateTime<Utc>, catch_up: CatchUp, grace: TimeDelta) -> Due {
        let most = match catch_up {
            CatchUp::None | CatchUp::Last => 1,
            CatchUp::All(most) => most.get(),
        };
        let mut ticks = self.newest(first, now, most);
        let next = self.next_after(ticks.last().copied().unwrap_or(now));
        if catch_up == CatchUp::None {
            // What is a little late is not missed: a restart takes some seconds, and a look comes when it comes.
            ticks.retain(|tick| now - *tick <= grace);
        }
        let missed = match ticks.first() {
            Some(kept) => self.before(first, *kept),
            None => self.passed(first, now),
        };
        Due { ticks, missed, next }
    }

    /// The newest `most` moments from `first`, which is one, up to `now`, the oldest of them first.
    fn newest(&self, first: DateTime<Utc>, now: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        let newest = self.previous(first, now + TimeDelta::microseconds(1));
        let backwards = std::iter::successors(newest, |tick| self.previous(first, *tick));
        let mut ticks: Vec<DateTime<Utc>> = backwards.take(most).collect();
        ticks.reverse();
        ticks
    }

    /// The last moment before `before` that is not older than `first`, which is one.
    ///
    /// It is looked for with the forward search alone, so that both directions are about the same set: from ever further back, until
    /// there is one in between, and then by halves. So it takes some dozens of searches however dense the moments are.
    fn previous(&self, first: DateTime<Utc>, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let behind = |start| self.next_after(start).filter(|tick| *tick < before);
        let mut reach = TimeDelta::seconds(1);
        let mut found = loop {
            match before.checked_sub_signed(reach).filter(|start| *start >= first) {
                Some(start) => match behind(start) {
                    Some(tick) => break tick,
                    None => reach = reach * 2,
                },
                None if first < before => break first,
                None => return None,
            }
        };
        let mut end = before;
        while let Some(next) = behind(found) {
            let middle = next + (end - next) / 2;
            if let Some(tick) = behind(middle) {
                found = tick;
            } else {
                (found, end) = (next, middle);
            }
        }
        Some(found)
    }

    /// All moments from `first`, which is one, up to `now`.
    #[must_use]
    pub fn passed(&self, first: DateTime<Utc>, now: DateTime<Utc>) -> Option<Missed> {
        self.before(first, now + TimeDelta::microseconds(1))
    }

    /// All moments from `first`, which is one, that lie before `end`.
    fn before(&self, first: DateTime<Utc>, end: DateTime<Utc>) -> Option<Missed> {
        let to = self.previous(first, end)?;
        let most = usize::try_from(MOST_COUNTED).unwrap_or(usize::MAX);
        let moments = std::iter::once(first).chain(self.moments(first));
        let counted = moments.take_while(|tick| *tick <= to).take(most).count();
        Some(Missed { from: first, to, count: u32::try_from(counted).unwrap_or(MOST_COUNTED) })
    }

    fn moments(&self, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |tick| self.next_after(*tick))
    }
}

/// How many there were, for people: `12`, `10000 or more`.
pub(crate) fn count(passed_over: u32) -> String {
    if passed_over >= MOST_COUNTED { format!("{MOST_COUNTED} or more") } else { passed_over.to_string() }
}
