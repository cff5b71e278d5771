//! RabbitMQ servers that a test may break.

mod cluster;
mod epmd;
mod installation;
mod node;
mod settings;

pub use cluster::RabbitCluster;
pub use installation::HOME;
pub use node::RabbitNode;
pub use settings::RabbitOptions;

#[cfg(test)]
mod tests;
