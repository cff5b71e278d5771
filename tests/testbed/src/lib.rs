//! A small program on the engine, for tests that kill it: [`up`] is a worker like `ackord up`, [`publish`] a publisher in a
//! process of its own, [`audit`] looks afterwards whether every job had its effect once. The kinds are in [`kinds`];
//! [`texts`] adds those of `ackord` that write texts, [`graphs`] the one that copies graphs.

pub mod audit;
pub mod cli;
pub mod effects;
pub mod graphs;
pub mod kinds;
pub mod presence;
pub mod publish;
pub mod texts;
pub mod up;
