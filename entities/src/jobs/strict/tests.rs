#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use rstest::rstest;
use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Nothing,
    One(u8),
    Pair(u8, u8),
    Point { x: u8, y: u8 },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Part {
    number: i16,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Whole {
    #[serde(default)]
    parts: Vec<Part>,
    #[serde(default)]
    shape: Option<Shape>,
    #[serde(default)]
    named: BTreeMap<String, Part>,
    #[serde(default)]
    pair: (u8, u8),
    #[serde(default)]
    share: f64,
}

fn read(json: &str) -> Result<Whole, serde_json::Error> {
    let borrowed = Whole::deserialize(Strict(&mut serde_json::Deserializer::from_str(json)));
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    let owned = value.and_then(|value| Whole::deserialize(Strict(value)));
    assert_eq!(borrowed.as_ref().ok(), owned.as_ref().ok(), "text and value differ: {json}");
    borrowed
}

#[rstest]
#[case(r"{}")]
#[case(r#"{"parts": [{"number": 1}, {"number": 2.0}, {"number": -3e1}]}"#)]
#[case(r#"{"shape": "nothing"}"#)]
#[case(r#"{"shape": {"one": 1}}"#)]
#[case(r#"{"shape": {"pair": [1, 2.0]}}"#)]
#[case(r#"{"shape": {"point": {"x": 1, "y": 2}}}"#)]
#[case(r#"{"shape": null, "named": {"a": {"number": 1}}, "pair": [1, 2], "share": 1}"#)]
#[case(r#"{"share": 1.5}"#)]
fn what_the_schema_allows_is_read(#[case] json: &str) {
    read(json).unwrap();
}

#[rstest]
#[case(r"[[], null, {}, [0, 0], 0.5]", "an object")]
#[case(r#"{"parts": [[1]]}"#, "an object")]
#[case(r#"{"parts": [{"number": 1.5}]}"#, "i16")]
#[case(r#"{"parts": [{"number": 32768.0}]}"#, "i16")]
#[case(r#"{"parts": [{"number": 1e300}]}"#, "i16")]
#[case(r#"{"shape": {"nothing": null}}"#, "a string")]
#[case(r#"{"shape": "one"}"#, "an object whose one field is the variant")]
#[case(r#"{"shape": {"one": 1, "pair": [1, 2]}}"#, "one field")]
#[case(r#"{"shape": {}}"#, "one field")]
#[case(r#"{"shape": {"point": [1, 2]}}"#, "an object")]
#[case(r#"{"shape": 7}"#, "a string, or an object")]
#[case(r#"{"named": {"a": [1]}}"#, "an object")]
fn what_it_does_not_allow_is_refused(#[case] json: &str, #[case] wanted: &str) {
    let error = read(json).unwrap_err().to_string();
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn numbers_are_taken_as_far_as_they_fit() {
    let number =
        |json: &str| u64::deserialize(Strict(&mut serde_json::Deserializer::from_str(json))).map_err(|_| ());
    assert_eq!(number("1e19"), Ok(10_000_000_000_000_000_000));
    assert_eq!(number("-0.0"), Ok(0));
    assert_eq!((number("18446744073709551616"), number("-1.0")), (Err(()), Err(())));
}
