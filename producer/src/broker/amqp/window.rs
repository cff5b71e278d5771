//! What becomes of the messages of one window.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use ackord_entities::envelope::Message;
use futures::FutureExt;
use lapin::message::BasicReturnMessage;
use lapin::types::ShortString;
use lapin::{Confirmation, PublisherConfirm};
use tokio::time::{Instant, sleep};

use crate::broker::Confirm;

/// How often within the patience of a window it is looked whether anything was confirmed.
const LOOKS: u32 = 4;

/// The messages of a window, and what is known of each.
pub(super) struct Window<'a> {
    messages: &'a [Message],
    /// Of those that were sent, in their order.
    places: Vec<Place>,
    returned: Vec<BasicReturnMessage>,
    /// Since the last look.
    answered: usize,
    nacked: bool,
}

/// What is known of one message.
pub(super) enum Place {
    /// It was sent.
    Sent(PublisherConfirm),
    /// It is known.
    Known(Confirm),
}

impl<'a> Window<'a> {
    pub(super) fn new(messages: &'a [Message]) -> Self {
        Self {
            messages,
            places: Vec::with_capacity(messages.len()),
            returned: Vec::new(),
            answered: 0,
            nacked: false,
        }
    }

    /// Notes the next message.
    pub(super) fn push(&mut self, place: Place) {
        self.places.push(place);
    }

    /// Waits until each message that was sent is answered for, at most until `deadline`, and not longer than `patience` after the
    /// last answer.
    ///
    /// # Errors
    /// The channel or its connection was lost.
    pub(super) async fn wait(&mut self, patience: Duration, deadline: Instant) -> lapin::Result<()> {
        let mut quiet_since = Instant::now();
        let mut timer = pin!(sleep(patience / LOOKS));
        for index in 0..self.places.len() {
            while let Place::Sent(confirm) = &mut self.places[index] {
                tokio::select! {
                    biased;
                    confirmation = confirm => self.note(index, confirmation?),
                    () = &mut timer => {
                        // Others may be answered behind one that is not.
                        self.look()?;
                        let now = Instant::now();
                        if std::mem::take(&mut self.answered) > 0 {
                            quiet_since = now;
                        }
                        if now >= deadline || now.duration_since(quiet_since) >= patience {
                            return Ok(());
                        }
                        timer.as_mut().reset(now + patience / LOOKS);
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes every answer that is there, and waits for none.
    fn look(&mut self) -> lapin::Result<()> {
        for index in 0..self.places.len() {
            if let Place::Sent(confirm) = &mut self.places[index]
                && let Some(confirmation) = confirm.now_or_never()
            {
                self.note(index, confirmation?);
            }
        }
        Ok(())
    }

    /// Whether a message was sent and not answered for, or not sent.
    pub(super) fn is_open(&self) -> bool {
        self.places.len() < self.messages.len()
            || self.places.iter().any(|place| matches!(place, Place::Sent(_)))
    }

    fn note(&mut self, index: usize, confirmation: Confirmation) {
        self.answered += 1;
        let (confirm, returned) = match confirmation {
            Confirmation::Ack(returned) => (Confirm::Confirmed, returned),
            Confirmation::Nack(returned) => {
                self.nacked = true;
                let reason = "the broker refused it: its queue is full, or has no leader at the moment";
                (Confirm::Refused(reason.to_owned()), returned)
            }
            Confirmation::NotRequested => {
                self.nacked = true;
                (Confirm::Refused("the broker was not asked to confirm it".to_owned()), None)
            }
        };
        self.returned.extend(returned);
        self.places[index] = Place::Known(confirm);
    }

    /// The answers in the order of the messages, and whether the channel is as good as new. The channel of a window that
    /// [is open](Self::is_open) has to be closed before: only then are all returned messages found that were answered for.
    pub(super) fn close(mut self) -> (Vec<Confirm>, bool) {
        let was_answered = !self.is_open();
        for index in 0..self.places.len() {
            if let Place::Sent(confirm) = &mut self.places[index]
                && let Some(Ok(confirmation)) = confirm.now_or_never()
            {
                self.note(index, confirmation);
            }
        }
        let returned = std::mem::take(&mut self.returned);
        let mut confirms: Vec<Confirm> = self
            .places
            .into_iter()
            .map(|place| match place {
                Place::Known(confirm) => confirm,
                Place::Sent(_) => Confirm::Unanswered,
            })
            .collect();
        confirms.resize(self.messages.len(), Confirm::Unanswered);
        settle_returned(self.messages, &returned, &mut confirms);
        (confirms, was_answered && !self.nacked)
    }
}

/// Finds the messages that were returned. lapin gives a returned message with whichever confirm comes next, and those of
/// one acknowledgement in no order; it is always one of the window's, since the server sends the return before the confirm.
/// So they are found by what they carry. Where two messages carry the same, either both were returned or it does not matter
/// which was.
fn settle_returned(messages: &[Message], returned: &[BasicReturnMessage], confirms: &mut [Confirm]) {
    if returned.is_empty() {
        return;
    }
    let mut places: HashMap<_, VecDeque<usize>> = HashMap::new();
    for (index, message) in messages.iter().enumerate() {
        let key = (message.message_id.as_deref(), message.kind.as_deref());
        places.entry(key).or_default().push_back(index);
    }
    for returned in returned {
        let (id, kind) = (returned.properties.message_id().as_ref(), returned.properties.kind().as_ref());
        let key = (id.map(ShortString::as_str), kind.map(ShortString::as_str));
        if let Some(index) = places.get_mut(&key).and_then(VecDeque::pop_front) {
            confirms[index] = Confirm::Refused(unroutable(returned));
        }
    }
}

fn unroutable(returned: &BasicReturnMessage) -> String {
    let BasicReturnMessage { delivery, reply_code, reply_text } = returned;
    let kind = delivery.properties.kind().as_ref().unwrap_or(&delivery.routing_key);
    format!("no queue is bound to `{kind}` at the exchange {} ({reply_code} {reply_text})", delivery.exchange)
}
