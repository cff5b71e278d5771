//! What publishers and listeners in other languages need to know: the JSON Schema of every kind, and an AsyncAPI document of
//! all that goes over the broker. Both are made from the contracts, so they say what the code does.

mod asyncapi;
mod notice;

use ackord_entities::jobs::KindSpec;
use serde_json::{Value, json};

pub use asyncapi::asyncapi;
pub use notice::{JobNotice, NoticeError, NoticeState};

/// The JSON Schema (2020-12) of a kind's newest payload, with an id that names kind and version. Fields stand in the order of
/// their names, so the same contract gives the same text.
#[must_use]
pub fn json_schema(spec: &KindSpec) -> Value {
    let mut schema = spec.schema().to_value();
    schema["$id"] = json!(format!("urn:ackord:kind:{}:{}", spec.kind, spec.version));
    schema.sort_all_objects();
    schema
}
