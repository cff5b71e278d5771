//! What can be chosen about the embedded broker.

/// Options of the embedded broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// How many bytes of messages it holds, bodies and bookkeeping, waiting or out unsettled, before it takes no more.
    /// It takes messages again at three quarters of it. A window is taken whole, so that the last one may go over.
    pub memory_limit: usize,
}

impl Default for EmbeddedOptions {
    /// 64 MiB: about 150,000 waiting jobs with a small payload.
    fn default() -> Self {
        Self { memory_limit: 64 * 1024 * 1024 }
    }
}
