//! A message as it travels: payload, properties and headers.
//!
//! | part | AMQP | meaning |
//! |---|---|---|
//! | [`Message::message_id`] | property `message_id` | the job id, or a foreign publisher's own id |
//! | [`Message::kind`] | property `type` | the kind |
//! | body | body, `application/json` | the payload |
//! | [`Message::schema_version`] | header `x-schema-version` | version of the payload's shape; absent means 1 |
//! | [`Message::seq`] | header `x-ackord-seq` | the fence; absent means that the message did not pass `enqueue`. It counts on the relay's messages only |
//! | [`Message::traceparent`] | header `traceparent` | W3C trace context |

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::JobId;

/// Header that carries the fence.
pub const SEQ_HEADER: &str = "x-ackord-seq";
/// Header that carries the version of the payload's shape.
pub const VERSION_HEADER: &str = "x-schema-version";
/// Header that carries the W3C trace context.
pub const TRACEPARENT_HEADER: &str = "traceparent";
/// Header in which a broker says why it dead-lettered a message by itself.
pub const DEATH_REASON_HEADER: &str = "x-ackord-death-reason";
/// Header in which a broker says from which queue it dead-lettered a message.
pub const DEATH_QUEUE_HEADER: &str = "x-ackord-death-queue";

/// A message. Cheap to clone: the body is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The job id, or a foreign id.
    pub message_id: Option<String>,
    /// The kind.
    pub kind: Option<String>,
    /// Version of the payload's shape.
    pub schema_version: Option<u16>,
    /// The fence. A broker gives it with the relay's messages only: on anybody else's it is one of the other headers.
    pub seq: Option<i32>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Headers that ackord does not read.
    pub other_headers: BTreeMap<String, String>,
    /// The payload, as bytes of JSON.
    pub body: Bytes,
}

impl Message {
    /// The message id as a job id: a foreign id that is a UUIDv7 is one.
    #[must_use]
    pub fn job_id(&self) -> Option<JobId> {
        let id = uuid::Uuid::parse_str(self.message_id.as_deref()?).ok()?;
        (id.get_version() == Some(uuid::Version::SortRand)).then_some(JobId(id))
    }

    /// Properties and headers as a JSON object, for dead letters and for people.
    #[must_use]
    pub fn headers_json(&self) -> serde_json::Value {
        let mut headers = serde_json::Map::new();
        let mut put = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                headers.insert(name.to_owned(), value);
            }
        };
        put("message_id", self.message_id.clone().map(Into::into));
        put("type", self.kind.clone().map(Into::into));
        put(VERSION_HEADER, self.schema_version.map(Into::into));
        put(SEQ_HEADER, self.seq.map(Into::into));
        put(TRACEPARENT_HEADER, self.traceparent.clone().map(Into::into));
        for (name, value) in &self.other_headers {
            put(name, Some(value.clone().into()));
        }
        headers.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_seven_uuid_is_a_job_id() {
        let id = JobId::new();
        let message = |text: &str| Message { message_id: Some(text.to_owned()), ..Message::default() };
        assert_eq!(message(&id.to_string()).job_id(), Some(id));
        assert_eq!(message("order-4711").job_id(), None);
        assert_eq!(message("f47ac10b-58cc-4372-a567-0e02b2c3d479").job_id(), None);
        assert_eq!(Message::default().job_id(), None);
    }
}
