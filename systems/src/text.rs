//! The values that come back from systems which keep them in a form of their own.
//!
//! What our workloads write are whole numbers, and lists of them. A system may give them back as JSON numbers, or as the
//! text in which they were sent. Anything else was never written: it is a page that points at the wrong place, or
//! garbage, and must not be taken for a value that the system made up.

use serde_json::Value as Json;
use squall_history::Value;

/// Reads a value as JSON has it.
pub(crate) fn value_of(json: &Json) -> Result<Value, String> {
    match json {
        Json::Null => Ok(Value::Nil),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Ok(Value::Int(number)),
            None => Err(format!("{number} is no whole number")),
        },
        Json::Array(items) => {
            let items: Result<Vec<Value>, String> = items.iter().map(value_of).collect();
            Ok(Value::list(items?))
        }
        // A text that was sent as such: the JSON of a value.
        Json::String(text) => match serde_json::from_str(text) {
            Ok(Json::String(_)) | Err(_) => Err(format!("the text {text:?} is no value")),
            Ok(json) => value_of(&json),
        },
        Json::Bool(_) | Json::Object(_) => Err(format!("{json} is no value")),
    }
}

/// Reads a value as text has it.
pub(crate) fn value_in(text: &[u8]) -> Result<Value, String> {
    let json = serde_json::from_slice(text)
        .map_err(|_| format!("{:?} is no value", String::from_utf8_lossy(&head(text))))?;
    value_of(&json)
}

/// Returns as much of a text as an error message can bear.
pub(crate) fn head(text: &[u8]) -> Vec<u8> {
    text.iter().copied().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists_are_values_in_either_form() {
        assert_eq!(value_in(b"5"), Ok(Value::Int(5)));
        assert_eq!(value_in(b" \"5\"\n"), Ok(Value::Int(5)));
        assert_eq!(value_in(b"null"), Ok(Value::Nil));
        assert_eq!(value_in(b"[1,\"2\"]"), Ok(Value::list([1.into(), 2.into()])));
    }

    #[test]
    fn what_was_never_written_is_no_value() {
        for text in ["", "hello", "\"hello\"", "{}", "true", "1.5", "\"\\\"5\\\"\"", "1e99"] {
            assert!(value_in(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
