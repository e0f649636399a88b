//! One key, behind the engine that follows its model.

use squall_history::{F, FailedCas, NilRead, Op, Outcome, Reading, Value};

use super::list::List;
use super::register::Register;
use super::violation::Halt;
use crate::ModelKind;

/// The object under one key.
#[derive(Debug)]
pub(super) enum Object {
    /// A value.
    Register(Register),
    /// A list that grows at its end.
    List(List),
}

/// What a return says of its operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'a> {
    /// Nothing that was not known.
    Nothing,
    /// It will not return any more.
    Doubt,
    /// It ended so.
    Ended(&'a Outcome),
}

impl<'a> Told<'a> {
    /// Returns what the outcome of an operation with one attempt says.
    pub(super) fn by(outcome: &'a Outcome) -> Told<'a> {
        match outcome {
            Outcome::Info { .. } => Told::Doubt,
            Outcome::Ok(_) | Outcome::Fail { .. } => Told::Ended(outcome),
        }
    }
}

impl Object {
    /// Begins with the first value; nothing for a model that no engine here follows.
    pub(super) fn new(model: ModelKind, reading: &Reading) -> Option<Object> {
        match model {
            ModelKind::Register | ModelKind::CasRegister => {
                Some(Object::Register(Register::new(&reading.initial)))
            }
            ModelKind::ListAppend => Some(Object::List(List::default())),
            ModelKind::MultiRegister
            | ModelKind::Kv
            | ModelKind::FifoQueue
            | ModelKind::UnorderedQueue
            | ModelKind::Stack
            | ModelKind::Set
            | ModelKind::Counter
            | ModelKind::Mutex
            | ModelKind::OwnerLock
            | ModelKind::Fencing => None,
        }
    }

    /// Returns about how many bytes it holds; the text of values is not counted.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Object::Register(register) => register.bytes(),
            Object::List(list) => list.bytes(),
        }
    }

    /// An operation is invoked, for the first time.
    pub(super) fn invoke(&mut self, at: u32, op: &Op) -> Result<(), Halt> {
        match self {
            Object::Register(register) => register.invoke(at, op),
            Object::List(list) => list.invoke(at, op),
        }
    }

    /// A return says something of the operation that was invoked at an event.
    pub(super) fn tell(
        &mut self,
        told: Told<'_>,
        invoked: u32,
        op: &Op,
        reading: &Reading,
        now: u32,
    ) -> Result<(), Halt> {
        match (self, told) {
            (_, Told::Nothing) => Ok(()),
            (Object::Register(register), Told::Doubt) => {
                register.doubt(invoked);
                Ok(())
            }
            // A list keeps no account of what is open.
            (Object::List(_), Told::Doubt) => Ok(()),
            (Object::Register(register), Told::Ended(outcome)) => {
                end_register(register, invoked, op, outcome, reading, now)
            }
            (Object::List(list), Told::Ended(outcome)) => {
                end_list(list, invoked, op, outcome, reading, now)
            }
        }
    }
}

fn end_register(
    register: &mut Register,
    invoked: u32,
    op: &Op,
    outcome: &Outcome,
    reading: &Reading,
    now: u32,
) -> Result<(), Halt> {
    match (op.f == F::Read, outcome) {
        (true, Outcome::Ok(value)) if !is_vague(value, reading) => {
            register.see(invoked, value, now)
        }
        (true, Outcome::Ok(_) | Outcome::Fail { .. } | Outcome::Info { .. }) => {
            register.silence(invoked, now);
            Ok(())
        }
        (false, Outcome::Ok(_)) => register.acknowledge(invoked, now),
        (false, Outcome::Info { .. }) => {
            register.doubt(invoked);
            Ok(())
        }
        (false, Outcome::Fail { error, seen }) => {
            register.fail(invoked)?;
            if !error.is_precondition() || reading.failed_cas == FailedCas::Dropped {
                return Ok(());
            }
            observe(register, invoked, op, seen.as_ref(), now)
        }
    }
}

/// A cas that failed saw another value than the one that it compared with.
fn observe(
    register: &mut Register,
    invoked: u32,
    op: &Op,
    seen: Option<&Value>,
    now: u32,
) -> Result<(), Halt> {
    let from = op.value.as_pair().map(|(from, _)| from);
    match (from, seen) {
        (None, _) => Err(Halt::GaveUp("an operation other than a cas failed on a precondition")),
        // Only a search can place an observer that is content with any value but one.
        (Some(_), None) => Err(Halt::GaveUp("a failed cas does not say what it saw")),
        (Some(from), Some(seen)) if seen == from => Err(Halt::Broken {
            operations: vec![invoked],
            why: format!("a cas failed, and saw the very value {seen} that it compared with"),
        }),
        (Some(_), Some(seen)) => register.see(invoked, seen, now),
    }
}

fn end_list(
    list: &mut List,
    invoked: u32,
    op: &Op,
    outcome: &Outcome,
    reading: &Reading,
    now: u32,
) -> Result<(), Halt> {
    match (op.f == F::Read, outcome) {
        (true, Outcome::Ok(value)) if is_vague(value, reading) => Ok(()),
        (true, Outcome::Ok(Value::Nil)) => list.read(invoked, &[], now),
        (true, Outcome::Ok(value)) => match value.as_list() {
            Some(seen) => list.read(invoked, seen, now),
            None => Err(Halt::GaveUp("a read does not return a list")),
        },
        (false, Outcome::Ok(_)) => list.acknowledge(&op.value, now),
        (_, Outcome::Fail { error, .. }) if error.is_precondition() => {
            Err(Halt::GaveUp("an operation on a list failed on a precondition"))
        }
        (false, Outcome::Fail { .. }) => list.fail(&op.value),
        (true, Outcome::Fail { .. }) | (_, Outcome::Info { .. }) => Ok(()),
    }
}

/// Returns whether a read says nothing, as it is read here.
fn is_vague(value: &Value, reading: &Reading) -> bool {
    value.is_nil() && reading.nil_read == NilRead::Unknown
}
