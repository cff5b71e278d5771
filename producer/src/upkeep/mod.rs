//! What keeps the queue in order besides its messages: leases that expired, a broker that forgot, rows that are old.

mod reconcile;
mod retention;
mod sweep;

pub use reconcile::reconcile;
pub use retention::{Retention, RetentionOptions};
pub use sweep::{Sweeper, SweeperOptions, put_back_expired};
