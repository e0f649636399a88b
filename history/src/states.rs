//! What living nodes said of their state when the run was over and nobody wrote any more: `states.jsonl`.
//!
//! ```text
//! {"squall":"states/1","positions":"revision"}
//! {"node":"n1","time":9120000000,"position":118,"compacted":-1,"version":"3.5.1","digest":"3469133145"}
//! {"node":"n2","time":9120000000,"failed":"no answer within 2 s"}
//! ```
//!
//! A digest stands for the whole state at a position. Two can be compared where everything else of them is equal: the
//! position, what was compacted, and the version of who computed them.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::headed::{self, FirstLine};
use crate::log::Positions;
use crate::{Nanos, NodeName, ReadError};

/// The name and version in the first line.
pub const FORMAT: &str = "states/1";

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `states/1`.
    pub squall: String,
    /// What positions are.
    pub positions: Positions,
}

/// What one node says of its state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct State {
    /// Which state: the position that it was reached with.
    pub position: u64,
    /// Up to which position older states were thrown away, where the node tells; it decides what the digest covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted: Option<i64>,
    /// The node's version, where it tells: another may compute another digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The state, in a few characters.
    pub digest: String,
}

/// One node's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whose.
    pub node: NodeName,
    /// When it was there, or given up.
    pub time: Nanos,
    /// The state, or why there is none.
    pub state: Result<State, String>,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct States {
    /// Its first line.
    pub header: Header,
    /// The answers; the nth, counted from 0, stands on line n + 2.
    pub answers: Vec<Answer>,
}

impl FirstLine for Header {
    const FORMAT: &'static str = FORMAT;

    fn format(&self) -> &str {
        &self.squall
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    node: NodeName,
    time: Nanos,
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl Line {
    fn of(answer: &Answer) -> Line {
        let Answer { node, time, state } = answer;
        let (state, failed) = match state {
            Ok(state) => (Some(state.clone()), None),
            Err(why) => (None, Some(why.clone())),
        };
        Line { node: node.clone(), time: *time, state, failed }
    }

    fn answer(self) -> Result<Answer, String> {
        let Line { node, time, state, failed } = self;
        let state = match (state, failed) {
            (Some(state), None) => Ok(state),
            (None, Some(why)) => Err(why),
            (Some(_), Some(_)) => return Err("a state that failed".to_owned()),
            (None, None) => return Err("neither a whole state nor why it failed".to_owned()),
        };
        Ok(Answer { node, time, state })
    }
}

impl States {
    /// Returns the file of these answers.
    pub fn new(positions: Positions, answers: Vec<Answer>) -> States {
        States { header: Header { squall: FORMAT.to_owned(), positions }, answers }
    }

    /// Returns the text of the file.
    pub fn to_text(&self) -> String {
        headed::text(&self.header, self.answers.iter().map(Line::of))
    }

    /// Reads a file.
    pub fn read(input: impl BufRead) -> Result<States, ReadError> {
        let mut answers = Vec::new();
        let header = headed::read(input, |line: Line| {
            answers.push(line.answer()?);
            Ok(())
        })?;
        Ok(States { header, answers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> States {
        let state = State {
            position: 118,
            compacted: Some(-1),
            version: Some("3.5.1".to_owned()),
            digest: "3469133145".to_owned(),
        };
        let bare = State { compacted: None, version: None, ..state.clone() };
        let answer = |node: &str, state| Answer { node: node.into(), time: Nanos(9), state };
        let answers = vec![
            answer("n1", Ok(state)),
            answer("n2", Err("no answer within 2 s".to_owned())),
            answer("n3", Ok(bare)),
        ];
        States::new(Positions::Revision, answers)
    }

    #[test]
    fn states_are_read_as_they_were_written() {
        let text = states().to_text();
        assert_eq!(States::read(text.as_bytes()).unwrap(), states());
        let second = text.lines().nth(1).unwrap();
        let expected = r#"{"node":"n1","time":9,"position":118,"compacted":-1,"version":"3.5.1","digest":"3469133145"}"#;
        assert_eq!(second, expected);
    }

    #[test]
    fn a_broken_line_is_named() {
        let text = states().to_text();
        let told = |text: &str| States::read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(told(""), "line 1: the file is empty");
        assert!(told(&text.replace("states/1", "states/2")).starts_with("line 1: expected"));
        let without = text.replacen(",\"digest\":\"3469133145\"", "", 1);
        assert_eq!(told(&without), "line 2: neither a whole state nor why it failed");
        let both = text.replace("within 2 s\"", "within 2 s\",\"position\":1,\"digest\":\"1\"");
        assert_eq!(told(&both), "line 3: a state that failed");
        assert!(told(&text[..text.len() - 4]).starts_with("line 4"));
    }
}
