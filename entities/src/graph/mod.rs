//! The knowledge graphs: their write side, and what is written about them.
//!
//! Every transaction that changes the sources, facts, nodes or edges of a graph begins with [`graphs::lock`], so that two
//! writers of one graph take turns and nothing is left that nothing supports.

mod bulk;
pub mod changes;
pub mod composition;
pub mod edge;
pub mod edge_source;
pub mod fact;
pub mod fact_source;
pub mod graphs;
pub mod node;
pub mod node_fact;
pub mod node_source;
pub mod source;
pub mod super_synthesis;
pub mod synthesis;
pub mod synthesis_attempt;
pub mod synthesis_link;
pub mod synthesis_part_read;
pub mod synthesis_version;
