//! Values as small numbers: whole numbers by table where they are close together, everything else by hash.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::Value;

/// No number.
const NONE: u32 = u32::MAX;

/// How far below the first whole number the table begins, and how far beyond four times as many numbers as there are it
/// may reach.
const SLACK: i64 = 32;

/// Numbers values from 0 in the order in which they are met.
///
/// The table grows with the numbers that are met, never to more than some four times as many: one that lies too far out
/// when it is first met is kept by hash, and is looked for there once the table has reached it.
#[derive(Default)]
pub(crate) struct Values<'a> {
    /// The whole number at the start of the table, once there is one.
    base: Option<i64>,
    table: Vec<u32>,
    far: HashMap<i64, u32, FixedState>,
    others: HashMap<&'a Value, u32, FixedState>,
    count: u32,
}

impl<'a> Values<'a> {
    /// Returns the number of a value, a new one for a new value.
    pub(crate) fn number(&mut self, value: &'a Value) -> u32 {
        let fresh = self.count;
        let number = match value {
            Value::Int(number) => self.whole(*number, fresh),
            other => *self.others.entry(other).or_insert(fresh),
        };
        if number == fresh {
            self.count += 1;
        }
        number
    }

    fn whole(&mut self, number: i64, fresh: u32) -> u32 {
        let Some(slot) = self.slot(number) else {
            return *self.far.entry(number).or_insert(fresh);
        };
        if slot >= self.table.len() {
            self.table.resize((slot + 1).next_power_of_two(), NONE);
        }
        if self.table[slot] == NONE {
            self.table[slot] = self.far.get(&number).copied().unwrap_or(fresh);
        }
        self.table[slot]
    }

    /// Returns where a whole number stands in the table, if it is near enough.
    fn slot(&mut self, number: i64) -> Option<usize> {
        let base = *self.base.get_or_insert_with(|| number.saturating_sub(SLACK));
        let slot = number.checked_sub(base)?;
        (0..4 * i64::from(self.count) + 2 * SLACK).contains(&slot).then_some(slot as usize)
    }

    /// Returns how many values were met.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_number_however_far_apart_they_are() {
        let numbers = (0..5_000_i64).map(|n| n * 7 % 5_000).map(Value::Int);
        let far = [i64::MIN, i64::MAX, -600, 4_999_999].map(Value::Int);
        let texts = [Value::Nil, Value::text("5"), Value::list([Value::Int(5)])];
        let all: Vec<Value> = far.into_iter().chain(numbers).chain(texts).collect();
        let mut values = Values::default();
        for (n, value) in (0..).zip(&all) {
            assert_eq!(values.number(value), n, "{value} is new");
        }
        for (n, value) in (0..).zip(&all) {
            assert_eq!(values.number(value), n, "{value} is known");
        }
        assert_eq!(values.count(), all.len());
    }
}
