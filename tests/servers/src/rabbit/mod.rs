//! RabbitMQ servers that a test may break.

mod certificates;
mod cluster;
mod epmd;
mod installation;
mod node;
mod settings;

pub use certificates::Certificates;
pub use cluster::RabbitCluster;
pub use installation::HOME;
pub use node::RabbitNode;
pub use settings::RabbitOptions;

#[cfg(test)]
mod tests;
