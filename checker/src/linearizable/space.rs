//! The states and classes of calls of one object, as small numbers: the model is asked about each pair once.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::{Op, Operation, Outcome, Process};

use super::part::Entry;
use crate::budget::{Exhausted, Meter};
use crate::{Call, Model};

/// Returns how many bytes a table takes; one that is nearly full is about to be there twice, once as large again.
pub(crate) fn room(len: usize, capacity: usize, each: usize) -> u64 {
    let full = capacity > 0 && capacity - len < 64;
    (capacity * each) as u64 * if full { 3 } else { 1 }
}

/// A transition system over small numbers.
pub(crate) trait Space {
    /// Returns the first state.
    fn start(&self) -> u32;
    /// Pushes the states that may follow when a call of a class takes effect.
    fn step(&mut self, state: u32, class: u32, next: &mut Vec<u32>);
    /// Returns whether calls of a class leave every state as it is.
    fn observes(&self, class: u32) -> bool;
    /// Returns whether a call in doubt may wait for an observer that needs it: if no call tells what it found but those
    /// that change nothing, then what nobody observes may as well happen later, or never.
    fn is_patient(&self) -> bool {
        false
    }
    /// Returns one of the calls that would together make this observer true, if there are such among those that may be
    /// made. Asked only of a patient space.
    fn amends(&mut self, _state: u32, _observer: u32, _may: &dyn Fn(u32) -> bool) -> Option<u32> {
        None
    }
    /// Returns how many classes there are.
    fn classes(&self) -> usize;
    /// Returns roughly how many bytes are held.
    fn bytes(&self) -> u64;
    /// Returns how many states have been met.
    fn states(&self) -> usize;
}

/// A model whose states are met as the search goes.
pub(crate) struct Interned<'a, M: Model> {
    model: &'a M,
    calls: Vec<Call<'a>>,
    observes: Vec<bool>,
    states: Vec<M::State>,
    ids: HashMap<M::State, u32, FixedState>,
    steps: HashMap<(u32, u32), Steps, FixedState>,
    heap: u64,
}

/// What follows a step: nothing or one state (nearly always), or a list.
#[derive(Clone, Debug)]
enum Steps {
    None,
    One(u32),
    Many(Box<[u32]>),
}

/// The number of each entry's class: entries with the same call are interchangeable.
pub(crate) struct Classes<'a> {
    /// The class of each entry.
    pub(crate) of: Vec<u32>,
    /// One call of each class.
    pub(crate) calls: Vec<Call<'a>>,
}

impl<'a> Classes<'a> {
    /// Sorts the entries of a part into classes.
    pub(crate) fn new<M: Model>(
        model: &M,
        operations: &'a [Operation],
        entries: &[Entry],
        meter: &Meter,
    ) -> Result<Classes<'a>, Exhausted> {
        let mut ids: HashMap<(Option<Process>, &Op, &Outcome), u32, FixedState> =
            HashMap::default();
        let mut classes = Classes { of: Vec::with_capacity(entries.len()), calls: Vec::new() };
        for (n, entry) in entries.iter().enumerate() {
            // What a read returned may be long, and is hashed whole.
            if n.is_multiple_of(32) {
                meter.poll()?;
            }
            let operation = &operations[entry.op as usize];
            let process = model.knows_processes().then_some(operation.process);
            let id =
                *ids.entry((process, &operation.op, &operation.outcome)).or_insert_with(|| {
                    classes.calls.push(operation.into());
                    classes.calls.len() as u32 - 1
                });
            classes.of.push(id);
        }
        Ok(classes)
    }
}

impl<'a, M: Model> Interned<'a, M> {
    /// Starts from a model and the classes of its calls.
    pub(crate) fn new(model: &'a M, calls: Vec<Call<'a>>) -> Interned<'a, M> {
        let observes = calls.iter().map(|call| model.only_observes(call)).collect();
        let mut space = Interned {
            model,
            calls,
            observes,
            states: Vec::new(),
            ids: HashMap::default(),
            steps: HashMap::default(),
            heap: 0,
        };
        space.intern(model.init());
        space
    }

    fn intern(&mut self, state: M::State) -> u32 {
        if let Some(id) = self.ids.get(&state) {
            return *id;
        }
        let id = self.states.len() as u32;
        self.heap += self.model.heap_bytes(&state) as u64;
        self.ids.insert(state.clone(), id);
        self.states.push(state);
        id
    }

    fn ask(&mut self, state: u32, class: u32) -> Steps {
        let mut next = Vec::new();
        self.model.step(&self.states[state as usize], &self.calls[class as usize], &mut next);
        let mut ids: Vec<u32> = next.into_iter().map(|state| self.intern(state)).collect();
        ids.sort_unstable();
        ids.dedup();
        match ids[..] {
            [] => Steps::None,
            [id] => Steps::One(id),
            _ => Steps::Many(ids.into()),
        }
    }
}

impl<M: Model> Space for Interned<'_, M> {
    fn start(&self) -> u32 {
        0
    }

    fn step(&mut self, state: u32, class: u32, next: &mut Vec<u32>) {
        if !self.steps.contains_key(&(state, class)) {
            let steps = self.ask(state, class);
            self.steps.insert((state, class), steps);
        }
        match &self.steps[&(state, class)] {
            Steps::None => {}
            Steps::One(id) => next.push(*id),
            Steps::Many(ids) => next.extend_from_slice(ids),
        }
    }

    fn observes(&self, class: u32) -> bool {
        self.observes[class as usize]
    }

    fn classes(&self) -> usize {
        self.calls.len()
    }

    fn bytes(&self) -> u64 {
        let states = room(self.states.len(), self.states.capacity(), size_of::<M::State>());
        let ids = room(self.ids.len(), self.ids.capacity(), size_of::<(M::State, u32)>() + 2);
        let step = size_of::<((u32, u32), Steps)>() + 2;
        let steps = room(self.steps.len(), self.steps.capacity(), step);
        states + ids * 8 / 7 + steps * 8 / 7 + self.heap
    }

    fn states(&self) -> usize {
        self.states.len()
    }
}
