//! Several nodes that replicate queues.

use std::time::Duration;

use crate::wait::eventually;

use super::node::{RabbitNode, Shared};
use super::settings::RabbitOptions;

const TOGETHER: Duration = Duration::from_secs(100);

/// A cluster of RabbitMQ nodes. Dropping it kills them all.
#[derive(Debug)]
pub struct RabbitCluster {
    nodes: Vec<RabbitNode>,
}

impl RabbitCluster {
    /// Starts that many nodes and waits until all know each other. `None` as in [`RabbitNode::start`].
    pub async fn start(size: usize) -> Option<Self> {
        Self::with_options(size, RabbitOptions::default()).await
    }

    /// The same, each node with these options.
    pub async fn with_options(size: usize, options: RabbitOptions) -> Option<Self> {
        let names: Vec<String> = (1..=size).map(|number| format!("n{number}@localhost")).collect();
        let shared = Shared::new(&options, names.clone()).await?;
        let mut nodes: Vec<RabbitNode> =
            names.into_iter().map(|name| RabbitNode::prepare(name, &options, &shared)).collect();
        nodes.iter_mut().for_each(RabbitNode::launch);
        for node in &mut nodes {
            node.ready().await;
        }
        let cluster = Self { nodes };
        cluster.complete().await;
        Some(cluster)
    }

    /// How many nodes it has, running or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// One of the nodes, from 0.
    pub fn node(&self, index: usize) -> &RabbitNode {
        &self.nodes[index]
    }

    /// SIGKILL for one node.
    pub fn kill(&mut self, index: usize) {
        self.nodes[index].kill();
    }

    /// Starts one again, and waits until all know each other.
    pub async fn restart(&mut self, index: usize) {
        self.nodes[index].restart_as_one_of_several().await;
        self.complete().await;
    }

    /// SIGSTOP for one node: the others miss it after a while.
    pub fn freeze(&mut self, index: usize) {
        self.nodes[index].freeze();
    }

    /// SIGCONT.
    pub fn thaw(&mut self, index: usize) {
        self.nodes[index].thaw();
    }

    /// Which node leads a quorum queue of the virtual host `/`, asked at a node that runs. `None` while none does.
    pub async fn leader_of(&self, queue: &str) -> Option<usize> {
        for node in self.nodes.iter().filter(|node| node.runs()) {
            let Ok(Some(found)) = node.management().queue(queue).await else { continue };
            let leader = self.nodes.iter().position(|node| found.leader.as_deref() == Some(node.name()))?;
            return self.nodes[leader].runs().then_some(leader);
        }
        None
    }

    /// Leaves a quorum queue of the virtual host `/` with members on these nodes only. They have a leader when this returns.
    pub async fn keep_members(&self, queue: &str, indices: &[usize]) {
        let kept: Vec<&str> = indices.iter().map(|index| self.nodes[*index].name()).collect();
        let asked = &self.nodes[indices[0]];
        for node in self.nodes.iter().filter(|node| !kept.contains(&node.name())) {
            let delete = format!(
                "ok = rabbit_quorum_queue:delete_member(<<\"/\">>, <<\"{queue}\">>, '{}').",
                node.name()
            );
            // There may be no leader to ask for a moment, when the one before was deleted itself.
            eventually(&format!("{} is no member of {queue}", node.name()), TOGETHER, || {
                let delete = delete.clone();
                async move { asked.ctl(&["eval", &delete]).await.ok() }
            })
            .await;
        }
        let management = asked.management();
        eventually(&format!("{queue} is led by one of those that are left"), TOGETHER, || {
            let (management, kept) = (management.clone(), kept.clone());
            async move {
                let found = management.queue(queue).await.ok()??;
                let is_left = |name: &str| kept.contains(&name);
                let members =
                    found.members.len() == kept.len() && found.members.iter().all(|name| is_left(name));
                (members && found.leader.as_deref().is_some_and(is_left)).then_some(())
            }
        })
        .await;
    }

    /// Waits until each node that runs sees all others that run.
    pub async fn complete(&self) {
        let running = self.nodes.iter().filter(|node| node.runs()).count();
        for node in self.nodes.iter().filter(|node| node.runs()) {
            let management = node.management();
            eventually(&format!("{} sees {running} nodes", node.name()), TOGETHER, || {
                let management = management.clone();
                async move {
                    let nodes = management.nodes().await.ok()?;
                    (nodes.iter().filter(|node| node.running).count() == running).then_some(())
                }
            })
            .await;
        }
    }
}
