//! The states of a set, for the general search: each is a difference to another one.
//!
//! A set of a thousand elements that is kept whole for every state that is met fills the memory within ten thousand
//! operations. Here a state is one element put into the state from which it was met, or taken out of it; the
//! elements themselves are there once, for the state that was asked about last. A search asks about neighbours, so it is
//! a step or two from one to the next.
//!
//! States are told apart by a fingerprint of 128 bits, the sum of their elements' own. Two sets out of a million have the
//! same with a probability below 2⁻⁸⁸. Should it ever happen, an order would not replay, and a core would not be refuted.
//!
//! Adds and removes say nothing of what they found, so that one in doubt may wait until a read saw what it did.

use std::collections::HashMap;
use std::hash::BuildHasher;

use fixedbitset::FixedBitSet;
use foldhash::fast::FixedState;
use squall_history::{F, Outcome, Value};

use super::space::{Space, room};
use crate::budget::{Exhausted, Meter};
use crate::{Call, Model, ModelKind};

/// The states of a set.
pub(crate) struct Sets<'a> {
    calls: &'a [Call<'a>],
    actions: Vec<Action>,
    observes: Vec<bool>,
    nodes: Vec<Node>,
    ids: HashMap<u128, u32, FixedState>,
    /// The share of each element in a fingerprint.
    tokens: Vec<u128>,
    /// The state whose elements are `present`.
    here: u32,
    present: FixedBitSet,
    /// The number of each element.
    numbers: HashMap<&'a Value, u32, FixedState>,
    /// The classes that put an element in, or take it out.
    puts: HashMap<(u32, bool), Vec<u32>, FixedState>,
    /// What reads saw of which somebody asked lately, by class; none where it is what nobody put in.
    seen: HashMap<u32, Option<FixedBitSet>, FixedState>,
}

/// Of how many reads is known at once what they saw: of more than are open together, as a rule.
const REMEMBERED: usize = 64;

/// What a call does.
#[derive(Clone, Copy)]
enum Action {
    /// Afterwards this element is there, or it is not.
    Put(u32, bool),
    /// Finds this element there, or not.
    Contains(u32, bool),
    /// Reads the set with this fingerprint.
    Read(u128),
    /// Cannot take effect in any state.
    Never,
}

/// A state: its parent, with one element more or less.
struct Node {
    fingerprint: u128,
    parent: u32,
    element: u32,
    depth: u32,
}

impl<'a> Sets<'a> {
    /// Starts with the empty set.
    pub(crate) fn new(calls: &'a [Call<'a>], meter: &Meter) -> Result<Sets<'a>, Exhausted> {
        let mut numbers = Numbers::default();
        let mut actions = Vec::with_capacity(calls.len());
        for (n, call) in calls.iter().enumerate() {
            // What a read returned may be long.
            if n.is_multiple_of(32) {
                meter.poll()?;
            }
            actions.push(numbers.action(call));
        }
        let mut puts: HashMap<(u32, bool), Vec<u32>, FixedState> = HashMap::default();
        for (class, action) in (0..).zip(&actions) {
            if let Action::Put(element, there) = action {
                puts.entry((*element, *there)).or_default().push(class);
            }
        }
        let empty = Node { fingerprint: 0, parent: 0, element: 0, depth: 0 };
        Ok(Sets {
            calls,
            actions,
            observes: calls.iter().map(|call| ModelKind::Set.only_observes(call)).collect(),
            nodes: vec![empty],
            ids: HashMap::from_iter([(0, 0)]),
            present: FixedBitSet::with_capacity(numbers.tokens.len()),
            tokens: numbers.tokens,
            here: 0,
            numbers: numbers.of,
            puts,
            seen: HashMap::default(),
        })
    }

    /// Makes a state's elements the present ones: whatever lies on the way to a common ancestor is toggled, in any order.
    fn seek(&mut self, state: u32) {
        let (mut here, mut there) = (self.here, state);
        while here != there {
            let deeper = if self.depth(here) >= self.depth(there) { &mut here } else { &mut there };
            let node = &self.nodes[*deeper as usize];
            self.present.toggle(node.element as usize);
            *deeper = node.parent;
        }
        self.here = state;
    }

    fn has(&mut self, state: u32, element: u32) -> bool {
        self.seek(state);
        self.present.contains(element as usize)
    }

    /// Returns the state in which an element is there, or is not, and all else is as it was.
    fn put(&mut self, state: u32, element: u32, there: bool) -> u32 {
        if self.has(state, element) == there { state } else { self.toggled(state, element) }
    }

    /// Learns what a read saw; what others saw is forgotten, should it become too much.
    fn learn(&mut self, class: u32) {
        if self.seen.contains_key(&class) {
            return;
        }
        if self.seen.len() == REMEMBERED {
            self.seen.clear();
        }
        let Outcome::Ok(list) = self.calls[class as usize].outcome else { return };
        let items = list.as_list().unwrap_or(&[]).iter();
        let numbers: Option<Vec<usize>> =
            items.map(|item| Some(*self.numbers.get(item)? as usize)).collect();
        let seen = numbers.map(|numbers| {
            let mut seen = FixedBitSet::with_capacity(self.tokens.len());
            seen.extend(numbers);
            seen
        });
        self.seen.insert(class, seen);
    }

    /// Returns a call that changes what must be changed for a read to be true, if all that could be.
    fn completes(&mut self, state: u32, read: u32, may: &dyn Fn(u32) -> bool) -> Option<u32> {
        self.learn(read);
        self.seek(state);
        let seen = self.seen.get(&read)?.as_ref()?;
        let mut found = None;
        // What was put in last is most likely to make the difference.
        let blocks = seen.as_slice().iter().zip(self.present.as_slice()).enumerate();
        for (n, (seen, present)) in blocks.rev() {
            let mut different = seen ^ present;
            while different != 0 {
                let bit = different.trailing_zeros();
                different &= different - 1;
                let element = n as u32 * usize::BITS + bit;
                let puts = self.puts.get(&(element, seen >> bit & 1 == 1))?;
                found = Some(puts.iter().copied().find(|class| may(*class))?);
            }
        }
        found
    }

    fn depth(&self, state: u32) -> u32 {
        self.nodes[state as usize].depth
    }

    /// Returns the state that differs by one element from the one that is sought.
    fn toggled(&mut self, state: u32, element: u32) -> u32 {
        let node = &self.nodes[state as usize];
        let (token, depth) = (self.tokens[element as usize], node.depth + 1);
        let fingerprint = if self.present.contains(element as usize) {
            node.fingerprint.wrapping_sub(token)
        } else {
            node.fingerprint.wrapping_add(token)
        };
        let fresh = self.nodes.len() as u32;
        let id = *self.ids.entry(fingerprint).or_insert(fresh);
        if id == fresh {
            self.nodes.push(Node { fingerprint, parent: state, element, depth });
        }
        id
    }
}

impl Space for Sets<'_> {
    fn start(&self) -> u32 {
        0
    }

    fn step(&mut self, state: u32, class: u32, next: &mut Vec<u32>) {
        let after = match self.actions[class as usize] {
            Action::Read(seen) => (self.nodes[state as usize].fingerprint == seen).then_some(state),
            Action::Contains(element, told) => (self.has(state, element) == told).then_some(state),
            Action::Put(element, there) => Some(self.put(state, element, there)),
            Action::Never => None,
        };
        next.extend(after);
    }

    fn observes(&self, class: u32) -> bool {
        self.observes[class as usize]
    }

    fn is_patient(&self) -> bool {
        true
    }

    fn amends(&mut self, state: u32, observer: u32, may: &dyn Fn(u32) -> bool) -> Option<u32> {
        match self.actions[observer as usize] {
            Action::Read(_) => self.completes(state, observer, may),
            Action::Contains(element, told) => {
                let puts = self.puts.get(&(element, told))?;
                puts.iter().copied().find(|class| may(*class))
            }
            Action::Put(..) | Action::Never => None,
        }
    }

    fn classes(&self) -> usize {
        self.actions.len()
    }

    fn bytes(&self) -> u64 {
        let nodes = room(self.nodes.len(), self.nodes.capacity(), size_of::<Node>());
        let ids = room(self.ids.len(), self.ids.capacity(), size_of::<(u128, u32)>() + 1);
        let fixed = self.actions.len() * (size_of::<Action>() + 1) + self.present.len() * 160;
        let seen = self.seen.len() * (self.present.len() / 8 + 64);
        nodes + ids * 8 / 7 + (fixed + seen) as u64
    }

    fn states(&self) -> usize {
        self.nodes.len()
    }
}

/// The elements that are put in, taken out or asked for, by number. What is only read needs none.
#[derive(Default)]
struct Numbers<'a> {
    of: HashMap<&'a Value, u32, FixedState>,
    tokens: Vec<u128>,
}

impl<'a> Numbers<'a> {
    fn number(&mut self, value: &'a Value) -> u32 {
        *self.of.entry(value).or_insert_with(|| {
            self.tokens.push(token(value));
            self.tokens.len() as u32 - 1
        })
    }

    fn action(&mut self, call: &Call<'a>) -> Action {
        let element = &call.op.value;
        match (&call.op.f, call.outcome) {
            (F::Add, Outcome::Ok(_) | Outcome::Info { .. }) => {
                Action::Put(self.number(element), true)
            }
            (F::Remove, Outcome::Ok(_) | Outcome::Info { .. }) => {
                Action::Put(self.number(element), false)
            }
            (F::Contains, Outcome::Ok(Value::Bool(told))) => {
                Action::Contains(self.number(element), *told)
            }
            (F::Read, Outcome::Ok(seen)) => read(seen.as_list().unwrap_or(&[])),
            _ => Action::Never,
        }
    }
}

/// Returns what a read of these elements does, in whatever order they are.
fn read(seen: &[Value]) -> Action {
    if !seen.is_sorted_by(|one, next| one < next) {
        let mut sorted: Vec<&Value> = seen.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Action::Never;
        }
    }
    Action::Read(seen.iter().fold(0, |sum, element| sum.wrapping_add(token(element))))
}

/// Returns an element's share of a fingerprint: two hashes of it.
fn token(element: &Value) -> u128 {
    let halves = match element {
        Value::Int(number) => {
            let number = number.cast_unsigned();
            [split_mix(number), split_mix(split_mix(!number))]
        }
        other => [1, 2].map(|seed| FixedState::with_seed(seed).hash_one(other)),
    };
    u128::from(halves[0]) << 64 | u128::from(halves[1])
}

/// The mixing of SplitMix64 (Steele, Lea & Flood 2014).
fn split_mix(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use squall_history::{Op, Process};

    use super::*;
    use crate::Budget;

    /// Applies calls to the first state one after the other; the states that follow, and whether each could be made.
    fn walk(steps: &[(Op, Outcome)]) -> Vec<Option<u32>> {
        let calls: Vec<Call<'_>> =
            steps.iter().map(|(op, outcome)| Call { process: Process(0), op, outcome }).collect();
        let meter = Budget::unlimited().start();
        let mut sets = Sets::new(&calls, &meter).expect("there is time");
        let mut state = 0;
        (0..calls.len() as u32)
            .map(|class| {
                let mut next = Vec::new();
                sets.step(state, class, &mut next);
                state = next.first().copied().unwrap_or(state);
                next.first().copied()
            })
            .collect()
    }

    fn done(f: F, element: i64) -> (Op, Outcome) {
        (Op::of(f, element), Outcome::Ok(Value::Int(element)))
    }

    fn read(elements: &[i64]) -> (Op, Outcome) {
        let list = Value::list(elements.iter().map(|element| Value::Int(*element)));
        (Op::of(F::Read, Value::Nil), Outcome::Ok(list))
    }

    #[test]
    fn a_state_is_what_it_holds_whichever_way_led_to_it() {
        let walked = walk(&[
            done(F::Add, 1),
            done(F::Add, 2),
            read(&[2, 1]),
            done(F::Remove, 1),
            done(F::Remove, 1),
            done(F::Add, 1),
            read(&[2]),
            read(&[1, 2, 2]),
            done(F::Remove, 2),
            done(F::Remove, 1),
        ]);
        let [one, both, same, two, still, again, wrong, twice, first, empty] = walked[..] else {
            panic!("ten steps")
        };
        assert_eq!((both, two, again), (same, still, both));
        assert_eq!((wrong, twice), (None, None));
        assert_eq!((first, empty), (one, Some(0)));
        assert!(one != both && both != two && one != two);
    }
}
