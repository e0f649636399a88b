//! A list with unique elements that is read whole, one event at a time.
//!
//! The longest read so far gives the order of the elements that anybody saw, and every other read must be a prefix of
//! it, or go on from it. So whatever was seen has its *step*: reads of nothing, the first element's append, reads of one
//! element, and so on. Acknowledged appends that nobody saw yet are beyond the last step. Appends in doubt that nobody
//! saw may as well not have happened.
//!
//! The order of the steps respects real time if and only if nothing of a later step returned before something of an
//! earlier one was invoked (`linearizable/list_append.rs` judges whole histories so). An operation is held against the
//! later steps when its own becomes known; returns to come are later than its invocation, and so cannot contradict it
//! any more. `later` has the first return of all steps behind each, so that this is one comparison.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;
use squall_history::{F, Op, Value};

use super::violation::{Halt, broken};

/// An event that did not come yet.
const NEVER: u32 = u32::MAX;

/// One list.
#[derive(Debug)]
pub(super) struct List {
    /// The elements in the order in which they were seen.
    order: Vec<Value>,
    appends: HashMap<Value, Append, FixedState>,
    /// The first return of all that is known to come behind a step: step 2k has the append of the k-th element, counted
    /// from 1, and step 2k + 1 the reads of k elements. It never grows smaller from one step to the next.
    later: Vec<u32>,
    /// The returns of acknowledged appends that nobody saw.
    unseen: BTreeSet<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Append {
    invoked: u32,
    /// When it was acknowledged.
    returned: u32,
    /// Where its element stands, counted from 1; 0 while nobody saw it.
    place: usize,
}

impl Default for List {
    fn default() -> List {
        List {
            order: Vec::new(),
            appends: HashMap::default(),
            later: vec![NEVER; 2],
            unseen: BTreeSet::new(),
        }
    }
}

impl List {
    /// Returns about how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let element = 2 * size_of::<Value>() + size_of::<Append>() + 2 * size_of::<u32>();
        // A hash table is between 7/16 and 7/8 full.
        size_of::<List>() + 2 * element * self.appends.len()
    }

    /// An operation is invoked.
    pub(super) fn invoke(&mut self, at: u32, op: &Op) -> Result<(), Halt> {
        if op.f == F::Read {
            return Ok(());
        }
        let append = Append { invoked: at, returned: NEVER, place: 0 };
        match self.appends.insert(op.value.clone(), append) {
            None => Ok(()),
            Some(_) => Err(Halt::GaveUp("an element is appended more than once")),
        }
    }

    /// An append is acknowledged.
    pub(super) fn acknowledge(&mut self, element: &Value, now: u32) -> Result<(), Halt> {
        let append = self.appends.get_mut(element).expect("an append returns after it was invoked");
        // Whoever saw it already stands behind it, and has returned before.
        if append.place == 0 {
            append.returned = now;
            self.unseen.insert(now);
        }
        Ok(())
    }

    /// An append certainly did not happen.
    pub(super) fn fail(&mut self, element: &Value) -> Result<(), Halt> {
        match self.appends.remove(element) {
            Some(Append { invoked, place: 1.., .. }) => Err(broken(
                [invoked],
                format!("the element {element} was read, and its append failed"),
            )),
            Some(Append { place: 0, .. }) | None => Ok(()),
        }
    }

    /// A read returned these elements.
    pub(super) fn read(&mut self, invoked: u32, seen: &[Value], now: u32) -> Result<(), Halt> {
        let known = seen.len().min(self.order.len());
        if let Some(at) = (0..known).find(|at| seen[*at] != self.order[*at]) {
            let (other, this) = (&self.order[at], &seen[at]);
            let why = format!("one read has {other} at place {}, another {this}", at + 1);
            return Err(broken([invoked], why));
        }
        self.place(invoked, &seen[known..])?;
        let step = 2 * seen.len() + 1;
        let first = self.first_behind(step);
        if first < invoked {
            let why = format!(
                "a read of {} elements began at event {invoked}, and more had been seen or acknowledged by event {first}",
                seen.len()
            );
            return Err(broken([invoked], why));
        }
        self.note(step, now);
        Ok(())
    }

    /// Gives places to elements that nobody saw before, behind those that have some.
    fn place(&mut self, read: u32, elements: &[Value]) -> Result<(), Halt> {
        for element in elements {
            let Some(append) = self.appends.get_mut(element) else {
                return Err(broken([read], format!("nobody can have appended {element}")));
            };
            if append.place > 0 {
                return Err(broken(
                    [read, append.invoked],
                    format!("{element} is in the list twice"),
                ));
            }
            self.order.push(element.clone());
            append.place = self.order.len();
            self.unseen.remove(&append.returned);
            self.later.extend([NEVER, NEVER]);
        }
        // From the last, so that each is held against those behind it.
        let first = self.order.len() - elements.len();
        for at in (first..self.order.len()).rev() {
            let Append { invoked, returned, place } = self.appends[&self.order[at]];
            let behind = self.first_behind(2 * place);
            if behind < invoked {
                let why = format!(
                    "{} was appended from event {invoked} on, and stands before what was done by event {behind}",
                    self.order[at]
                );
                return Err(broken([invoked, read], why));
            }
            if returned != NEVER {
                self.note(2 * place, returned);
            }
        }
        Ok(())
    }

    /// Returns the first return behind a step.
    fn first_behind(&self, step: usize) -> u32 {
        self.later[step].min(self.unseen.first().copied().unwrap_or(NEVER))
    }

    /// Notes a return at a step, for all steps before it.
    fn note(&mut self, step: usize, returned: u32) {
        for later in self.later[..step].iter_mut().rev() {
            if *later <= returned {
                return;
            }
            *later = returned;
        }
    }
}
