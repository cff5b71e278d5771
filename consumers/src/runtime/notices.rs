//! Notices: tells listeners after a commit what became of its jobs. Best effort, and never in anybody's way: what does not
//! fit into a short queue, or cannot be sent at once, is dropped and counted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ackord_entities::jobs::{KindSpec, Notices as Wanted};
use ackord_entities::queue::job::{ErrorText, Transition};
use ackord_entities::queue::outbox::{Cause, NewMessage};
use ackord_entities::queue::state::JobState;
use ackord_producer::broker::Broker;
use ackord_producer::contract::{JobNotice, NoticeError, NoticeState};
use chrono::{DateTime, Utc};
use metrics::{Counter, counter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::item::Item;
use super::ledger::Ledger;
use crate::metrics::{NOTICES_DROPPED, NOTICES_SENT};

/// Notices that may wait to be sent.
const ROOM: usize = 4096;
/// Notices that are sent together.
const TOGETHER: usize = 256;
/// How long the last ones may take when the worker stops.
const LAST: Duration = Duration::from_secs(2);

/// Where commits leave their notices.
pub(crate) struct Notices {
    kinds: HashSet<&'static str>,
    sender: mpsc::Sender<JobNotice>,
    dropped: Arc<Dropped>,
}

/// Sends what commits have left.
pub(crate) struct Announcer {
    receiver: mpsc::Receiver<JobNotice>,
    sent: Counter,
    dropped: Arc<Dropped>,
}

/// Notices that nobody will hear.
struct Dropped {
    counter: Counter,
    /// Since it was last said that notices go out again.
    silently: AtomicU64,
}

impl Dropped {
    /// Counts, and says so the first time.
    fn count(&self, notices: u64, why: &str) {
        self.counter.increment(notices);
        if self.silently.fetch_add(notices, Ordering::Relaxed) == 0 {
            warn!(why, "notices are dropped; the jobs themselves are not touched by it");
        }
    }

    fn recovered(&self) {
        let dropped = self.silently.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            info!(dropped, "notices are sent again");
        }
    }
}

impl Notices {
    /// For the kinds whose contract asks for notices, and those that the operator names.
    pub(crate) fn new<'s>(
        specs: impl IntoIterator<Item = &'s KindSpec>,
        switched_on: &[String],
    ) -> (Self, Announcer) {
        let is_on = |spec: &&KindSpec| {
            spec.notices == Wanted::BestEffort || switched_on.iter().any(|kind| kind == spec.kind)
        };
        let kinds = specs.into_iter().filter(is_on).map(|spec| spec.kind).collect();
        let (sender, receiver) = mpsc::channel(ROOM);
        let dropped = Arc::new(Dropped { counter: counter!(NOTICES_DROPPED), silently: AtomicU64::new(0) });
        let announcer = Announcer { receiver, sent: counter!(NOTICES_SENT), dropped: Arc::clone(&dropped) };
        (Self { kinds, sender, dropped }, announcer)
    }

    /// For nobody.
    pub(crate) fn none() -> Self {
        Self::new([], &[]).0
    }

    /// What a transaction of `kind` is about to do, as notices for after its commit. Nothing for a kind without notices.
    pub(crate) fn of(
        &self,
        kind: &'static str,
        ledger: &Ledger,
        items: &[Item],
        now: DateTime<Utc>,
    ) -> Vec<JobNotice> {
        if !self.kinds.contains(kind) {
            return Vec::new();
        }
        let notice = |transition: &Transition| {
            let message = ledger.messages.iter().find(|message| message.job_id == transition.id);
            let item = items.iter().find(|item| item.id == Some(transition.id));
            JobNotice {
                traceparent: item.and_then(|item| item.message.traceparent.clone()),
                ..said(kind, transition, message, now)
            }
        };
        ledger.transitions.iter().map(notice).collect()
    }

    /// Tells of one transition that is committed.
    pub(crate) fn moved(
        &self,
        kind: &'static str,
        transition: &Transition,
        message: Option<&NewMessage>,
        now: DateTime<Utc>,
    ) {
        if self.kinds.contains(kind) {
            self.tell(vec![said(kind, transition, message, now)]);
        }
    }

    /// Leaves notices of what is committed. Never waits.
    pub(crate) fn tell(&self, notices: Vec<JobNotice>) {
        for notice in notices {
            if self.sender.try_send(notice).is_err() {
                self.dropped.count(1, "more happens than the broker takes notices of");
            }
        }
    }
}

impl Announcer {
    /// Sends until `stop`, and then what is left. Whoever waits for the worker's end does not wait for a broker that is away.
    pub(crate) async fn run(mut self, broker: Arc<dyn Broker>, stop: CancellationToken) {
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST).await;
        };
        tokio::select! {
            () = self.send_all(&*broker, &stop) => {}
            () = late => {}
        }
    }

    async fn send_all(&mut self, broker: &dyn Broker, stop: &CancellationToken) {
        let mut batch = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                () = stop.cancelled(), if !self.receiver.is_closed() => self.receiver.close(),
                received = self.receiver.recv_many(&mut batch, TOGETHER) => {
                    if received == 0 {
                        return;
                    }
                    self.send(broker, &mut batch).await;
                }
            }
        }
    }

    async fn send(&self, broker: &dyn Broker, batch: &mut Vec<JobNotice>) {
        let count = batch.len() as u64;
        let notices: Result<Vec<_>, _> = batch.drain(..).map(|notice| notice.notice()).collect();
        let sent = match notices {
            Ok(notices) => broker.announce(&notices).await,
            Err(error) => return self.dropped.count(count, &error.to_string()),
        };
        match sent {
            Ok(()) => {
                self.sent.increment(count);
                self.dropped.recovered();
            }
            Err(error) => self.dropped.count(count, &error.to_string()),
        }
    }
}

fn said(
    kind: &'static str,
    transition: &Transition,
    message: Option<&NewMessage>,
    now: DateTime<Utc>,
) -> JobNotice {
    let state = match transition.state {
        JobState::Running => NoticeState::Running,
        JobState::Succeeded => NoticeState::Succeeded,
        JobState::Failed => NoticeState::Failed,
        JobState::Dead => NoticeState::Dead,
        JobState::Cancelled => NoticeState::Cancelled,
        JobState::Pending => match message.map(|message| message.cause) {
            Some(Cause::Retry | Cause::LeaseExpired) => NoticeState::Retrying,
            Some(Cause::Deferral) => NoticeState::Deferred,
            _ => NoticeState::Queued,
        },
    };
    let error = transition.error.as_ref().map(public).or_else(|| {
        let reason = message.filter(|_| state == NoticeState::Deferred)?.reason.clone()?;
        Some(NoticeError { code: "deferred".to_owned(), text: reason })
    });
    JobNotice {
        version: JobNotice::VERSION,
        job_id: transition.id,
        kind: kind.to_owned(),
        state,
        attempt: transition.attempt,
        seq: transition.next_seq,
        time: now,
        error,
        traceparent: None,
    }
}

fn public(error: &ErrorText) -> NoticeError {
    NoticeError { code: error.code.clone(), text: error.public.clone() }
}

#[cfg(test)]
mod tests {
    use ackord_entities::clock::machine_now;
    use ackord_entities::ids::JobId;
    use ackord_entities::jobs::{Job, catalogue};

    use super::*;

    fn transition(state: JobState) -> Transition {
        Transition {
            id: JobId::new(),
            seq: 1,
            next_seq: 1,
            state,
            attempt: 1,
            deferrals: 0,
            started_at: None,
            error: None,
            result: None,
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        const KIND: &str = ackord_entities::jobs::Synthesis::KIND;
        let (notices, announcer) = Notices::new(catalogue().iter(), &[KIND.to_owned()]);
        for _ in 0..ROOM + 7 {
            notices.moved(KIND, &transition(JobState::Succeeded), None, machine_now());
        }
        assert_eq!(announcer.dropped.silently.load(Ordering::Relaxed), 7);
        assert_eq!(announcer.receiver.len(), ROOM);
    }

    #[test]
    fn a_job_that_waits_again_says_why() {
        let message = |cause| NewMessage {
            job_id: JobId::new(),
            kind: "order".to_owned(),
            seq: 2,
            cause,
            reason: Some("the gate is closed".to_owned()),
            waits_for: None,
            due_at: machine_now(),
        };
        let state = |cause| {
            let said = said("order", &transition(JobState::Pending), Some(&message(cause)), machine_now());
            (said.state, said.error.map(|error| error.text))
        };
        assert_eq!(state(Cause::Deferral), (NoticeState::Deferred, Some("the gate is closed".to_owned())));
        assert_eq!(state(Cause::Retry), (NoticeState::Retrying, None));
        assert_eq!(state(Cause::HandedBack), (NoticeState::Queued, None));
    }
}
