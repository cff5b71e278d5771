//! The suite that every broker runs.

use ackord_producer::broker::{EmbeddedBroker, EmbeddedOptions};

ackord_producer::broker_conformance!(Some(EmbeddedBroker::new(EmbeddedOptions::default())));
