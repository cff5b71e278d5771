//! Traces: how a publisher's trace goes with its job, and on to what the job publishes.
//!
//! Spans are `tracing` spans of the target [`SPANS`]; whoever installs a layer for OpenTelemetry gets them, by the messaging
//! conventions of OpenTelemetry. Between processes goes the W3C header `traceparent`. Without such a layer a span costs the
//! check that nobody wants it, and a traceparent that came in goes out as it came.
//!
//! | span | kind | parent | covers |
//! |---|---|---|---|
//! | `publish <kind>` | producer | the caller's span, or the traceparent he gives | `enqueue`, until the rows are written |
//! | `relay` | producer | none; links to the messages it sends, up to 128 | one confirm window |
//! | `process <kind>` | consumer | what the message carries: its publishing | a delivery, until it is settled |
//! | `perform` | internal | `process` | the slow half |
//! | `commit` | internal | `process` | a group commit that the job was part of |
//!
//! A follow-up's `publish` is a child of the `process` that published it. A retry is one more `process` below the same `publish`.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of every span that belongs to a trace. Logs leave it out.
pub const SPANS: &str = "ackord::spans";

/// Links that a span may have, by the limits of OpenTelemetry.
const MOST_LINKS: usize = 128;

/// A job, or several of one kind, being published. Answers the span and the traceparent that the jobs carry.
pub(crate) fn publish(kind: &str, jobs: usize, given: Option<&str>) -> (Span, Option<String>) {
    let span = info_span!(
        target: SPANS,
        "publish",
        otel.name = format_args!("publish {kind}"),
        otel.kind = "producer",
        messaging.system = "ackord",
        messaging.operation.name = "publish",
        messaging.operation.r#type = "create",
        messaging.destination.name = kind,
        messaging.batch.message_count = jobs,
    );
    continue_from(&span, given);
    let carried =
        traceparent(&span).or_else(|| given.map(str::to_owned)).or_else(|| traceparent(&Span::current()));
    (span, carried)
}

/// One confirm window.
pub(crate) fn relay<'m>(
    exchange: &str,
    traceparents: impl ExactSizeIterator<Item = Option<&'m str>>,
) -> Span {
    let span = info_span!(
        target: SPANS,
        "relay",
        otel.kind = "producer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "relay",
        messaging.operation.r#type = "send",
        messaging.destination.name = exchange,
        messaging.batch.message_count = traceparents.len(),
    );
    if !span.is_disabled() {
        traceparents.flatten().filter_map(parse).take(MOST_LINKS).for_each(|context| span.add_link(context));
    }
    span
}

/// Lets `span` continue the trace of `traceparent`, if that is one.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(parent) = traceparent.and_then(parse) {
        // Fails without a layer for OpenTelemetry; then there is no trace to continue.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// What a message carries that `span` publishes. `None` where `span` is in no trace.
#[must_use]
pub fn traceparent(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| {
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
    })
}

/// Reads a traceparent: version, trace, span and flags in hex. <https://www.w3.org/TR/trace-context/#traceparent-header>
fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    // A later version may have more parts; this one has four.
    let fits = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !fits || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::sampled("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true)]
    #[case::of_a_later_version("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true)]
    #[case::with_a_part_too_many("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false)]
    #[case::without_a_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false)]
    #[case::in_capitals("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false)]
    #[case::forbidden_version("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false)]
    #[case::anything_else("tea", false)]
    fn a_traceparent_is_read_as_it_is_defined(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(parse(text).is_some(), is_one);
    }

    #[test]
    fn without_a_layer_what_came_in_goes_out() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(publish("tea", 1, Some(given)).1.as_deref(), Some(given));
        assert_eq!(publish("tea", 1, None).1, None);
    }
}
