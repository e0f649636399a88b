//! Shrinks an impossible history to a few operations that alone are impossible, by sound relaxations.
//!
//! Each change can only make a history more permissive, so what is impossible after it was impossible before:
//! - an observer is left out;
//! - a definite operation becomes optional (it may take effect at any later time, or never);
//! - a cas becomes a write: where the cas was possible, so is the write, and it leaves the same value;
//! - what was invoked after a moment is left out, and what was then open becomes optional;
//! - an operation of a register is left out that nothing left could need ([`unneeded`]).
//!
//! Leaving out any other write is *not* a relaxation: `w(1), r→1, r→7` is impossible for the sake of 7, but without the
//! write `r→1` alone would be impossible too, and it was not.

use squall_history::{F, Operation, Outcome, Value};

use super::core::{Relaxed, element};
use super::decide::{Question, Rules, is_register};
use super::part::{Entry, NEVER};
use crate::ModelKind;

/// Which operations may be left out beside observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// None: nothing is proved for the model.
    Observers,
    /// Those of a register that nothing left could need.
    Unneeded,
    /// All on one element of a list, a queue, a stack or a set; reads then no longer count it.
    Elements,
    /// Each alone: a grant that is left out only lowers the bar for the others.
    Any,
}

impl Leave {
    /// Returns what may be left out under the rules of a model.
    pub(crate) fn of(question: &Question<'_>) -> Leave {
        let Rules::Builtin(kind) = question.rules else { return Leave::Observers };
        match kind {
            ModelKind::Register | ModelKind::CasRegister => Leave::Unneeded,
            ModelKind::Kv if is_register(question) => Leave::Unneeded,
            ModelKind::ListAppend
            | ModelKind::FifoQueue
            | ModelKind::UnorderedQueue
            | ModelKind::Stack
            | ModelKind::Set => Leave::Elements,
            ModelKind::Fencing => Leave::Any,
            ModelKind::MultiRegister
            | ModelKind::Kv
            | ModelKind::Counter
            | ModelKind::Mutex
            | ModelKind::OwnerLock => Leave::Observers,
        }
    }
}

/// What is known of the model: what may be left out, and which entries observe.
pub(crate) struct Relaxing<'a> {
    /// The operations of the history.
    pub(crate) operations: &'a [Operation],
    /// Which others may be left out.
    pub(crate) leave: Leave,
    /// Returns whether an entry only observes.
    pub(crate) observes: &'a dyn Fn(&Entry) -> bool,
    /// Returns whether the time is up: then what is left is told as it is.
    pub(crate) stop: &'a dyn Fn() -> bool,
    /// Decides a trial: returns whether these are still impossible. Out of budget, it says no.
    pub(crate) impossible: &'a mut dyn FnMut(&[Relaxed]) -> bool,
}

impl Relaxing<'_> {
    /// Shrinks what is impossible until no single relaxation leaves less.
    pub(crate) fn minimise(&mut self, start: Vec<Relaxed>) -> Vec<Relaxed> {
        let mut left = start;
        self.leave_out(&mut left);
        loop {
            // Loosening is no end in itself: the story is clearer with what really happened.
            let mut looser = left.clone();
            self.loosen(&mut looser);
            if looser == left || (self.stop)() {
                return left;
            }
            self.leave_out(&mut looser);
            if looser.len() == left.len() {
                return left;
            }
            left = looser;
        }
    }

    /// Leaves out as many as it may, in chunks of halving size, the earliest first.
    fn leave_out(&mut self, left: &mut Vec<Relaxed>) {
        let mut size = left.len().next_power_of_two();
        while size > 0 {
            let mut start = 0;
            while start < left.len() {
                if (self.stop)() {
                    return;
                }
                let end = (start + size).min(left.len());
                let trial = self.without(left, start..end);
                if trial.len() < left.len() && (self.impossible)(&trial) {
                    *left = trial;
                } else {
                    start = end;
                }
            }
            size /= 2;
        }
    }

    /// Returns what is left without those in a range that may be left out, each judged by what is then left.
    fn without(&self, left: &[Relaxed], range: std::ops::Range<usize>) -> Vec<Relaxed> {
        let mut trial = left.to_vec();
        for relaxed in &left[range] {
            // Each step walks over all that is left, which may be tens of thousands.
            if (self.stop)() {
                return trial;
            }
            match self.leave {
                _ if (self.observes)(&relaxed.entry) => trial.retain(|other| other != relaxed),
                Leave::Any => trial.retain(|other| other != relaxed),
                Leave::Unneeded if unneeded(self.operations, &trial, relaxed) => {
                    trial.retain(|other| other != relaxed);
                }
                Leave::Elements => self.without_element(&mut trial, relaxed),
                Leave::Observers | Leave::Unneeded => {}
            }
        }
        trial
    }

    /// Leaves out everything on the element of an entry.
    fn without_element(&self, trial: &mut Vec<Relaxed>, relaxed: &Relaxed) {
        let of = |relaxed: &Relaxed| element(&self.operations[relaxed.entry.op as usize]);
        match of(relaxed) {
            Some(gone) => trial.retain(|other| of(other) != Some(gone)),
            // What took an element in doubt, or found none, can be left out alone: nothing depends on it.
            None => {
                let operation = &self.operations[relaxed.entry.op as usize];
                if !matches!(operation.outcome, Outcome::Info { .. }) {
                    trial.retain(|other| other != relaxed);
                }
            }
        }
    }

    /// Makes definite operations optional and cas blind, one at a time, and leaves out what that makes unneeded.
    fn loosen(&mut self, left: &mut Vec<Relaxed>) {
        for n in (0..left.len()).rev() {
            if (self.stop)() {
                return;
            }
            let Some(relaxed) = left.get(n).copied() else { continue };
            let cas = self.operations[relaxed.entry.op as usize].op.f == F::Cas;
            if (self.observes)(&relaxed.entry) {
                continue;
            }
            let optional = Relaxed { entry: Entry { ret: NEVER, ..relaxed.entry }, ..relaxed };
            let blind = Relaxed { blind: true, ..relaxed };
            let both = Relaxed { blind: true, ..optional };
            let looser = [(cas, both), (true, optional), (cas, blind)];
            for (applies, looser) in looser {
                let mut trial = left.clone();
                trial[n] = looser;
                if applies && looser != relaxed && (self.impossible)(&trial) {
                    *left = trial;
                    break;
                }
            }
        }
    }
}

/// Returns whether an operation of a register may be left out: nothing left could need the value that it leaves.
///
/// Take any order of all entries, and leave this one out. Only what stands between it and the next change of state sees
/// another value. Nothing that needs or may need its value stands there, if each such entry either returned before this
/// one began, or began after some other definite change had returned that itself began after this one had returned.
/// The second reason counts only while somebody else leaves the same value: the last who does belongs to the story.
pub(crate) fn unneeded(operations: &[Operation], left: &[Relaxed], relaxed: &Relaxed) -> bool {
    let act = |other: &Relaxed| Effect::of(&operations[other.entry.op as usize], other.blind);
    let Some(value) = act(relaxed).leaves else { return false };
    let entry = relaxed.entry;
    let others = || left.iter().filter(|other| *other != relaxed);
    let again = others().any(|other| act(other).leaves == Some(value));
    let over = others()
        .filter(|other| again && other.entry.inv > entry.ret && !other.entry.is_optional())
        .filter(|other| act(other).leaves.is_some())
        .map(|other| other.entry.ret)
        .min()
        .unwrap_or(NEVER);
    others()
        .filter(|other| act(other).may_need(value))
        .all(|other| other.entry.ret < entry.inv || other.entry.inv > over)
}

/// What an operation of a register needs and leaves.
struct Effect<'a> {
    needs: Option<&'a Value>,
    refuses: Option<&'a Value>,
    leaves: Option<&'a Value>,
}

impl<'a> Effect<'a> {
    fn of(operation: &'a Operation, blind: bool) -> Effect<'a> {
        let nothing = Effect { needs: None, refuses: None, leaves: None };
        let pair = operation.op.value.as_pair();
        match (&operation.op.f, &operation.outcome) {
            (F::Read, Outcome::Ok(seen)) => Effect { needs: Some(seen), ..nothing },
            (F::Cas, Outcome::Fail { seen: Some(seen), .. }) => {
                // One that saw the very value it compared with cannot be satisfied by any.
                let from = pair.map(|(from, _)| from);
                Effect { needs: Some(seen).filter(|seen| Some(*seen) != from), ..nothing }
            }
            (F::Cas, Outcome::Fail { seen: None, .. }) => {
                Effect { refuses: pair.map(|(from, _)| from), ..nothing }
            }
            (_, Outcome::Fail { .. }) => nothing,
            (F::Write, _) => Effect { leaves: Some(&operation.op.value), ..nothing },
            // A cas to what was there only observes, and goes like an observer: nothing may rest on it as on a change.
            (F::Cas, _) if !blind && pair.is_some_and(|(from, to)| from == to) => {
                Effect { needs: pair.map(|(from, _)| from), ..nothing }
            }
            (F::Delete, _) => Effect { leaves: Some(&Value::Nil), ..nothing },
            (F::Cas, _) => Effect {
                needs: pair.map(|(from, _)| from).filter(|_| !blind),
                leaves: pair.map(|(_, to)| to),
                ..nothing
            },
            _ => nothing,
        }
    }

    /// Returns whether it could be satisfied by a value.
    fn may_need(&self, value: &Value) -> bool {
        self.needs == Some(value) || self.refuses.is_some_and(|refused| refused != value)
    }
}
