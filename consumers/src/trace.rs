//! The spans of the worker: see [`ackord_producer::trace`].

use ackord_entities::ids::JobId;
use ackord_producer::trace::{SPANS, continue_from};
use tracing::{Span, info_span};

use crate::error::JobError;
use crate::runtime::Item;

/// A delivery, from its arrival until it is settled. It continues the trace that its message carries.
pub(crate) fn process(kind: &str, id: JobId, attempt: u32, item: &Item) -> Span {
    let span = info_span!(
        target: SPANS,
        "process",
        otel.name = format_args!("process {kind}"),
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = &*item.queue,
        messaging.message.id = %id,
        messaging.message.body.size = item.message.body.len(),
        job.id = %id,
        job.kind = kind,
        job.attempt = attempt,
    );
    continue_from(&span, item.message.traceparent.as_deref());
    span
}

/// The slow half of a job.
pub(crate) fn perform(parent: &Span) -> Span {
    if parent.is_disabled() {
        return Span::none();
    }
    info_span!(target: SPANS, parent: parent, "perform", otel.status_code = tracing::field::Empty, error.r#type = tracing::field::Empty)
}

/// Says that what `span` covers went wrong. A deferral did not.
pub(crate) fn failed(span: &Span, error: &JobError) {
    let code = match error {
        JobError::Transient(failure) | JobError::Permanent(failure) | JobError::Failed(failure) => {
            &*failure.code
        }
        JobError::TransientAfter { failure, .. } => &*failure.code,
        JobError::Unavailable { .. } => "unavailable",
        JobError::Deferred { .. } => return,
    };
    span.record("otel.status_code", "ERROR");
    span.record("error.type", code);
}

/// One group commit: a span below each job that is part of it. Empty without a trace.
pub(crate) fn commit(items: &[Item]) -> Vec<Span> {
    let traced = items.iter().filter(|item| !item.span.is_disabled());
    traced
        .map(|item| info_span!(target: SPANS, parent: &item.span, "commit", ackord.group.jobs = items.len()))
        .collect()
}
