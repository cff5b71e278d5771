//! The kinds that ackord itself runs, one folder each.
