//! Where and when a node said something, and who is who.

use hashbrown::HashMap;
use squall_history::NodeName;

/// A node, by its place in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) u16);

impl Id {
    pub(super) fn at(self) -> usize {
        usize::from(self.0)
    }
}

/// A line of a trace. Ordered by its time, for display alone: verdicts never rest on that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// CLOCK_MONOTONIC in ns.
    pub(super) time: u64,
    pub(super) node: Id,
    pub(super) boot: u16,
    pub(super) line: u32,
}

/// Gives nodes small numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Vec<NodeName>,
    ids: HashMap<NodeName, Id>,
}

impl Names {
    /// Returns the number of a node. A trace with more names than fit is nonsense, and its last ones share a number.
    pub(super) fn id(&mut self, name: &NodeName) -> Id {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = Id(u16::try_from(self.list.len()).unwrap_or(u16::MAX));
        if self.list.len() < usize::from(u16::MAX) {
            self.list.push(name.clone());
            self.ids.insert(name.clone(), id);
        }
        id
    }

    /// Returns the number of a node that was named before.
    pub(super) fn find(&self, name: &NodeName) -> Option<Id> {
        self.ids.get(name).copied()
    }

    /// Returns the name of a number.
    pub(super) fn name(&self, id: Id) -> &str {
        self.list.get(id.at()).map_or("another node", |name| &name.0)
    }
}
