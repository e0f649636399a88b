//! Partitions that overlap: the cut in force is the union of those that are active.
//!
//! The union, and not the newest alone, so that the end of one partition never silently mends a link that another still
//! claims to have cut.

use std::collections::BTreeMap;

use squall_cluster::Cut;

/// Which faults cut which links.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    active: BTreeMap<u32, Cut>,
}

impl Cuts {
    /// Adds a partition and returns the cut in force from now on.
    pub(crate) fn install(&mut self, id: u32, cut: Cut) -> Cut {
        self.active.insert(id, cut);
        self.in_force()
    }

    /// Takes a partition away and returns the cut in force from now on.
    pub(crate) fn heal(&mut self, id: u32) -> Cut {
        self.active.remove(&id);
        self.in_force()
    }

    fn in_force(&self) -> Cut {
        Cut { pairs: self.active.values().flat_map(|cut| cut.pairs.iter().cloned()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pairs: &[(&str, &str)]) -> Cut {
        Cut { pairs: pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect() }
    }

    #[test]
    fn a_link_that_two_partitions_cut_mends_when_both_are_healed() {
        let mut cuts = Cuts::default();
        cuts.install(1, cut(&[("n1", "n2"), ("n2", "n1")]));
        let both = cuts.install(2, cut(&[("n2", "n1"), ("n3", "n1")]));
        assert_eq!(both, cut(&[("n1", "n2"), ("n2", "n1"), ("n3", "n1")]));

        assert_eq!(cuts.heal(1), cut(&[("n2", "n1"), ("n3", "n1")]));
        assert!(cuts.heal(2).is_healed());
    }
}
