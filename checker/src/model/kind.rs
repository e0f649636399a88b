//! The models that squall knows by name.

use std::fmt;
use std::str::FromStr;

use squall_history::{F, Op, Operation, Outcome, Value};

use super::{Call, Model, counter, list, lock, queue, register, set, stack, txn};

/// Names a built-in sequential specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelKind {
    /// One value: read, write.
    Register,
    /// One value: read, write, cas.
    CasRegister,
    /// Several registers that one transaction reads and writes at once.
    MultiRegister,
    /// A key-value store: get, put, cas, append, delete, each on one key.
    Kv,
    /// Lists that grow at the end and are read whole.
    ListAppend,
    /// First in, first out.
    FifoQueue,
    /// A bag: any element may come out.
    UnorderedQueue,
    /// Last in, first out.
    Stack,
    /// Add, remove, contains, read all.
    Set,
    /// Increments by any amount, and reads of the sum.
    Counter,
    /// A lock that anybody may release.
    Mutex,
    /// A lock that only its holder may release.
    OwnerLock,
    /// Grants that carry an ever larger token.
    Fencing,
}

const NAMES: [(ModelKind, &str); 13] = [
    (ModelKind::Register, "register"),
    (ModelKind::CasRegister, "cas-register"),
    (ModelKind::MultiRegister, "multi-register"),
    (ModelKind::Kv, "kv"),
    (ModelKind::ListAppend, "list-append"),
    (ModelKind::FifoQueue, "fifo-queue"),
    (ModelKind::UnorderedQueue, "unordered-queue"),
    (ModelKind::Stack, "stack"),
    (ModelKind::Set, "set"),
    (ModelKind::Counter, "counter"),
    (ModelKind::Mutex, "mutex"),
    (ModelKind::OwnerLock, "owner-lock"),
    (ModelKind::Fencing, "fencing"),
];

impl ModelKind {
    /// Every built-in model.
    pub const ALL: [ModelKind; 13] = [
        ModelKind::Register,
        ModelKind::CasRegister,
        ModelKind::MultiRegister,
        ModelKind::Kv,
        ModelKind::ListAppend,
        ModelKind::FifoQueue,
        ModelKind::UnorderedQueue,
        ModelKind::Stack,
        ModelKind::Set,
        ModelKind::Counter,
        ModelKind::Mutex,
        ModelKind::OwnerLock,
        ModelKind::Fencing,
    ];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Returns the functions that the model understands.
    pub fn functions(self) -> &'static [F] {
        match self {
            ModelKind::Register | ModelKind::CasRegister => &[F::Read, F::Write, F::Cas, F::Delete],
            ModelKind::MultiRegister => &[F::Read, F::Write, F::Txn],
            ModelKind::Kv => &[F::Read, F::Write, F::Cas, F::Append, F::Delete],
            ModelKind::ListAppend => &[F::Read, F::Append],
            ModelKind::FifoQueue => &[F::Enqueue, F::Dequeue],
            ModelKind::UnorderedQueue => &[F::Enqueue, F::Dequeue, F::Add, F::Remove],
            ModelKind::Stack => &[F::Push, F::Pop],
            ModelKind::Set => &[F::Add, F::Remove, F::Contains, F::Read],
            ModelKind::Counter => &[F::Increment, F::Add, F::Read],
            ModelKind::Mutex | ModelKind::OwnerLock | ModelKind::Fencing => {
                &[F::Acquire, F::Release]
            }
        }
    }

    /// Returns the part of an acknowledged result that the model heeds, of operations other than reads.
    pub(crate) fn told(self, op: &Op, outcome: &Outcome) -> Option<Value> {
        let Outcome::Ok(value) = outcome else { return None };
        match (&op.f, self) {
            (F::Dequeue | F::Pop, _)
            | (F::Remove, ModelKind::UnorderedQueue)
            | (F::Acquire, ModelKind::Fencing) => Some(value.clone()),
            (F::Txn, _) => Some(value.clone()).filter(|told| txn::repeats(&op.value, told)),
            _ => None,
        }
    }

    /// Says why the model cannot make sense of an operation, if it cannot.
    pub(crate) fn misunderstands(self, operation: &Operation) -> Option<String> {
        let op = &operation.op;
        if !self.functions().contains(&op.f) {
            let known: Vec<_> = self.functions().iter().map(F::name).collect();
            return Some(format!(
                "model {self} has no operation `{}`; it knows {}",
                op.f,
                known.join(", ")
            ));
        }
        let expected = self.expects(op, &operation.outcome)?;
        let answered = match &operation.outcome {
            Outcome::Ok(value) if *value != op.value => format!(", answered with `{value}`"),
            Outcome::Ok(_) | Outcome::Fail { .. } | Outcome::Info { .. } => String::new(),
        };
        Some(format!("model {self} expects {expected}, found `{op}`{answered}"))
    }

    /// Says which shape was expected of an operation that has another.
    fn expects(self, op: &Op, outcome: &Outcome) -> Option<&'static str> {
        let returned = match outcome {
            Outcome::Ok(value) => Some(value),
            Outcome::Fail { .. } | Outcome::Info { .. } => None,
        };
        match self {
            ModelKind::Register | ModelKind::CasRegister | ModelKind::Kv => {
                let broken = op.f == F::Cas && op.value.as_pair().is_none();
                broken.then_some("a cas of the form [from, to]")
            }
            ModelKind::ListAppend => {
                let broken = op.f == F::Read && !returned.is_none_or(list::is_list);
                broken.then_some("reads that return the whole list")
            }
            ModelKind::Set => {
                let broken = op.f == F::Read && !returned.is_none_or(list::is_list);
                let bool = |value: &Value| matches!(value, Value::Bool(_));
                let blind = op.f == F::Contains && !returned.is_none_or(bool);
                broken
                    .then_some("reads that return the whole set")
                    .or(blind.then_some("contains that returns true or false"))
            }
            ModelKind::Counter => {
                let number = |value: &Value| value.is_nil() || value.as_int().is_some();
                let read = op.f == F::Read;
                let broken = if read { !returned.is_none_or(number) } else { !number(&op.value) };
                broken.then_some("whole numbers")
            }
            ModelKind::Fencing => {
                let number = |value: &Value| value.as_int().is_some();
                let broken = op.f == F::Acquire && !returned.is_none_or(number);
                broken.then_some("an acquire that returns its token, a whole number")
            }
            ModelKind::MultiRegister if op.f != F::Txn => None,
            ModelKind::MultiRegister if !txn::is_txn(&op.value) => {
                Some("transactions of the form [[\"read\", key, value], [\"write\", …]]")
            }
            // An answer to something else says nothing of what was asked: to believe either would be a guess.
            ModelKind::MultiRegister => {
                let broken = !returned.is_none_or(|told| txn::repeats(&op.value, told));
                broken.then_some("answers that repeat the transaction, with what its reads saw")
            }
            ModelKind::FifoQueue
            | ModelKind::UnorderedQueue
            | ModelKind::Stack
            | ModelKind::Mutex
            | ModelKind::OwnerLock => None,
        }
    }
}

impl Model for ModelKind {
    type State = Value;

    fn init(&self) -> Value {
        match self {
            ModelKind::Register
            | ModelKind::CasRegister
            | ModelKind::Kv
            | ModelKind::Mutex
            | ModelKind::OwnerLock
            | ModelKind::Fencing => Value::Nil,
            ModelKind::ListAppend
            | ModelKind::FifoQueue
            | ModelKind::UnorderedQueue
            | ModelKind::Stack
            | ModelKind::Set => Value::list([]),
            ModelKind::MultiRegister => Value::Map([].into()),
            ModelKind::Counter => Value::Int(0),
        }
    }

    fn step(&self, state: &Value, call: &Call<'_>, next: &mut Vec<Value>) {
        match self {
            ModelKind::Register | ModelKind::CasRegister => {
                next.extend(register::step(state, call));
            }
            ModelKind::Kv => next.extend(register::step_kv(state, call)),
            ModelKind::MultiRegister => next.extend(txn::step(state, call)),
            ModelKind::ListAppend => next.extend(list::step(state, call)),
            ModelKind::FifoQueue => next.extend(queue::step_fifo(state, call)),
            ModelKind::UnorderedQueue => queue::step_bag(state, call, next),
            ModelKind::Stack => next.extend(stack::step(state, call)),
            ModelKind::Set => next.extend(set::step(state, call)),
            ModelKind::Counter => next.extend(counter::step(state, call)),
            ModelKind::Mutex => next.extend(lock::step_mutex(state, call)),
            ModelKind::OwnerLock => next.extend(lock::step_owner(state, call)),
            ModelKind::Fencing => next.extend(lock::step_fencing(state, call)),
        }
    }

    fn keys_are_independent(&self) -> bool {
        *self != ModelKind::MultiRegister
    }

    fn only_observes(&self, call: &Call<'_>) -> bool {
        match (&call.op.f, call.outcome) {
            (_, Outcome::Fail { .. }) | (F::Read | F::Contains, _) => true,
            // What finds the queue empty takes nothing from it.
            (F::Dequeue | F::Pop, Outcome::Ok(Value::Nil)) => true,
            (F::Remove, Outcome::Ok(Value::Nil)) => *self == ModelKind::UnorderedQueue,
            // A cas to what was there leaves it there.
            (F::Cas, _) => call.op.value.as_pair().is_some_and(|(from, to)| from == to),
            (F::Release, _) => *self == ModelKind::Fencing,
            (F::Txn, outcome) => txn::only_reads(call.op, outcome),
            _ => false,
        }
    }

    fn heap_bytes(&self, state: &Value) -> usize {
        match state {
            Value::Nil | Value::Bool(_) | Value::Int(_) => 0,
            Value::Number(text) | Value::Text(text) => 16 + text.len(),
            Value::List(items) => 16 + size_of_val(&items[..]),
            Value::Map(pairs) => 16 + size_of_val(&pairs[..]),
        }
    }

    fn knows_processes(&self) -> bool {
        *self == ModelKind::OwnerLock
    }
}

/// A built-in model that starts from a given value, where it is one that heeds it.
pub(crate) struct Seeded<'a> {
    /// The specification.
    pub(crate) kind: ModelKind,
    /// The first value; nil for the model's own.
    pub(crate) initial: &'a Value,
}

impl Model for Seeded<'_> {
    type State = Value;

    fn init(&self) -> Value {
        match self.kind {
            ModelKind::Register | ModelKind::CasRegister | ModelKind::Kv => self.initial.clone(),
            ModelKind::MultiRegister => txn::initial(self.initial),
            ModelKind::ListAppend
            | ModelKind::FifoQueue
            | ModelKind::UnorderedQueue
            | ModelKind::Stack
            | ModelKind::Set
            | ModelKind::Counter
            | ModelKind::Mutex
            | ModelKind::OwnerLock
            | ModelKind::Fencing => self.kind.init(),
        }
    }

    fn step(&self, state: &Value, call: &Call<'_>, next: &mut Vec<Value>) {
        self.kind.step(state, call, next);
    }

    fn keys_are_independent(&self) -> bool {
        self.kind.keys_are_independent()
    }

    fn only_observes(&self, call: &Call<'_>) -> bool {
        self.kind.only_observes(call)
    }

    fn heap_bytes(&self, state: &Value) -> usize {
        self.kind.heap_bytes(state)
    }

    fn knows_processes(&self) -> bool {
        self.kind.knows_processes()
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says that no model has this name, and which one may have been meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown model {name:?}; did you mean {nearest}? (known: {})", known())]
pub struct UnknownModel {
    /// What was asked for.
    pub name: String,
    /// The known name that is nearest.
    pub nearest: ModelKind,
}

fn known() -> String {
    let names: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
    names.join(", ")
}

impl FromStr for ModelKind {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<ModelKind, UnknownModel> {
        if let Some((kind, _)) = NAMES.iter().find(|(_, known)| *known == name) {
            return Ok(*kind);
        }
        let similarity = |known: &str| (strsim::jaro_winkler(known, name) * 1e6) as u64;
        let nearest = NAMES.iter().max_by_key(|(_, known)| similarity(known));
        let nearest = nearest.map_or(ModelKind::Register, |(kind, _)| *kind);
        Err(UnknownModel { name: name.to_owned(), nearest })
    }
}
