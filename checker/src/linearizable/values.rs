//! Values as small numbers: whole numbers by table where they are close together, everything else by hash.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::Value;

/// No number.
const NONE: u32 = u32::MAX;

/// Numbers values from 0 in the order in which they are met.
pub(crate) struct Values<'a> {
    base: i64,
    table: Vec<u32>,
    numbers: HashMap<i64, u32, FixedState>,
    others: HashMap<&'a Value, u32, FixedState>,
    count: u32,
}

impl<'a> Values<'a> {
    /// Prepares a table for the whole numbers among these values, unless they are too far apart.
    pub(crate) fn for_all<'b>(values: impl Iterator<Item = &'b Value>) -> Values<'a> {
        let (mut least, mut most, mut count) = (i64::MAX, i64::MIN, 0_usize);
        for number in values.filter_map(Value::as_int) {
            least = least.min(number);
            most = most.max(number);
            count += 1;
        }
        let span = most.checked_sub(least).and_then(|span| usize::try_from(span).ok());
        let close = span.filter(|span| *span < 4 * count + 1024);
        Values {
            base: least,
            table: close.map_or_else(Vec::new, |span| vec![NONE; span + 1]),
            numbers: HashMap::default(),
            others: HashMap::default(),
            count: 0,
        }
    }

    /// Returns the number of a value, a new one for a new value.
    pub(crate) fn number(&mut self, value: &'a Value) -> u32 {
        let fresh = self.count;
        let number = match value {
            Value::Int(number) => match self.slot(*number) {
                Some(slot) => &mut self.table[slot],
                None => self.numbers.entry(*number).or_insert(NONE),
            },
            other => self.others.entry(other).or_insert(NONE),
        };
        if *number == NONE {
            *number = fresh;
            self.count += 1;
        }
        *number
    }

    fn slot(&self, number: i64) -> Option<usize> {
        let slot = usize::try_from(number.checked_sub(self.base)?).ok()?;
        (slot < self.table.len()).then_some(slot)
    }

    /// Returns how many values were met.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }
}
