//! The provider `none`: a graph that is not copied.

use ackord_entities::graph::changes;
use async_trait::async_trait;

use super::provider::{Cycle, Progress, SyncContext, SyncError, SyncProvider};

/// The name of the provider that copies nothing.
pub const NONE: &str = "none";

/// Copies nothing, and sees to it that no changes are noted of the graph. What was copied before stays as it was; whoever copies the graph again
/// begins with everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

#[async_trait]
impl SyncProvider for Nobody {
    fn id(&self) -> &'static str {
        NONE
    }

    async fn cycle(&self, context: &SyncContext, _: &Progress) -> Result<Cycle, SyncError> {
        let look = changes::look(context.write.read(), context.graph, &[]).await?;
        if look.follower.is_some() {
            let tx = context.write.begin_unlimited().await?;
            changes::unfollow(&tx, context.graph).await?;
            tx.commit().await?;
        }
        Ok(Cycle::default())
    }
}
