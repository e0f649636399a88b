//! The values that operations carry: small, cheap to clone, and comparable across formats.

use std::fmt;
use std::sync::Arc;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Holds what an operation wrote, read or compared.
///
/// Integers stand inline, because nearly all values are; everything else is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// Nothing: the initial value of a key, Jepsen's `nil`.
    #[default]
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number that is no 64-bit integer (a ratio, a float, a big integer), as it was written.
    Number(Arc<str>),
    /// Text, also EDN keywords and symbols.
    Text(Arc<str>),
    /// A list, a vector or a set.
    List(Arc<[Value]>),
    /// A map, sorted by its keys, so that equal maps are equal values. Made by [`Value::map`].
    Map(Arc<[(Value, Value)]>),
}

impl Value {
    /// Returns a text value.
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::Text(Arc::from(text.as_ref()))
    }

    /// Returns a list value.
    pub fn list(values: impl IntoIterator<Item = Value>) -> Value {
        Value::List(values.into_iter().collect())
    }

    /// Returns a map value. Of two values for one key the last counts.
    pub fn map(pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
        let mut pairs: Vec<(Value, Value)> = pairs.into_iter().collect();
        // Stable, so that what came last for a key still stands last.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut map: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match map.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => map.push(pair),
            }
        }
        Value::Map(map.into())
    }

    /// Returns the two halves of a `[from, to]` pair, as a cas carries it.
    pub fn as_pair(&self) -> Option<(&Value, &Value)> {
        match self {
            Value::List(items) => match &items[..] {
                [from, to] => Some((from, to)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the items of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the number, if this is a whole one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns whether this is `Nil`.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::text(text)
    }
}

impl From<(i64, i64)> for Value {
    fn from((from, to): (i64, i64)) -> Value {
        Value::list([Value::Int(from), Value::Int(to)])
    }
}

/// Prints a value for people, as EDN prints it: `nil`, `[1 2]`, `{"a" 1}`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Number(text) => f.write_str(text),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if n > 0 { " " } else { "" })?;
                }
                f.write_str("]")
            }
            Value::Map(pairs) => {
                f.write_str("{")?;
                for (n, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key} {value}", if n > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Nil => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Number(text) => serialize_number(text, serializer),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items.iter()),
            Value::Map(pairs) => {
                serializer.collect_map(pairs.iter().map(|(key, value)| (json_key(key), value)))
            }
        }
    }
}

/// Writes a number that JSON has as a number, and any other (a ratio, a big integer) as text.
fn serialize_number<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(whole) = text.parse::<u64>()
        && whole.to_string() == text
    {
        return serializer.serialize_u64(whole);
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() && told(float) == text => serializer.serialize_f64(float),
        Ok(_) | Err(_) => serializer.serialize_str(text),
    }
}

/// Returns a float with its point, which tells 1.0 from the whole number 1.
fn told(float: f64) -> String {
    let text = float.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// JSON has only text for keys.
fn json_key(key: &Value) -> Arc<str> {
    match key {
        Value::Text(text) => text.clone(),
        other => other.to_string().into(),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(JsonValue)
    }
}

struct JsonValue;

impl<'de> Visitor<'de> for JsonValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a number, a string, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number)
            .map_or_else(|_| Value::Number(number.to_string().into()), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(told(number).into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            map.push((Value::text(key), value));
        }
        Ok(Value::map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through_json(value: &Value) -> Value {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }

    #[test]
    fn json_keeps_every_kind_of_value_apart() {
        let number = |text: &str| Value::Number(text.into());
        let values = [
            Value::Nil,
            Value::from(true),
            Value::from(i64::MIN),
            number("18446744073709551615"),
            number("1.5"),
            number("1.0"),
            number("-0.0"),
            Value::from("1"),
            Value::text("a \"quoted\" line\n"),
            Value::list([Value::from(1), Value::list([]), Value::Nil]),
            Value::map([(Value::from("a"), Value::from(1)), (Value::from("b"), Value::Nil)]),
        ];
        for value in &values {
            assert_eq!(through_json(value), *value);
        }
    }

    #[test]
    fn numbers_that_json_lacks_become_text() {
        for number in ["1/3", "123456789012345678901234567890", "1.5M", "NaN"] {
            assert_eq!(through_json(&Value::Number(number.into())), Value::text(number));
        }
    }

    #[test]
    fn maps_are_equal_in_whatever_order_they_were_written() {
        let read = |json| serde_json::from_str::<Value>(json).unwrap();

        assert_eq!(read(r#"{"b":2,"a":1}"#), read(r#"{"a":1,"b":2}"#));
        assert_eq!(read(r#"{"a":1,"a":2}"#), read(r#"{"a":2}"#));
        assert_ne!(read(r#"{"a":1}"#), read(r#"{"a":2}"#));
    }

    #[test]
    fn keys_of_maps_that_are_no_text_become_text() {
        let map = Value::map([(Value::from(7), Value::from(1))]);

        assert_eq!(serde_json::to_string(&map).unwrap(), r#"{"7":1}"#);
    }

    #[test]
    fn only_a_list_of_two_is_a_pair() {
        let pair = Value::from((1, 2));

        assert_eq!(pair.as_pair(), Some((&Value::Int(1), &Value::Int(2))));
        assert_eq!(Value::list([Value::Nil]).as_pair(), None);
        assert_eq!(Value::Int(1).as_pair(), None);
    }

    #[test]
    fn values_are_printed_for_people() {
        let pairs = [(Value::from("k"), Value::from((1, 2))), (Value::from("l"), Value::Nil)];

        assert_eq!(Value::map(pairs).to_string(), r#"{"k" [1 2], "l" nil}"#);
    }

    #[test]
    fn json_that_is_nested_too_deep_is_refused_before_the_stack_ends() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);

        let error = serde_json::from_str::<Value>(&deep).unwrap_err().to_string();

        assert!(error.starts_with("recursion limit exceeded"), "{error}");
    }
}
