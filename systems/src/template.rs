//! Templates: text with placeholders, as the commands and addresses of a system's TOML have them.
//!
//! ```text
//! {ip}                                what a name stands for
//! --bug={bug?}                        an argument that is left out where the name stands for nothing
//! {new|existing}                      the first word for a founding node, the second for one that joins later
//! {nodes:,:{id}=http://{peer}}        for each node the text after the second colon, joined by what is between the colons
//! {{                                  a brace, where a letter follows
//! ```
//!
//! A brace begins a placeholder only where a lower-case letter follows, so that JSON can stand in a template as it is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What the placeholders of a template stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The names. A name that is not in it stands for nothing.
    pub values: BTreeMap<String, String>,
    /// The names of each node, for `{nodes:…}`.
    pub nodes: Vec<BTreeMap<String, String>>,
    /// Whether the node joins a cluster that exists already, for `{new|existing}`.
    pub joins: bool,
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name { name: String, optional: bool },
    Either { founding: String, joining: String },
    EachNode { separator: String, template: Template },
}

/// Says what is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder has no end.
    #[error("the placeholder {text:?} is not closed; write {{{{ for a brace that is meant as such")]
    Open {
        /// From its brace on.
        text: String,
    },
    /// A placeholder is none of the known forms.
    #[error(
        "{{{text}}} is no placeholder; expected a name such as {{id}}, {{nodes:,:{{id}}}} or {{new|existing}}, \
         or {{{{ for a brace that is meant as such"
    )]
    Malformed {
        /// What stands between its braces.
        text: String,
    },
    /// A name stands for nothing here.
    #[error("the placeholder {{{name}}} stands for nothing here")]
    Unset {
        /// The name.
        name: String,
    },
}

impl Template {
    /// Returns the text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Puts the values in; none where an optional name stands for nothing.
    pub fn expand(&self, scope: &Scope) -> Result<Option<String>, TemplateError> {
        self.expand_with(&scope.values, scope)
    }

    fn expand_with(
        &self,
        values: &BTreeMap<String, String>,
        scope: &Scope,
    ) -> Result<Option<String>, TemplateError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Name { name, optional } => match values.get(name) {
                    Some(value) => text.push_str(value),
                    None if *optional => return Ok(None),
                    None => return Err(TemplateError::Unset { name: name.clone() }),
                },
                Part::Either { founding, joining } => {
                    text.push_str(if scope.joins { joining } else { founding });
                }
                Part::EachNode { separator, template } => {
                    text.push_str(&template.for_each_node(scope)?.join(separator));
                }
            }
        }
        Ok(Some(text))
    }

    fn for_each_node(&self, scope: &Scope) -> Result<Vec<String>, TemplateError> {
        let mut texts = Vec::new();
        for node in &scope.nodes {
            texts.extend(self.expand_with(node, scope)?);
        }
        Ok(texts)
    }

    /// Returns every name in it, those inside `{nodes:…}` too.
    pub fn names(&self) -> Vec<&str> {
        let mut names = self.own_names();
        names.extend(self.names_of_each_node());
        names
    }

    /// Returns the names outside `{nodes:…}`.
    pub fn own_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for part in &self.parts {
            match part {
                Part::Name { name, .. } => names.push(name.as_str()),
                Part::EachNode { .. } | Part::Text(_) | Part::Either { .. } => {}
            }
        }
        names
    }

    /// Returns the names inside `{nodes:…}`, which are those of each node.
    pub fn names_of_each_node(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for part in &self.parts {
            match part {
                Part::EachNode { template, .. } => names.extend(template.names()),
                Part::Name { .. } | Part::Text(_) | Part::Either { .. } => {}
            }
        }
        names
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some(at) = rest.find('{') {
            push_text(&mut parts, &rest[..at]);
            rest = &rest[at..];
            let inside = &rest[1..];
            if inside.starts_with(|c: char| c.is_ascii_lowercase()) {
                let end = closing(rest)?;
                parts.push(placeholder(&rest[1..end])?);
                rest = &rest[end + 1..];
            } else {
                push_text(&mut parts, "{");
                rest = inside.strip_prefix('{').unwrap_or(inside);
            }
        }
        push_text(&mut parts, rest);
        Ok(Template { source: source.to_owned(), parts })
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        Some(Part::Name { .. } | Part::Either { .. } | Part::EachNode { .. }) | None => {
            parts.push(Part::Text(text.to_owned()));
        }
    }
}

/// Returns where the brace that opens the text is closed.
fn closing(text: &str) -> Result<usize, TemplateError> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Ok(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    Err(TemplateError::Open { text: text.to_owned() })
}

/// Reads what stands between a placeholder's braces.
fn placeholder(inside: &str) -> Result<Part, TemplateError> {
    let malformed = || TemplateError::Malformed { text: inside.to_owned() };
    if let Some(rest) = inside.strip_prefix("nodes:") {
        let (separator, template) = rest.split_once(':').ok_or_else(malformed)?;
        return Ok(Part::EachNode { separator: separator.to_owned(), template: template.parse()? });
    }
    if let Some((founding, joining)) = inside.split_once('|') {
        let (founding, joining) = (founding.to_owned(), joining.to_owned());
        return if is_name(&founding) && is_name(&joining) {
            Ok(Part::Either { founding, joining })
        } else {
            Err(malformed())
        };
    }
    let (name, optional) = match inside.strip_suffix('?') {
        Some(name) => (name, true),
        None => (inside, false),
    };
    if is_name(name) {
        Ok(Part::Name { name: name.to_owned(), optional })
    } else {
        Err(malformed())
    }
}

fn is_name(text: &str) -> bool {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    !text.is_empty() && text.chars().all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn scope() -> Scope {
        let node = |n: u8| {
            let (id, ip) = (format!("n{n}"), format!("10.77.0.{n}"));
            names(&[("id", &id), ("ip", &ip), ("peer", &format!("{ip}:2380"))])
        };
        Scope { values: node(1), nodes: vec![node(1), node(2), node(3)], joins: false }
    }

    fn expand(template: &str) -> Result<Option<String>, TemplateError> {
        template.parse::<Template>()?.expand(&scope())
    }

    fn text(template: &str) -> String {
        expand(template).unwrap().unwrap()
    }

    #[test]
    fn names_are_replaced_by_what_they_stand_for() {
        assert_eq!(text("http://{ip}:2379/{id}"), "http://10.77.0.1:2379/n1");
        assert_eq!(text("plain"), "plain");
        assert_eq!(text(""), "");
    }

    #[test]
    fn the_text_for_each_node_is_joined_by_the_separator() {
        assert_eq!(
            text("{nodes:,:{id}=http://{peer}}"),
            "n1=http://10.77.0.1:2380,n2=http://10.77.0.2:2380,n3=http://10.77.0.3:2380"
        );
        assert_eq!(text("{nodes: :{id}}"), "n1 n2 n3");
        assert_eq!(text("[{nodes::{id}}]"), "[n1n2n3]");
        assert_eq!(text("{nodes:,:{id}={ip}:7000}").matches(":7000").count(), 3);
    }

    #[test]
    fn an_argument_with_an_optional_name_that_is_unset_is_left_out() {
        assert_eq!(expand("--bug={bug?}"), Ok(None));
        assert_eq!(text("--id={id?}"), "--id=n1");
    }

    #[test]
    fn founding_and_joining_nodes_get_different_words() {
        let template: Template = "{new|existing}".parse().unwrap();
        assert_eq!(template.expand(&scope()), Ok(Some("new".into())));
        let joining = Scope { joins: true, ..scope() };
        assert_eq!(template.expand(&joining), Ok(Some("existing".into())));
    }

    #[test]
    fn json_stands_in_a_template_as_it_is() {
        assert_eq!(
            text(r#"{"peerURLs":["http://{peer}"],"a":{"b":{}}}"#),
            r#"{"peerURLs":["http://10.77.0.1:2380"],"a":{"b":{}}}"#
        );
        assert_eq!(text("${HOME} {} {1} }"), "${HOME} {} {1} }");
    }

    #[test]
    fn two_braces_are_one() {
        assert_eq!(text("{{id}"), "{id}");
        assert_eq!(text("awk '{{print $1}' {id}"), "awk '{print $1}' n1");
    }

    #[test]
    fn errors_name_the_placeholder() {
        let error = |template: &str| expand(template).unwrap_err().to_string();
        assert_eq!(error("{nope}"), "the placeholder {nope} stands for nothing here");
        assert_eq!(error("{nodes:,:{nope}}"), "the placeholder {nope} stands for nothing here");
        assert!(error("x{id").starts_with("the placeholder \"{id\" is not closed"));
        assert!(error("{print $1}").starts_with("{print $1} is no placeholder"));
        assert!(error("{nodes:id}").starts_with("{nodes:id} is no placeholder"));
        assert!(error("{new|}").starts_with("{new|} is no placeholder"));
    }

    #[test]
    fn names_are_listed_from_the_inside_too() {
        let template: Template = "{id} {nodes:,:{peer}} {bug?} {a|b}".parse().unwrap();
        assert_eq!(template.names(), ["id", "bug", "peer"]);
        assert_eq!(template.own_names(), ["id", "bug"]);
        assert_eq!(template.names_of_each_node(), ["peer"]);
    }
}
