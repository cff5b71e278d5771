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
    /// It is there, and has not said in time whether it did what was asked. It may have done it, or do it yet.
    #[error("the broker does not answer for {what}: its queue may have no leader")]
    Unanswered {
        /// What was asked for.
        what: String,
    },
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
        "`{queue}` exists with another {what}: it is {found}, wanted is {wanted}. Drain and delete it by hand, or keep the old value"
    )]
    Mismatch {
        /// The queue or exchange.
        queue: String,
        /// Which of its properties.
        what: String,
        /// Its value there.
        found: String,
        /// The value that was asked for.
        wanted: String,
    },
    /// It does not let us: a permission is missing, or something else that the server forbids.
    #[error("the broker refuses {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The server's words, and what to do.
        reason: String,
    },
}

impl BrokerError {
    /// The same as something that is not as it has to be, where it is about that.
    pub(crate) fn into_difference(self) -> Option<super::Difference> {
        let Self::Mismatch { queue, what, found, wanted } = self else { return None };
        Some(super::Difference {
            what: queue,
            problem: format!("its {what} is {found}, wanted is {wanted}"),
            remedy: "drain and delete it by hand, or keep the old value".to_owned(),
        })
    }
}
