//! Whether a kind's schema and its code agree: what the schema allows is read, and what it does not allow is refused.
//!
//! A publisher in another language has only the schema. A limit that stands in one of the two and not in the other would
//! surprise him with a dead letter, or the handler with a payload that cannot be.

use std::collections::BTreeSet;

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::KindSpec;

/// A kind's schema beside its code.
#[derive(Debug)]
pub struct Agreement {
    spec: KindSpec,
    schema: Value,
    validators: [Validator; 2],
}

/// One change to a payload.
#[derive(Clone, Debug)]
pub struct Change {
    place: String,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    Put(Value),
    Remove,
    Add(String, Value),
    Repeat(usize),
}

impl Agreement {
    /// Of the kind's newest version.
    ///
    /// # Panics
    /// Its schema is none.
    #[must_use]
    #[allow(clippy::expect_used, reason = "for tests")]
    pub fn of(spec: &KindSpec) -> Self {
        let schema = spec.schema().to_value();
        // With formats and without: validators differ in whether they look at them.
        let validators = [true, false].map(|formats| {
            let options =
                jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(formats);
            options.build(&schema).expect("the schema is a schema")
        });
        Self { spec: *spec, schema, validators }
    }

    /// The examples in the schema.
    #[must_use]
    pub fn examples(&self) -> Vec<Value> {
        self.schema["examples"].as_array().cloned().unwrap_or_default()
    }

    /// What the two say about `payload`, where they differ.
    #[must_use]
    pub fn difference(&self, payload: &Value) -> Option<String> {
        let read = self.spec.check(self.spec.version, payload.to_string().as_bytes());
        let code = match &read {
            Ok(_) => "reads it".to_owned(),
            Err(error) => format!("refuses it ({error})"),
        };
        let other = self.validators.iter().find(|validator| validator.is_valid(payload) != read.is_ok())?;
        let schema = match other.validate(payload) {
            Ok(()) => "allows it".to_owned(),
            Err(error) => format!("does not ({error}, at `{}`)", error.instance_path()),
        };
        let mut shown = payload.to_string();
        if shown.len() > 300 {
            shown = format!("{}...", shown.chars().take(300).collect::<String>());
        }
        Some(format!("`{}`: the code {code}, the schema {schema}: {shown}", self.spec.kind))
    }

    /// Every single change to `payload` that is likely to show a difference: another type, a value at and beside each limit
    /// that the schema names, a field too many, one too few.
    #[must_use]
    pub fn changes(&self, payload: &Value) -> Vec<Change> {
        let (values, lengths) = (self.values(), self.lengths());
        let mut changes = Vec::new();
        for place in places(payload) {
            let mut note = |deed| changes.push(Change { place: place.clone(), deed });
            for value in &values {
                note(Deed::Put(value.clone()));
            }
            note(Deed::Remove);
            match payload.pointer(&place) {
                Some(Value::Object(_)) => {
                    note(Deed::Add("unheard_of".to_owned(), json!(1)));
                    for name in self.names() {
                        values.iter().take(30).for_each(|value| note(Deed::Add(name.clone(), value.clone())));
                    }
                }
                Some(Value::Array(_)) => lengths.iter().for_each(|length| note(Deed::Repeat(*length))),
                _ => {}
            }
        }
        changes
    }

    /// Looks at each example, at every single change to it, and at pairs of changes.
    ///
    /// # Panics
    /// There is no example, one is not allowed, or the two differ about something.
    pub fn assert_holds(&self) {
        let examples = self.examples();
        assert!(!examples.is_empty(), "`{}` has no example: #[schemars(example = ..)]", self.spec.kind);
        for example in examples {
            let read = self.spec.check(self.spec.version, example.to_string().as_bytes());
            assert!(read.is_ok(), "an example of `{}` is refused: {read:?}", self.spec.kind);
            let changes = self.changes(&example);
            for (index, change) in changes.iter().enumerate() {
                let once = change.apply(&example);
                assert_eq!(self.difference(&once), None, "{change:?}");
                // One far away in the list is at another place and of another sort.
                let other = &changes[(index * 31 + 7) % changes.len()];
                assert_eq!(self.difference(&other.apply(&once)), None, "{change:?} and {other:?}");
            }
        }
    }

    /// All that the schema says under any of `words`.
    fn said(&self, words: &[&str]) -> Vec<&Value> {
        fn look<'s>(schema: &'s Value, words: &[&str], found: &mut Vec<&'s Value>) {
            match schema {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        if words.contains(&name.as_str()) {
                            found.push(value);
                        }
                        look(value, words, found);
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| look(item, words, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        look(&self.schema, words, &mut found);
        found
    }

    fn names(&self) -> BTreeSet<String> {
        let properties = self.said(&["properties"]);
        properties.into_iter().filter_map(Value::as_object).flat_map(Map::keys).cloned().collect()
    }

    fn lengths(&self) -> BTreeSet<usize> {
        let limits = self.said(&["minLength", "maxLength", "minItems", "maxItems"]);
        let limits = limits.into_iter().filter_map(Value::as_u64);
        let limits = limits.filter_map(|limit| usize::try_from(limit).ok());
        limits.flat_map(|limit| [limit.saturating_sub(1), limit, limit + 1]).collect()
    }

    fn values(&self) -> Vec<Value> {
        let mut values = vec![
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(-1),
            json!(-1.0),
            json!(1.0),
            json!(20.0),
            json!(1.5),
            json!(1e300),
            json!(u64::MAX),
            json!([]),
            json!([null]),
            json!({}),
            json!({"a": 1}),
            json!("1"),
            json!("a"),
        ];
        let texts = [
            "",
            " ",
            "\n",
            "a\nb",
            "a\u{0}b",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{feff}",
            "\u{3000}\u{2003}",
            "\u{2028}a",
        ];
        values.extend(texts.map(|text| json!(text)));
        let id = "67E55044-10B1-426F-9247-BB680E5FE0C8";
        let ids = [
            id.to_owned(),
            id.to_lowercase(),
            id.replace('-', ""),
            format!("urn:uuid:{id}"),
            format!("{{{id}}}"),
        ];
        values.extend(ids.map(|id| json!([id])));
        values.push(json!(id));
        for number in self.said(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
            let Some(number) = number.as_f64() else { continue };
            values.extend([number - 1.0, number, number + 1.0, number + 0.5].map(|number| json!(number)));
        }
        for length in self.lengths() {
            values.extend([json!("x".repeat(length)), json!("é".repeat(length)), json!(vec!["x"; length])]);
        }
        for variant in self.said(&["const", "enum"]) {
            let variants = variant.as_array().cloned().unwrap_or_else(|| vec![variant.clone()]);
            for name in variants.iter().filter_map(Value::as_str) {
                values.extend([
                    json!(name),
                    json!({ name: null }),
                    json!({ name: {} }),
                    json!(name.to_uppercase()),
                ]);
            }
        }
        values
    }
}

impl Change {
    /// The payload after the change; the same one where its place is not there.
    #[must_use]
    pub fn apply(&self, payload: &Value) -> Value {
        let mut payload = payload.clone();
        match &self.deed {
            Deed::Put(value) => {
                if let Some(target) = payload.pointer_mut(&self.place) {
                    *target = value.clone();
                }
            }
            Deed::Remove => self.remove(&mut payload),
            Deed::Add(name, value) => {
                if let Some(Value::Object(fields)) = payload.pointer_mut(&self.place) {
                    fields.insert(name.clone(), value.clone());
                }
            }
            Deed::Repeat(length) => {
                if let Some(Value::Array(items)) = payload.pointer_mut(&self.place) {
                    let item = items.first().cloned().unwrap_or(Value::Null);
                    *items = vec![item; *length];
                }
            }
        }
        payload
    }

    fn remove(&self, payload: &mut Value) {
        let Some((parent, name)) = self.place.rsplit_once('/') else { return };
        match payload.pointer_mut(parent) {
            Some(Value::Object(fields)) => drop(fields.remove(name)),
            Some(Value::Array(items)) => {
                if let Some(index) = name.parse().ok().filter(|index| *index < items.len()) {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
}

/// The JSON pointers of a value and of all that is in it.
fn places(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut note = |name: &str, inner: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        found.extend(places(inner).into_iter().map(|place| format!("/{name}{place}")));
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| note(name, inner)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| note(&index.to_string(), inner));
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use proptest::sample::Index;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::jobs::{Job, catalogue};

    #[test]
    fn the_schema_of_each_kind_and_its_code_agree() {
        for spec in catalogue().iter() {
            Agreement::of(spec).assert_holds();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn they_agree_about_payloads_that_were_changed_again_and_again(
            kind: Index, example: Index, picks in proptest::collection::vec(any::<Index>(), 1..6),
        ) {
            let catalogue = catalogue();
            let specs: Vec<&KindSpec> = catalogue.iter().collect();
            let agreement = Agreement::of(specs[kind.index(specs.len())]);
            let examples = agreement.examples();
            let mut payload = examples[example.index(examples.len())].clone();
            for pick in picks {
                let changes = agreement.changes(&payload);
                payload = changes[pick.index(changes.len())].apply(&payload);
                prop_assert_eq!(agreement.difference(&payload), None);
            }
        }
    }

    macro_rules! careless {
        ($name:ident, $($field:tt)*) => {
            #[derive(Clone, Serialize, Deserialize, JsonSchema)]
            #[schemars(example = serde_json::json!({ "field": 7 }))]
            struct $name { $($field)* }

            impl Job for $name {
                const KIND: &'static str = "careless";
            }
        };
    }

    careless!(Unchecked, #[schemars(range(min = 1, max = 9))] field: u8);
    careless!(Hidden, #[serde(deserialize_with = "below_ten")] field: u8);

    fn below_ten<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        let number = u8::deserialize(deserializer)?;
        if number < 10 { Ok(number) } else { Err(serde::de::Error::custom("ten or more")) }
    }

    #[test]
    #[should_panic(expected = "the code reads it, the schema does not (0 is less than the minimum of 1")]
    fn a_limit_that_only_the_schema_has_is_found() {
        Agreement::of(&KindSpec::of::<Unchecked>()).assert_holds();
    }

    #[test]
    #[should_panic(
        expected = "the code refuses it (the payload does not fit: field `field`: ten or more), the schema allows it"
    )]
    fn a_limit_that_only_the_code_has_is_found() {
        Agreement::of(&KindSpec::of::<Hidden>()).assert_holds();
    }
}
