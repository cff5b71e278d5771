//! Reading deliveries: who is it, which kind, which payload. Nothing is written here but the ids of foreign messages.

use std::sync::Arc;

use ackord_entities::ids::JobId;
use ackord_entities::jobs::PayloadError;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::message_id;
use ackord_producer::broker::Delivery;
use sea_orm::DbErr;
use tracing::Span;

use super::item::{Expect, Item, Work};
use super::settle::Settlements;
use super::shared::Shared;
use crate::handler::Failure;
use crate::registry::{Decoded, ErasedHandler};

/// A delivery that was read.
pub(crate) struct Received {
    pub(crate) item: Item,
    /// The payload, unless the item is to be given up.
    pub(crate) decoded: Option<Decoded>,
    pub(crate) deliveries_before: u32,
}

/// Reads a batch of deliveries of one kind.
///
/// # Errors
/// The database, when a foreign message id has to be looked up.
pub(crate) async fn read(
    shared: &Shared,
    handler: &dyn ErasedHandler,
    settlements: &Arc<Settlements>,
    batch: &[Delivery],
) -> Result<Vec<Received>, DbErr> {
    let mut received: Vec<Received> =
        batch.iter().map(|delivery| read_one(handler, settlements, delivery)).collect();
    let foreign: Vec<usize> = (0..received.len()).filter(|index| needs_id(&received[*index])).collect();
    if !foreign.is_empty() {
        let resolved = async {
            let tx = shared.database.begin().await?;
            let now = shared.database.clock().now(&tx).await?;
            for index in foreign {
                let message_id = received[index].item.message.message_id.clone().unwrap_or_default();
                received[index].item.id =
                    Some(message_id::resolve(&tx, handler.spec().kind, &message_id, now).await?);
            }
            tx.commit().await
        };
        shared.database.within_limit(resolved).await?;
    }
    Ok(received)
}

fn needs_id(received: &Received) -> bool {
    received.item.id.is_none() && !matches!(received.item.work, Work::GiveUp(..))
}

fn read_one(handler: &dyn ErasedHandler, settlements: &Arc<Settlements>, delivery: &Delivery) -> Received {
    let message = &delivery.message;
    let id = message.job_id();
    let (work, decoded) = match decode(handler, delivery, id) {
        Ok(decoded) => (Work::Unperformed, Some(decoded)),
        Err(work) => (work, None),
    };
    Received {
        item: Item {
            id,
            message: message.clone(),
            queue: Arc::clone(&delivery.queue),
            expect: Expect::Delivery(delivery.tag, Arc::clone(settlements)),
            turn: None,
            work,
            started: None,
            in_flight: None,
            was_suspect: false,
            keeper: None,
            span: Span::none(),
            skip_abandon: false,
        },
        decoded,
        deliveries_before: delivery.deliveries_before,
    }
}

fn decode(handler: &dyn ErasedHandler, delivery: &Delivery, id: Option<JobId>) -> Result<Decoded, Work> {
    let spec = handler.spec();
    let message = &delivery.message;
    match message.kind.as_deref() {
        Some(kind) if kind == spec.kind => {}
        kind => {
            return Err(give_up(
                Reason::UnknownKind,
                "unknown_kind",
                &format!(
                    "the message names {}, its queue is for `{}`",
                    kind.map_or_else(
                        || "no kind (property `type`)".to_owned(),
                        |kind| format!("kind `{kind}`")
                    ),
                    spec.kind
                ),
            ));
        }
    }
    if message.message_id.as_deref().is_none_or(|id| id.is_empty() || id.contains('\0')) {
        return Err(give_up(
            Reason::NoMessageId,
            "no_message_id",
            "the message has no message_id that can be kept: without one, a second delivery could not be told from a second job",
        ));
    }
    if message.seq.is_none() && !spec.accepts_direct {
        return Err(give_up(
            Reason::NotAccepted,
            "not_accepted",
            &format!(
                "`{}` takes no messages past enqueue: publish with `ackord publish {0}` or the library",
                spec.kind
            ),
        ));
    }
    if message.seq.is_some() && id.is_none() {
        return Err(give_up(
            Reason::Orphaned,
            "orphaned",
            "the message carries a seq, but its id is no job id",
        ));
    }
    let version = message.schema_version.unwrap_or(1);
    handler.decode(version, &message.body).map_err(|error| match error {
        PayloadError::NewerVersion { .. } => {
            Work::NewerVersion(Failure::new(error.code(), error.to_string()))
        }
        error => give_up(Reason::Undecodable, error.code(), &error.to_string()),
    })
}

fn give_up(reason: Reason, code: &str, text: &str) -> Work {
    Work::GiveUp(reason, Failure::new(code, text))
}
