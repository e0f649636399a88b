//! Where in a JSON answer something stands: `$`, `$.value`, `$.kvs[0].value`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

/// A place in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    source: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

impl JsonPath {
    /// Returns what stands there.
    pub fn find<'a>(&self, json: &'a Json) -> Option<&'a Json> {
        self.steps.iter().try_fold(json, |at, step| match step {
            Step::Field(name) => at.get(name),
            Step::Item(index) => at.get(index),
        })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl FromStr for JsonPath {
    type Err = String;

    fn from_str(source: &str) -> Result<JsonPath, String> {
        let wrong = || format!("expected a place such as $.value or $.items[0], found {source:?}");
        let mut rest = source.strip_prefix('$').ok_or_else(wrong)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let step = if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                rest = &after[end..];
                Some(&after[..end]).filter(|name| !name.is_empty()).map(|it| Step::Field(it.into()))
            } else {
                let inside = rest.strip_prefix('[').and_then(|after| after.split_once(']'));
                let (index, after) = inside.ok_or_else(wrong)?;
                rest = after;
                index.parse().ok().map(Step::Item)
            };
            steps.push(step.ok_or_else(wrong)?);
        }
        Ok(JsonPath { source: source.to_owned(), steps })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_fields_and_items() {
        let answer = json!({ "kvs": [{ "value": 5 }], "v": null });
        let find = |path: &str| path.parse::<JsonPath>().unwrap().find(&answer).cloned();
        assert_eq!(find("$.kvs[0].value"), Some(json!(5)));
        assert_eq!(find("$.v"), Some(json!(null)));
        assert_eq!(find("$"), Some(answer.clone()));
        assert_eq!(find("$.kvs[1].value"), None);
        assert_eq!(find("$.value"), None);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "value", "$value", "$.", "$..v", "$.v[", "$.v[x]", "$.v[0]w"] {
            assert!(text.parse::<JsonPath>().is_err(), "{text:?}");
        }
    }
}
