//! The replicated log, as the nodes' files hold it, with what its entries ask for: `log.jsonl`.
//!
//! ```text
//! {"squall":"log/1","node":"n2","positions":"revision","committed":3,"applied":[{"node":"n1","index":2,"position":2}]}
//! {"index":1,"term":2}
//! {"index":2,"term":2,"f":"write","key":"7","value":5,"request":"3-1"}
//! {"index":3,"term":2,"unknown":"a lease"}
//! {"node":"n1","index":3,"term":1,"f":"write","key":"7","value":6}
//! ```
//!
//! It is one node's log from its first entry on, without gaps: of all logs the one that ends in the highest term and, among
//! those, the longest. An entry that nobody may overwrite any more is in it, by the rule of elections (paper §5.4.1). Lines
//! with a node come behind: entries that only another log has.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::headed::{self, FirstLine};
use crate::{F, Key, NodeName, Op, ReadError, Request, Value};

/// The name and version in the first line.
pub const FORMAT: &str = "log/1";

/// What a position in the history counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// Entries of the log, from 1.
    Index,
    /// Changes of the state; 1 before the first, as etcd counts revisions.
    Revision,
}

/// How far a state machine has got, by its own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Whose.
    pub node: NodeName,
    /// The last entry that it applied.
    pub index: u64,
    /// The position that it has reached.
    pub position: u64,
}

/// An entry that a node has committed and another's log has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Whose files say that it is committed.
    pub node: NodeName,
    /// Its index.
    pub index: u64,
    /// Its term there.
    pub term: u64,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `log/1`.
    pub squall: String,
    /// Whose log it is; nothing where none could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// What positions are.
    pub positions: Positions,
    /// Up to which index some node's files say that it is committed; 0 where they do not tell.
    #[serde(default)]
    pub committed: u64,
    /// How far the state machines have got, where their files tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Applied>,
    /// What others have committed, by their files, and this log has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lacking>,
    /// Nodes that still ran when their files were read; there should be none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alive: Vec<NodeName>,
    /// Disks that were there during the run and are not any more, wiped or removed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// Logs that could not be read to their beginning, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// What an entry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nothing of the state that clients see: a new leader's first entry, a configuration.
    Nothing,
    /// A client's operation, with its identity where the log holds it.
    Op(Op, Option<Request>),
    /// Something that may change the state, and is not understood.
    Unknown(String),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// What it asks for.
    pub command: Command,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its first line.
    pub header: Header,
    /// The entries, from index 1 on without gaps; the one at index n stands on line n + 1.
    pub entries: Vec<Entry>,
    /// Entries that only another log has.
    pub elsewhere: Vec<(NodeName, Entry)>,
}

impl FirstLine for Header {
    const FORMAT: &'static str = FORMAT;

    fn format(&self) -> &str {
        &self.squall
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeName>,
    index: u64,
    term: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<F>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

impl Line {
    fn of(node: Option<&NodeName>, entry: &Entry) -> Line {
        let Entry { index, term, command } = entry;
        let line = Line { node: node.cloned(), index: *index, term: *term, ..Line::default() };
        match command {
            Command::Nothing => line,
            Command::Unknown(what) => Line { unknown: Some(what.clone()), ..line },
            Command::Op(op, request) => {
                let Op { f, key, value } = op.clone();
                Line { f: Some(f), key, value, request: *request, ..line }
            }
        }
    }

    fn entry(self) -> (Option<NodeName>, Entry) {
        let Line { node, index, term, f, key, value, request, unknown } = self;
        let command = match (f, unknown) {
            (_, Some(what)) => Command::Unknown(what),
            (Some(f), None) => Command::Op(Op { f, key, value }, request),
            (None, None) => Command::Nothing,
        };
        (node, Entry { index, term, command })
    }
}

impl Log {
    /// Returns the text of the file.
    pub fn to_text(&self) -> String {
        let entries = self.entries.iter().map(|entry| Line::of(None, entry));
        let elsewhere = self.elsewhere.iter().map(|(node, entry)| Line::of(Some(node), entry));
        headed::text(&self.header, entries.chain(elsewhere))
    }

    /// Reads a file.
    pub fn read(input: impl BufRead) -> Result<Log, ReadError> {
        let (mut entries, mut elsewhere) = (Vec::new(), Vec::new());
        let header = headed::read(input, |line: Line| {
            let due = entries.len() as u64 + 1;
            match line.entry() {
                (Some(node), entry) => elsewhere.push((node, entry)),
                (None, _) if !elsewhere.is_empty() => {
                    return Err("an entry behind those of other logs".to_owned());
                }
                (None, entry) if entry.index == due => entries.push(entry),
                (None, entry) => {
                    return Err(format!("entry {} where entry {due} is due", entry.index));
                }
            }
            Ok(())
        })?;
        Ok(Log { header, entries, elsewhere })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let header = Header {
            squall: FORMAT.to_owned(),
            node: Some("n2".into()),
            positions: Positions::Revision,
            committed: 2,
            applied: vec![Applied { node: "n1".into(), index: 2, position: 2 }],
            lacks: vec![Lacking { node: "n1".into(), index: 3, term: 1 }],
            alive: vec!["n1".into()],
            gone: vec!["n4: removed".to_owned()],
            missing: vec!["n3: it is gone".to_owned()],
        };
        let entry = |index, command| Entry { index, term: 2, command };
        let request = Some(Request { session: 3, sequence: 1 });
        let entries = vec![
            entry(1, Command::Nothing),
            entry(2, Command::Op(Op::cas("7", 4, 5), request)),
            entry(3, Command::Unknown("a lease".to_owned())),
        ];
        let elsewhere = vec![("n1".into(), entry(3, Command::Op(Op::write("7", 6), None)))];
        Log { header, entries, elsewhere }
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let text = log().to_text();
        assert_eq!(Log::read(text.as_bytes()).unwrap(), log());
        let second = text.lines().nth(2).unwrap();
        let expected = r#"{"index":2,"term":2,"f":"cas","key":"7","value":[4,5],"request":"3-1"}"#;
        assert_eq!(second, expected);
    }

    #[test]
    fn a_broken_line_is_named() {
        let text = log().to_text();
        let told = |text: &str| Log::read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(told(""), "line 1: the file is empty");
        assert!(told(&text.replace("log/1", "log/2")).starts_with("line 1: expected"));
        let gap = text.replace("{\"index\":2,", "{\"index\":9,");
        assert_eq!(told(&gap), "line 3: entry 9 where entry 2 is due");
        assert!(told(&text.replace("\"term\":2,\"f\"", "\"term\":-2,\"f\"")).starts_with("line 3"));
    }
}
