//! What a broker can answer instead of what was asked.

/// A broker's refusal. None of them is a job's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// It takes no messages at the moment.
    #[error("the broker takes no messages at the moment: {reason}")]
    Blocked {
        /// Why.
        reason: String,
    },
    /// It is not there.
    #[error("the broker is closed")]
    Closed,
    /// The queue does not exist.
    #[error("there is no queue `{queue}`: apply the topology")]
    NoSuchQueue {
        /// Its name.
        queue: String,
    },
    /// The exchange does not exist.
    #[error("there is no exchange `{exchange}`: apply the topology")]
    NoSuchExchange {
        /// Its name.
        exchange: String,
    },
    /// What is declared differs from what is there.
    #[error(
        "queue `{queue}` exists with another {what}: it is {found}, wanted is {wanted}. Drain and delete it by hand, or keep the old value"
    )]
    Mismatch {
        /// The queue.
        queue: String,
        /// Which argument.
        what: &'static str,
        /// Its value there.
        found: String,
        /// The value that was asked for.
        wanted: String,
    },
}
