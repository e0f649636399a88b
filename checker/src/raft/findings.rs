//! Contradictions as they are found: the first one is told, the others are counted.

use super::place::Place;

/// A contradiction.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The moment at which it was complete, for display: the first one is told.
    pub(super) at: Place,
    /// The contradiction in one sentence.
    pub(super) summary: String,
    /// The lines that it rests on, in the order of the story.
    pub(super) lines: Vec<Said>,
}

/// A line that a contradiction rests on.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// A node said it in its trace.
    Node(Place, String),
    /// A node had an entry in its log; told where it was first said.
    Had(u32),
    /// A client saw it: the line of the history and its time.
    Client { line: u32, time: squall_history::Nanos, text: String },
}

/// The contradictions of one check.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    first: Option<Finding>,
    count: u64,
}

impl Findings {
    /// Adds a contradiction; its story is told only if it is the first.
    pub(super) fn add(&mut self, at: Place, tell: impl FnOnce() -> (String, Vec<Said>)) {
        self.count += 1;
        if self.first.as_ref().is_none_or(|first| at < first.at) {
            let (summary, lines) = tell();
            self.first = Some(Finding { at, summary, lines });
        }
    }

    /// Adds the contradictions of another list.
    pub(super) fn merge(&mut self, other: &Findings) {
        self.count += other.count;
        if let Some(found) = &other.first
            && self.first.as_ref().is_none_or(|first| found.at < first.at)
        {
            self.first = Some(found.clone());
        }
    }

    pub(super) fn first(&self) -> Option<&Finding> {
        self.first.as_ref()
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// Says that a node said something.
pub(super) fn said(at: Place, text: impl Into<String>) -> Said {
    Said::Node(at, text.into())
}
