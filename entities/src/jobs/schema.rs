//! The JSON Schema of a payload, as strict as the code that reads it.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// A UUID with its hyphens, as the typed ids are read and written.
const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

/// Neither database keeps a NUL character, so no text may hold one.
const NO_NUL: &str = r"^[^\u0000]*$";

/// The schema of `T`, JSON Schema 2020-12.
pub(super) fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(say_what_formats_mean as fn(&mut Schema)))
        .into_generator()
        .into_root_schema_for::<T>()
}

/// To most validators a `format` is a remark. What it limits is said in words that all of them check.
fn say_what_formats_mean(schema: &mut Schema) {
    let format = schema.get("format").and_then(Value::as_str);
    let (word, limit) = match format {
        Some("uuid") => ("pattern", json!(UUID)),
        Some("int32") => return at_least_within(schema, i32::MIN.into(), i32::MAX.into()),
        Some("int64" | "int") => return at_least_within(schema, i64::MIN.into(), i64::MAX.into()),
        Some("uint32") => ("maximum", json!(u32::MAX)),
        Some("uint64" | "uint") => ("maximum", json!(u64::MAX)),
        None if is_free_text(schema) => ("pattern", json!(NO_NUL)),
        _ => return,
    };
    put_unless_said(schema, word, limit);
}

fn is_free_text(schema: &Schema) -> bool {
    let is_string = match schema.get("type") {
        Some(Value::String(one)) => one == "string",
        Some(Value::Array(several)) => several.iter().any(|one| one == "string"),
        _ => false,
    };
    is_string && schema.get("enum").is_none() && schema.get("const").is_none()
}

fn at_least_within(schema: &mut Schema, least: Value, most: Value) {
    put_unless_said(schema, "minimum", least);
    put_unless_said(schema, "maximum", most);
}

fn put_unless_said(schema: &mut Schema, word: &str, limit: Value) {
    if schema.get(word).is_none() {
        schema.insert(word.to_owned(), limit);
    }
}
