//! The tasks of a node, and the order in which they end.

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

const WORKER: &str = "worker";

/// The tasks of a node.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<&'static str>,
    has_worker: bool,
    stop_worker: CancellationToken,
    stop_rest: CancellationToken,
}

impl Tasks {
    /// Starts the worker. It is told to stop first.
    pub(super) fn spawn_worker<F>(&mut self, worker: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.has_worker = true;
        // The worker stops its own token when one of its parts ends; the others must not follow before it has drained.
        let task = worker(self.stop_worker.child_token());
        self.spawn_named(WORKER, task);
    }

    /// Starts anything else. It is told to stop when the worker has drained.
    pub(super) fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = task(self.stop_rest.clone());
        self.spawn_named(name, task);
    }

    fn spawn_named(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(async move {
            task.await;
            name
        });
    }

    /// Runs until `stop`, then ends them in order.
    ///
    /// # Errors
    /// One ended before it was told to; the others were stopped in order.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut failure = None;
        let mut worker_runs = self.has_worker;
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = self.running.join_next() => {
                worker_runs &= !matches!(ended, Ok(WORKER));
                failure = Some(too_early(ended));
            }
        }
        self.stop_worker.cancel();
        while worker_runs {
            match self.running.join_next().await {
                None | Some(Ok(WORKER)) => worker_runs = false,
                Some(ended) => failure = failure.or(Some(too_early(ended))),
            }
        }
        self.stop_rest.cancel();
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                failure = failure.or(Some(too_early(Err(error))));
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

fn too_early(ended: Result<&'static str, JoinError>) -> anyhow::Error {
    match ended {
        Ok(name) => anyhow::anyhow!("the {name} ended by itself; the log says why"),
        Err(error) => anyhow::Error::from(error).context("a task ended in a panic"),
    }
}
