//! The suite that every broker runs.

use super::fixture::{alone, shared};

ackord_producer::broker_conformance!(shared().await, alone().await);
