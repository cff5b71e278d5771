//! `graphs.composition`: who does what for a graph, as JSON. What is not named there is done by the default.

use serde_json::{Map, Value};

/// The id of the provider that copies graphs which name none.
pub const DEFAULT_SYNC: &str = "default";
/// Where the composition names the provider that copies the graph.
const SYNC: &str = "sync";

/// The id of the provider that the composition names for copying the graph, if it names one.
///
/// # Errors
/// The composition is no JSON object, or the id is no text.
pub fn sync_provider(composition: Option<&str>) -> Result<Option<String>, serde_json::Error> {
    let Some(text) = composition else { return Ok(None) };
    let all: Map<String, Value> = serde_json::from_str(text)?;
    match all.get(SYNC) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(other) => Err(serde::de::Error::custom(format!("`{SYNC}` is {other}, and no text"))),
    }
}

/// The composition with another provider, or with none: then the default copies the graph. What else it says stays. One that cannot be
/// read is begun anew.
#[must_use]
pub fn with_sync_provider(composition: Option<&str>, id: Option<&str>) -> Option<String> {
    let mut all: Map<String, Value> =
        composition.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    match id {
        Some(id) => drop(all.insert(SYNC.to_owned(), id.into())),
        None => drop(all.remove(SYNC)),
    }
    (!all.is_empty()).then(|| Value::Object(all).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_provider_is_put_into_a_composition_and_taken_out_again() {
        assert_eq!(sync_provider(None).unwrap(), None);
        let one = with_sync_provider(None, Some("mirror"));
        assert_eq!(one.as_deref(), Some(r#"{"sync":"mirror"}"#));
        assert_eq!(sync_provider(one.as_deref()).unwrap().as_deref(), Some("mirror"));
        assert_eq!(with_sync_provider(one.as_deref(), None), None);
        let more = with_sync_provider(Some(r#"{"definition":"x","sync":"a"}"#), Some("b")).unwrap();
        assert_eq!(sync_provider(Some(&more)).unwrap().as_deref(), Some("b"));
        assert!(more.contains(r#""definition":"x""#), "{more}");
    }

    #[test]
    fn what_is_no_composition_is_told_and_can_be_replaced() {
        for broken in ["", "[", "[]", r#"{"sync":7}"#] {
            assert!(sync_provider(Some(broken)).is_err(), "{broken}");
            let mended = with_sync_provider(Some(broken), Some("mirror"));
            assert_eq!(sync_provider(mended.as_deref()).unwrap().as_deref(), Some("mirror"), "{broken}");
        }
    }
}
