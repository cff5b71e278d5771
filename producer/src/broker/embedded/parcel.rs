//! A message with what the broker knows about it.

use ackord_entities::envelope::{Message, SEQ_HEADER};

use crate::broker::topology::JOBS_EXCHANGE;

/// A message in the broker. It is moved about in its box: from queue to consumer and back.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) message: Message,
    /// Its place in its queue. Given by the queue, kept until it is settled.
    pub(super) position: u64,
    /// Hand-overs that went wrong.
    pub(super) deliveries: u32,
}

/// Bookkeeping of one parcel beside its own fields: the slot of its box in the queue, and what the allocator adds to its
/// box, two strings and the shared body.
const OVERHEAD: usize = 128;
/// Bookkeeping of one further header: two strings in a tree.
const HEADER_OVERHEAD: usize = 2 * (size_of::<String>() + 16);

impl Parcel {
    /// What arrives at `exchange`. A fence that is not the relay's is none; what it said is kept as text.
    pub(super) fn new(exchange: &str, mut message: Message) -> Box<Self> {
        if exchange != JOBS_EXCHANGE
            && let Some(seq) = message.seq.take()
        {
            message.other_headers.insert(SEQ_HEADER.to_owned(), seq.to_string());
        }
        Box::new(Self { message, position: 0, deliveries: 0 })
    }

    /// Bytes that it takes. The same for as long as the message does not change.
    pub(super) fn weight(&self) -> usize {
        let message = &self.message;
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let headers = &message.other_headers;
        let headers: usize =
            headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD).sum();
        size_of::<Self>()
            + OVERHEAD
            + text(&message.message_id)
            + text(&message.kind)
            + text(&message.traceparent)
            + headers
            + message.body.len()
    }
}
