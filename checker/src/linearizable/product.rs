//! Objects made of independent ones: each is decided alone, and their orders are merged (locality, Herlihy & Wing 1990).

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::{Operation, Value};

use super::part::Entry;

/// Merges orders of independent objects into one.
///
/// Give each entry the latest invocation of those up to it in its own order: a moment inside its interval. By these
/// moments, the merged order respects real time, and keeps each object's own.
pub(crate) fn merge(entries: &[Entry], orders: &[Vec<u32>]) -> Vec<u32> {
    let count = orders.iter().map(Vec::len).sum();
    let mut moments: Vec<(u32, u32, u32)> = Vec::with_capacity(count);
    for (object, order) in (0..).zip(orders) {
        let mut latest = 0;
        for n in order {
            latest = entries[*n as usize].inv.max(latest);
            moments.push((latest, object, *n));
        }
    }
    moments.sort_by_key(|(at, object, _)| (*at, *object));
    moments.into_iter().map(|(.., n)| n).collect()
}

/// Groups entries by the keys that they touch together: registers that no transaction ties to each other, directly or
/// through others, are independent.
pub(crate) fn components<'a>(
    operations: impl Iterator<Item = &'a Operation>,
    keys: impl Fn(&'a Operation) -> Vec<Value>,
) -> Vec<Vec<u32>> {
    let mut union = Union::default();
    let mut first: Vec<Option<usize>> = Vec::new();
    for operation in operations {
        let mut keys = keys(operation).into_iter().map(|key| union.number(key)).collect::<Vec<_>>();
        first.push(keys.first().copied());
        keys.dedup();
        keys.windows(2).for_each(|pair| union.join(pair[0], pair[1]));
    }
    let mut groups: Vec<Vec<u32>> = vec![Vec::new(); union.parent.len()];
    for (n, key) in (0..).zip(first) {
        if let Some(key) = key {
            groups[union.root(key)].push(n);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

#[derive(Default)]
struct Union {
    numbers: HashMap<Value, usize, FixedState>,
    parent: Vec<usize>,
}

impl Union {
    fn number(&mut self, key: Value) -> usize {
        let fresh = self.parent.len();
        let number = *self.numbers.entry(key).or_insert(fresh);
        if number == fresh {
            self.parent.push(fresh);
        }
        number
    }

    fn root(&mut self, mut n: usize) -> usize {
        while self.parent[n] != n {
            self.parent[n] = self.parent[self.parent[n]];
            n = self.parent[n];
        }
        n
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }
}
