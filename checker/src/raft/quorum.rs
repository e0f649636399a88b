//! Who votes, and what a majority of them has.

use super::place::Id;

/// A configuration; in a joint one both halves must agree (paper §6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Config {
    pub(super) voters: Vec<Id>,
    pub(super) old: Vec<Id>,
}

impl Config {
    pub(super) fn new(mut voters: Vec<Id>, mut old: Vec<Id>) -> Config {
        for side in [&mut voters, &mut old] {
            side.sort_unstable();
            side.dedup();
        }
        Config { voters, old }
    }

    /// Returns every voter, of both halves.
    pub(super) fn everybody(&self) -> impl Iterator<Item = Id> {
        self.voters.iter().chain(&self.old).copied()
    }

    /// Returns the highest index that a majority has, given what each voter has.
    pub(super) fn majority_has(&self, has: impl Fn(Id) -> u64) -> u64 {
        let half = |side: &[Id]| {
            let mut indices: Vec<u64> = side.iter().map(|voter| has(*voter)).collect();
            indices.sort_unstable_by(|a, b| b.cmp(a));
            indices.get(side.len() / 2).copied()
        };
        let new = half(&self.voters).unwrap_or(0);
        half(&self.old).map_or(new, |old| old.min(new))
    }
}

/// The configurations that were in force, each once.
#[derive(Debug, Default)]
pub(super) struct Configs {
    list: Vec<Config>,
}

impl Configs {
    /// Returns the number of a configuration. There are few, so they are searched.
    pub(super) fn number(&mut self, config: Config) -> u32 {
        if let Some(known) = self.list.iter().position(|one| *one == config) {
            return known as u32;
        }
        self.list.push(config);
        (self.list.len() - 1) as u32
    }

    pub(super) fn get(&self, number: u32) -> Option<&Config> {
        self.list.get(number as usize)
    }

    /// Returns the configuration where there has only ever been one.
    pub(super) fn only(&self) -> Option<&Config> {
        match &self.list[..] {
            [only] => Some(only),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u16]) -> Vec<Id> {
        ids.iter().map(|id| Id(*id)).collect()
    }

    #[test]
    fn a_majority_has_what_more_than_half_of_the_voters_have() {
        let has = |id: Id| [9, 7, 5, 3, 1][id.at()];
        assert_eq!(Config::new(ids(&[0, 1, 2, 3, 4]), vec![]).majority_has(has), 5);
        assert_eq!(Config::new(ids(&[0, 1, 2, 3]), vec![]).majority_has(has), 5);
        assert_eq!(Config::new(ids(&[0, 1]), vec![]).majority_has(has), 7);
        assert_eq!(Config::new(ids(&[0]), vec![]).majority_has(has), 9);
    }

    #[test]
    fn a_joint_configuration_needs_both_majorities() {
        let has = |id: Id| [9, 7, 5, 3, 1][id.at()];
        assert_eq!(Config::new(ids(&[0, 1, 2]), ids(&[2, 3, 4])).majority_has(has), 3);
    }
}
