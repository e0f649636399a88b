//! A partition as data: who is not heard by whom.

use std::collections::BTreeSet;

use squall_history::NodeName;

/// Holds the directed pairs whose packets are dropped; `(a, b)` means that b does not hear a. Empty means healed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The pairs, sender first.
    pub pairs: BTreeSet<(NodeName, NodeName)>,
}

impl Cut {
    /// Returns whether everybody hears everybody.
    pub fn is_healed(&self) -> bool {
        self.pairs.is_empty()
    }
}
