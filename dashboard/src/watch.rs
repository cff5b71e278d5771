//! Progress as a stream of server-sent events. The database is looked at again and again: any process may do the work.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::api::Api;
use crate::metrics::Counted;
use crate::problem::Problem;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// A comment is sent when nothing else was for so long, so that nobody in between gives the connection up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Something whose progress can be looked at.
pub(crate) trait Watched: Send + 'static {
    /// What is told of it.
    type Progress: Serialize + PartialEq + Send;

    /// How far it is; `None` when it is gone.
    fn look(&self, api: &Api) -> impl Future<Output = Result<Option<Self::Progress>, Problem>> + Send;

    /// Whether nothing more will happen by itself.
    fn has_ended(progress: &Self::Progress) -> bool;
}

/// Tells each change as an event `progress`, the last one as an event `end`, and ends.
///
/// # Errors
/// It is not there; there are too many streams already.
pub(crate) async fn stream<W: Watched>(
    api: Api,
    watched: W,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let permit = api.streams().try_acquire_owned().map_err(|_| {
        Problem::unavailable("too_many_streams", "too many streams are open: poll the progress instead", 5)
    })?;
    let first = watched.look(&api).await?.ok_or_else(|| Problem::not_found("there is no such thing"))?;
    let begun = Stage::Tell(first);
    let state =
        Watching { api, watched, stage: begun, number: 0, _permit: permit, _counted: Counted::stream() };
    Ok(Sse::new(unfold(state, next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Watching<W: Watched> {
    api: Api,
    watched: W,
    stage: Stage<W::Progress>,
    number: u64,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

enum Stage<P> {
    /// A change is known.
    Tell(P),
    /// This was told last.
    Wait(P),
    Ended,
}

async fn next<W: Watched>(mut state: Watching<W>) -> Option<(Result<Event, Infallible>, Watching<W>)> {
    loop {
        match std::mem::replace(&mut state.stage, Stage::Ended) {
            Stage::Ended => return None,
            Stage::Tell(progress) => {
                let ended = W::has_ended(&progress);
                let event = Event::default().event(if ended { "end" } else { "progress" });
                let event = event.id(state.number.to_string()).json_data(&progress).ok()?;
                state.number += 1;
                if !ended {
                    state.stage = Stage::Wait(progress);
                }
                return Some((Ok(event), state));
            }
            Stage::Wait(last) => {
                tokio::select! {
                    () = state.api.stop().cancelled() => return None,
                    () = tokio::time::sleep(LOOK) => {}
                }
                state.stage = match state.watched.look(&state.api).await {
                    Ok(None) => return None,
                    Ok(Some(progress)) if progress != last => Stage::Tell(progress),
                    // A database that is away comes back; the caller may hang up any time.
                    Ok(Some(_)) | Err(_) => Stage::Wait(last),
                };
            }
        }
    }
}
