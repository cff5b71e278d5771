//! What the jobs' database knows about copying graphs to their read sides: how far each is, which rows wait, what each cycle did.

pub mod cycle;
pub mod failure;
pub mod state;
pub mod survey;
