//! Settling, from any thread: what is whose is decided here, what the server is told is queued for the consumer's task.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::broker::Tag;
use crate::broker::settle::Settle;

/// What the task of a consumer is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ack { number: u64, multiple: bool },
    Reject { number: u64, requeue: bool },
    Nack { number: u64 },
    Stop,
    SetPrefetch(usize),
}

/// The deliveries that are out. Empty for ever once the channel is gone, which makes every tag stale.
#[derive(Default)]
pub(super) struct Unsettled {
    numbers: Mutex<Option<BTreeSet<u64>>>,
}

impl Unsettled {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { numbers: Mutex::new(Some(BTreeSet::new())) })
    }

    /// A delivery is handed over.
    pub(super) fn insert(&self, number: u64) {
        if let Some(numbers) = &mut *self.numbers() {
            numbers.insert(number);
        }
    }

    /// The channel is gone: the messages are under way again, and no tag settles anything.
    pub(super) fn close(&self) {
        *self.numbers() = None;
    }

    fn numbers(&self) -> MutexGuard<'_, Option<BTreeSet<u64>>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles for one consumer. When the last clone is gone the commands end, and with them the channel.
pub(super) struct AmqpSettler {
    pub(super) consumer: u64,
    pub(super) unsettled: Arc<Unsettled>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
}

impl AmqpSettler {
    /// Takes one delivery out and tells the server. Both under the lock: an ack of many must not overtake what was settled
    /// before it.
    fn settle(&self, tag: Tag, command: Command) -> bool {
        let mut numbers = self.unsettled.numbers();
        let Some(numbers) = numbers.as_mut().filter(|_| tag.consumer == self.consumer) else { return false };
        if !numbers.contains(&tag.number) {
            return false;
        }
        if let Command::Ack { multiple: true, .. } = command {
            *numbers = numbers.split_off(&(tag.number + 1));
        } else {
            numbers.remove(&tag.number);
        }
        self.commands.send(command).is_ok()
    }
}

impl Settle for AmqpSettler {
    fn ack(&self, tag: Tag, multiple: bool) -> bool {
        self.settle(tag, Command::Ack { number: tag.number, multiple })
    }

    fn reject(&self, tag: Tag) -> bool {
        self.settle(tag, Command::Reject { number: tag.number, requeue: false })
    }

    fn requeue(&self, tag: Tag) -> bool {
        self.settle(tag, Command::Reject { number: tag.number, requeue: true })
    }

    fn hand_back(&self, tag: Tag) -> bool {
        self.settle(tag, Command::Nack { number: tag.number })
    }

    fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
    }

    fn set_prefetch(&self, prefetch: usize) {
        let _ = self.commands.send(Command::SetPrefetch(prefetch));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn settler(numbers: &[u64]) -> (AmqpSettler, mpsc::UnboundedReceiver<Command>) {
        #[expect(clippy::disallowed_methods, reason = "a test with a handful of commands")]
        let (commands, orders) = mpsc::unbounded_channel();
        let unsettled = Unsettled::new();
        for number in numbers {
            unsettled.insert(*number);
        }
        (AmqpSettler { consumer: 7, unsettled, commands }, orders)
    }

    fn tag(number: u64) -> Tag {
        Tag { consumer: 7, number }
    }

    #[test]
    fn a_tag_is_settled_once_and_only_by_its_own_consumer() {
        let (settler, mut orders) = settler(&[1, 2]);
        assert!(!settler.ack(Tag { consumer: 8, number: 1 }, true));
        assert!(settler.requeue(tag(1)));
        assert!(!settler.hand_back(tag(1)));
        assert!(!settler.ack(tag(3), true));
        assert_eq!(orders.try_recv().unwrap(), Command::Reject { number: 1, requeue: true });
        assert!(orders.try_recv().is_err());
    }

    #[test]
    fn an_ack_of_many_settles_all_up_to_it_and_none_behind() {
        let (settler, _orders) = settler(&[1, 2, 4, 5]);
        assert!(settler.ack(tag(2), false));
        assert!(settler.ack(tag(4), true));
        assert_eq!([1, 2, 4].map(|number| settler.reject(tag(number))), [false; 3]);
        assert!(settler.reject(tag(5)));
    }

    #[test]
    fn when_the_channel_is_gone_every_tag_is_stale() {
        let (settler, mut orders) = settler(&[1]);
        settler.unsettled.close();
        settler.unsettled.insert(2);
        assert!(!settler.ack(tag(1), false) && !settler.ack(tag(2), false));
        assert!(orders.try_recv().is_err());
    }
}
