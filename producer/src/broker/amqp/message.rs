//! Messages on the wire: properties and headers, both ways.

use ackord_entities::envelope::{
    DEATH_QUEUE_HEADER, DEATH_REASON_HEADER, Message, SEQ_HEADER, TRACEPARENT_HEADER, VERSION_HEADER,
};
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::value;
use crate::broker::topology;

/// Kept on disk by durable queues.
const PERSISTENT: u8 = 2;
/// How often a quorum queue handed a message over before. Absent the first time.
const DELIVERY_COUNT_HEADER: &str = "x-delivery-count";
/// The table that grows whenever a message is dead-lettered.
const DEATH_HEADER: &str = "x-death";
/// How often it was handed over at all, which 4.x counts beside it.
const ACQUIRED_COUNT_HEADER: &str = "x-acquired-count";
/// What is told of a death: the server's header for the first one, the entry in its table, and the header of every broker.
const DEATH: [(&str, &str, &str); 2] = [
    ("x-first-death-reason", "reason", DEATH_REASON_HEADER),
    ("x-first-death-queue", "queue", DEATH_QUEUE_HEADER),
];
/// The server's own headers about deaths, all of which say again what stands in the two above.
const DEATH_HEADERS: [&str; 7] = [
    DEATH_HEADER,
    "x-first-death-reason",
    "x-first-death-queue",
    "x-first-death-exchange",
    "x-last-death-reason",
    "x-last-death-queue",
    "x-last-death-exchange",
];

/// Headers larger than this are refused, in bytes: a frame with them would be over what is agreed on, and the server would
/// close the connection over it, again and again.
const MAX_HEADERS: usize = 28 * 1024;

/// A message as it goes out.
pub(super) struct Outgoing {
    pub(super) routing_key: ShortString,
    pub(super) properties: BasicProperties,
}

impl Outgoing {
    /// Routing key, properties and headers of a message on its way to `exchange`; the body travels beside them.
    ///
    /// # Errors
    /// Why the message fits into no AMQP frame.
    pub(super) fn of(message: &Message, exchange: &str) -> Result<Self, String> {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_headers(headers(message)?);
        if let Some(id) = &message.message_id {
            properties = properties.with_message_id(short("message id", id)?);
        }
        let mut routing_key = ShortString::default();
        if let Some(kind) = &message.kind {
            routing_key = short("kind", &topology::routing_key(exchange, kind))?;
            properties = properties.with_type(short("kind", kind)?);
        }
        Ok(Self { routing_key, properties })
    }
}

fn headers(message: &Message) -> Result<FieldTable, String> {
    let mut headers = FieldTable::default();
    let mut bytes = 0;
    for (name, text) in &message.other_headers {
        bytes += name.len() + text.len();
        headers.insert(short("name of a header", name)?, AMQPValue::LongString(text.as_str().into()));
    }
    if bytes > MAX_HEADERS {
        return Err(format!("its headers have {bytes} bytes, the limit is {MAX_HEADERS}"));
    }
    if let Some(version) = message.schema_version {
        headers.insert(VERSION_HEADER.into(), AMQPValue::LongInt(version.into()));
    }
    if let Some(seq) = message.seq {
        headers.insert(SEQ_HEADER.into(), AMQPValue::LongInt(seq));
    }
    if let Some(traceparent) = message.traceparent.as_deref().filter(|text| text.len() <= MAX_HEADERS) {
        headers.insert(TRACEPARENT_HEADER.into(), AMQPValue::LongString(traceparent.into()));
    }
    Ok(headers)
}

/// AMQP's short text. lapin panics where a text is too long for one.
fn short(what: &str, text: &str) -> Result<ShortString, String> {
    ShortString::try_new(text).map_err(|_| format!("its {what} has {} bytes, AMQP allows 255", text.len()))
}

/// A message as it came in, and how often it was handed over before. The server replaces the count only when it hands a
/// message over again: the first time it may be a publisher's. A message that has died RabbitMQ 4 takes for one that it hands
/// over again, with the count of the queue where it died; nobody asks how often a dead letter was handed over. A fence that
/// is not the relay's is none; what it said is kept as text.
pub(super) fn incoming(delivery: Delivery) -> (Message, u32) {
    let Delivery { properties, data: body, redelivered, exchange, routing_key, .. } = delivery;
    let is_relayed = topology::is_relayed(exchange.as_str(), routing_key.as_str());
    let mut message = Message {
        message_id: properties.message_id().as_ref().map(ToString::to_string),
        kind: properties.kind().as_ref().map(ToString::to_string),
        body: Bytes::from(body),
        ..Message::default()
    };
    let mut deliveries_before = 0;
    for (name, found) in properties.headers().iter().flatten() {
        match name.as_str() {
            DELIVERY_COUNT_HEADER => {
                deliveries_before =
                    value::integer(found).and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
            }
            ACQUIRED_COUNT_HEADER => {}
            name if DEATH_HEADERS.contains(&name) => {}
            SEQ_HEADER if !is_relayed => {
                message.other_headers.insert(SEQ_HEADER.to_owned(), value::text(found));
            }
            name => read_header(&mut message, name, found),
        }
    }
    if let Some(headers) = properties.headers() {
        read_death(&mut message, headers);
    }
    (message, if redelivered { deliveries_before } else { 0 })
}

/// A header of which ours have one type and everybody else's may have any. One that means nothing where it should mean
/// something must not count as absent: that would let a message without a fence pass for a direct publish, and any for version 1.
/// It is kept as text, and beside it stands a value that no worker accepts.
fn read_header(message: &mut Message, name: &str, found: &AMQPValue) {
    match name {
        SEQ_HEADER => {
            message.seq = value::integer(found).and_then(|seq| i32::try_from(seq).ok());
            if message.seq.is_some() {
                return;
            }
            // Ahead of every row, so it is dead-lettered and changes none.
            message.seq = Some(i32::MAX);
        }
        VERSION_HEADER => {
            message.schema_version = value::integer(found).and_then(|version| u16::try_from(version).ok());
            if message.schema_version.is_some() {
                return;
            }
            // No version that any program knows.
            message.schema_version = Some(0);
        }
        TRACEPARENT_HEADER => {
            message.traceparent = Some(value::text(found));
            return;
        }
        _ => {}
    }
    message.other_headers.insert(name.to_owned(), value::text(found));
}

/// Why the broker itself gave the message up, in the same two headers for every broker. The first death counts: a later one is
/// that of a dead-letter queue.
fn read_death(message: &mut Message, headers: &FieldTable) {
    let headers = headers.inner();
    let oldest = headers.get(DEATH_HEADER).and_then(AMQPValue::as_array);
    let oldest = oldest.and_then(|deaths| deaths.as_slice().last()?.as_field_table());
    for (first, entry, ours) in DEATH {
        let found = headers.get(first).or_else(|| oldest?.inner().get(entry));
        if let Some(found) = found {
            message.other_headers.insert(ours.to_owned(), value::text(found));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use lapin::types::{ByteArray, DecimalValue, FieldArray};

    use super::*;
    use crate::broker::topology::{DEAD_EXCHANGE, JOBS_EXCHANGE, PUBLISH_EXCHANGE};

    fn with(headers: &[(&str, AMQPValue)]) -> BasicProperties {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), value.clone());
        }
        BasicProperties::default().with_headers(table)
    }

    /// As lapin gives it; the first time.
    fn delivered(properties: BasicProperties, exchange: &str, routing_key: &str) -> Delivery {
        Delivery {
            properties,
            data: b"{}".to_vec(),
            ..Delivery::mock(1, exchange.into(), routing_key.into(), false, Vec::new())
        }
    }

    fn read(headers: &[(&str, AMQPValue)]) -> (Message, u32) {
        incoming(Delivery { redelivered: true, ..delivered(with(headers), JOBS_EXCHANGE, "relayed.a") })
    }

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    #[test]
    fn what_goes_out_comes_in() {
        let message = Message {
            message_id: Some("order-1".to_owned()),
            kind: Some("synthesis".to_owned()),
            schema_version: Some(u16::MAX),
            seq: Some(i32::MIN),
            traceparent: Some("00-1-2-01".to_owned()),
            other_headers: [("x-shop".to_owned(), "Zürich".to_owned())].into(),
            body: Bytes::from_static(b"{}"),
        };
        for (exchange, key) in [(JOBS_EXCHANGE, "relayed.synthesis"), (PUBLISH_EXCHANGE, "synthesis")] {
            assert_eq!(Outgoing::of(&message, exchange).unwrap().routing_key.as_str(), key);
        }
        let Outgoing { routing_key, properties } = Outgoing::of(&message, JOBS_EXCHANGE).unwrap();
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(incoming(delivered(properties, JOBS_EXCHANGE, routing_key.as_str())), (message, 0));
    }

    #[test]
    fn what_fits_into_no_frame_is_refused_with_its_reason() {
        let long = "x".repeat(256);
        let refused = [
            Message { message_id: Some(long.clone()), ..Message::default() },
            Message { kind: Some(long.clone()), ..Message::default() },
            Message { other_headers: [(long, String::new())].into(), ..Message::default() },
            Message {
                other_headers: [("a".to_owned(), "x".repeat(MAX_HEADERS))].into(),
                ..Message::default()
            },
        ];
        for message in refused {
            let reason = Outgoing::of(&message, PUBLISH_EXCHANGE).err().unwrap();
            assert!(reason.contains("bytes"), "{reason}");
        }
    }

    #[test]
    fn numbers_of_any_width_and_digits_in_a_text_are_a_seq_and_a_version() {
        let values = [
            AMQPValue::ShortShortInt(3),
            AMQPValue::ShortShortUInt(3),
            AMQPValue::ShortInt(3),
            AMQPValue::ShortUInt(3),
            AMQPValue::LongInt(3),
            AMQPValue::LongUInt(3),
            AMQPValue::LongLongInt(3),
            text("3"),
        ];
        for value in values {
            let (message, _) = read(&[(SEQ_HEADER, value.clone()), (VERSION_HEADER, value.clone())]);
            assert_eq!((message.seq, message.schema_version), (Some(3), Some(3)), "{value:?}");
            assert!(message.other_headers.is_empty());
        }
    }

    #[test]
    fn a_seq_or_version_that_means_nothing_does_not_pass_for_none() {
        let values = [
            (text("soon"), "soon"),
            (AMQPValue::Boolean(true), "true"),
            (AMQPValue::LongLongInt(i64::MAX), "9223372036854775807"),
            (AMQPValue::Void, ""),
            (AMQPValue::Double(1.5), "1.5"),
        ];
        for (value, shown) in values {
            let (message, _) = read(&[(SEQ_HEADER, value.clone()), (VERSION_HEADER, value.clone())]);
            assert_eq!((message.seq, message.schema_version), (Some(i32::MAX), Some(0)), "{value:?}");
            assert_eq!(message.other_headers[SEQ_HEADER], shown);
            assert_eq!(message.other_headers[VERSION_HEADER], shown);
        }
    }

    #[test]
    fn a_fence_counts_only_if_the_relay_has_written_it() {
        let seq = |exchange, key| {
            let (message, _) =
                incoming(delivered(with(&[(SEQ_HEADER, AMQPValue::LongInt(3))]), exchange, key));
            let said = message.other_headers.get(SEQ_HEADER).cloned();
            assert_eq!(message.seq.is_none(), said.as_deref() == Some("3"), "{said:?}");
            message.seq
        };
        for (exchange, key) in [(JOBS_EXCHANGE, "relayed.a"), (DEAD_EXCHANGE, "relayed.a")] {
            assert_eq!(seq(exchange, key), Some(3), "{exchange}");
        }
        let others = [
            (PUBLISH_EXCHANGE, "a"),
            (PUBLISH_EXCHANGE, "relayed.a"),
            ("", "ackord.a"),
            (DEAD_EXCHANGE, "a"),
            (DEAD_EXCHANGE, "ackord.a"),
            ("amq.topic", "relayed.a"),
        ];
        for (exchange, key) in others {
            assert_eq!(seq(exchange, key), None, "{exchange} {key}");
        }
    }

    #[test]
    fn foreign_headers_of_any_type_become_text() {
        let mut table = FieldTable::default();
        table.insert("a".into(), AMQPValue::LongInt(1));
        let array = FieldArray::from(vec![AMQPValue::Boolean(false), AMQPValue::FieldTable(table.clone())]);
        let (message, _) = read(&[
            ("bool", AMQPValue::Boolean(true)),
            ("long", AMQPValue::LongLongInt(-7)),
            ("time", AMQPValue::Timestamp(1_700_000_000)),
            ("double", AMQPValue::Double(0.5)),
            ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 105 })),
            ("bytes", AMQPValue::ByteArray(ByteArray::from(vec![0xff, b'a']))),
            ("broken", AMQPValue::LongString(vec![0xff, b'a'].into())),
            ("none", AMQPValue::Void),
            ("array", AMQPValue::FieldArray(array)),
            ("table", AMQPValue::FieldTable(table)),
        ]);
        let shown: Vec<_> =
            message.other_headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("array", r#"[false,{"a":1}]"#),
                ("bool", "true"),
                ("broken", "\u{fffd}a"),
                ("bytes", "\u{fffd}a"),
                ("decimal", "1.05"),
                ("double", "0.5"),
                ("long", "-7"),
                ("none", ""),
                ("table", r#"{"a":1}"#),
                ("time", "1700000000"),
            ]
        );
    }

    #[test]
    fn the_delivery_count_is_no_header_of_the_message() {
        let (message, before) = read(&[
            (DELIVERY_COUNT_HEADER, AMQPValue::LongLongInt(4)),
            (ACQUIRED_COUNT_HEADER, AMQPValue::LongLongInt(9)),
        ]);
        assert_eq!(before, 4);
        assert!(message.other_headers.is_empty());
    }

    #[test]
    fn a_publishers_delivery_count_counts_for_nothing() {
        let properties = with(&[(DELIVERY_COUNT_HEADER, AMQPValue::LongLongInt(4))]);
        let (message, before) = incoming(delivered(properties, PUBLISH_EXCHANGE, "a"));
        assert_eq!(before, 0);
        assert!(message.other_headers.is_empty());
    }

    #[test]
    fn the_first_death_is_told_in_the_headers_of_every_broker() {
        let death = |reason: &str, queue: &str| {
            let mut death = FieldTable::default();
            death.insert("reason".into(), text(reason));
            death.insert("queue".into(), text(queue));
            death.insert("count".into(), AMQPValue::LongLongInt(1));
            AMQPValue::FieldTable(death)
        };
        let deaths = AMQPValue::FieldArray(FieldArray::from(vec![
            death("expired", "later"),
            death("rejected", "ackord.a"),
        ]));
        let told = [
            (DEATH_QUEUE_HEADER.to_owned(), "ackord.a".to_owned()),
            (DEATH_REASON_HEADER.to_owned(), "rejected".to_owned()),
        ];
        let (message, _) = read(&[(DEATH_HEADER, deaths.clone())]);
        assert_eq!(message.other_headers, told.clone().into());
        let (message, _) = read(&[
            (DEATH_HEADER, death("expired", "no array")),
            ("x-first-death-reason", text("rejected")),
            ("x-first-death-queue", text("ackord.a")),
            ("x-first-death-exchange", text("ackord.jobs")),
            ("x-last-death-reason", text("expired")),
        ]);
        assert_eq!(message.other_headers, told.into());
    }
}
