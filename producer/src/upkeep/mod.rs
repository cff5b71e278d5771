//! What keeps the queue in order besides its messages: leases that expired, a broker that forgot, rows that are old.

mod guard;
mod keeper;
mod recall;
mod reconcile;
mod retention;
mod sweep;
#[cfg(test)]
mod tests;

pub use guard::Guarded;
pub use keeper::{TopologyCondition, TopologyKeeper, TopologyOptions};
pub use recall::RecallError;
pub use reconcile::reconcile;
pub use retention::{Retention, RetentionOptions};
pub use sweep::{Sweeper, SweeperOptions, put_back_expired};
