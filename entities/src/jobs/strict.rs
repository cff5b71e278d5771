//! Reads JSON as its schema means it, where serde alone would take more or less than the schema says.
//!
//! | JSON | serde's derived code | JSON Schema, and so this reader |
//! |---|---|---|
//! | `[1, 2]` for a struct | the fields in their order | is no object: refused |
//! | `{"public": null}` for a variant without content | that variant | is no string: refused |
//! | `20.0` or `2e1` for an integer | refused | is an integer: taken |
//!
//! Nothing is copied and nothing is buffered: it stands between serde and the parser and passes on what it is asked. Types that
//! buffer by themselves (untagged and internally tagged enums, flattened fields) read their content past it.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

/// A deserializer, or an access to the items of one, that is read strictly.
pub(super) struct Strict<T>(pub(super) T);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Anything,
    Integer,
    Object,
}

struct Checked<V> {
    visitor: V,
    wanted: Wanted,
}

macro_rules! pass_on {
    ($wanted:expr; $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(Checked { visitor, wanted: $wanted })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    pass_on! { Wanted::Anything;
        deserialize_any deserialize_bool deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit
        deserialize_seq deserialize_map deserialize_identifier deserialize_ignored_any
    }

    pass_on! { Wanted::Integer;
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Checked { visitor, wanted: Wanted::Anything })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Checked { visitor, wanted: Wanted::Anything })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, Checked { visitor, wanted: Wanted::Anything })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, length, Checked { visitor, wanted: Wanted::Anything })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Checked { visitor, wanted: Wanted::Object })
    }

    /// The parser would not tell a string from an object with one field, so it is asked for whatever there is.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Choice(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Checked<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wanted {
            Wanted::Object => formatter.write_str("an object"),
            Wanted::Anything | Wanted::Integer => self.visitor.expecting(formatter),
        }
    }

    visit! {
        visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128, visit_str: &str,
        visit_borrowed_str: &'de str, visit_string: String, visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8],
        visit_byte_buf: Vec<u8>,
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        match (self.wanted, whole(value)) {
            (Wanted::Integer, Some(Whole::Natural(whole))) => self.visitor.visit_u64(whole),
            (Wanted::Integer, Some(Whole::Negative(whole))) => self.visitor.visit_i64(whole),
            _ => self.visitor.visit_f64(value),
        }
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.wanted == Wanted::Object {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        self.visitor.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Strict(fields))
    }
}

enum Whole {
    Natural(u64),
    Negative(i64),
}

/// A number without a fraction, as far as it fits.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it has no fraction, and its range is looked at first"
)]
fn whole(value: f64) -> Option<Whole> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() != 0.0 {
        None
    } else if (0.0..2.0 * TWO_TO_63).contains(&value) {
        Some(Whole::Natural(value as u64))
    } else if (-TWO_TO_63..0.0).contains(&value) {
        Some(Whole::Negative(value as i64))
    } else {
        None
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

/// A string is a variant without content; an object with one field is a variant with its content.
struct Choice<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Choice<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, or an object with one field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        self.0.visit_enum(Named(name.into_deserializer()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Contained(fields))
    }
}

struct Named<'a, E>(StrDeserializer<'a, E>);

impl<'de, E: Error> EnumAccess<'de> for Named<'_, E> {
    type Error = E;
    type Variant = NoContent<E>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, NoContent<E>), E> {
        Ok((seed.deserialize(self.0)?, NoContent(std::marker::PhantomData)))
    }
}

struct NoContent<E>(std::marker::PhantomData<E>);

fn content_wanted<T, E: Error>() -> Result<T, E> {
    Err(E::invalid_type(Unexpected::UnitVariant, &"an object whose one field is the variant"))
}

impl<'de, E: Error> VariantAccess<'de> for NoContent<E> {
    type Error = E;

    fn unit_variant(self) -> Result<(), E> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, E> {
        content_wanted()
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, _visitor: V) -> Result<V::Value, E> {
        content_wanted()
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, E> {
        content_wanted()
    }
}

struct Contained<A>(A);

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Contained<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<(T::Value, Self), A::Error> {
        match self.0.next_key_seed(seed)? {
            Some(name) => Ok((name, self)),
            None => Err(A::Error::invalid_length(0, &"an object with one field")),
        }
    }
}

impl<A> Contained<A> {
    fn content<'de, T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, A::Error>
    where
        A: MapAccess<'de>,
    {
        let content = self.0.next_value_seed(seed)?;
        match self.0.next_key::<IgnoredAny>()? {
            None => Ok(content),
            Some(_) => Err(A::Error::invalid_length(2, &"an object with one field")),
        }
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Contained<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &"a string"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.content(Strict(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.content(Tuple { length, visitor })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.content(Fields { fields, visitor })
    }
}

struct Tuple<V> {
    length: usize,
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Tuple<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        Strict(deserializer).deserialize_tuple(self.length, self.visitor)
    }
}

struct Fields<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Fields<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        Strict(deserializer).deserialize_struct("", self.fields, self.visitor)
    }
}

#[cfg(test)]
mod tests {
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
    #[case(r#"{}"#)]
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
        let number = |json: &str| {
            u64::deserialize(Strict(&mut serde_json::Deserializer::from_str(json))).map_err(|_| ())
        };
        assert_eq!(number("1e19"), Ok(10_000_000_000_000_000_000));
        assert_eq!(number("-0.0"), Ok(0));
        assert_eq!((number("18446744073709551616"), number("-1.0")), (Err(()), Err(())));
    }
}
