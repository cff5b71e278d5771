//! The kinds that ackord itself runs, one folder each.

mod synthesis;

pub use synthesis::SynthesisHandler;
