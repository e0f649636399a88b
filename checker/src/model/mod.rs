//! Sequential specifications: what one operation at a time may do and return.

mod counter;
mod kind;
mod list;
mod lock;
mod queue;
mod register;
mod set;
mod stack;
mod txn;

use std::fmt::Debug;
use std::hash::Hash;

use squall_history::{Op, Operation, Outcome, Process};

pub(crate) use counter::amount;
pub(crate) use kind::Seeded;
pub use kind::{ModelKind, UnknownModel};
pub(crate) use txn::{keys_of, writes_of};

/// What a model is asked about: who did what, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call<'a> {
    /// Who asked.
    pub process: Process,
    /// What was asked.
    pub op: &'a Op,
    /// How it ended. Info says that the call took effect and nobody saw its result; a fail is there only where it
    /// observed the state.
    pub outcome: &'a Outcome,
}

impl<'a> From<&'a Operation> for Call<'a> {
    fn from(operation: &'a Operation) -> Call<'a> {
        Call { process: operation.process, op: &operation.op, outcome: &operation.outcome }
    }
}

/// A sequential specification.
///
/// The checker asks it which states may follow when one call takes effect in one state. It decides itself when calls
/// take effect, and whether calls in doubt do so at all.
///
/// ```
/// use squall_checker::{Budget, Call, Model, Verdict, check};
/// use squall_history::{F, HistoryBuilder, Op, Outcome, Value};
///
/// /// A ticket machine: each `increment` returns the next number.
/// struct Tickets;
///
/// impl Model for Tickets {
///     type State = i64;
///
///     fn init(&self) -> i64 {
///         0
///     }
///
///     fn step(&self, last: &i64, call: &Call<'_>, next: &mut Vec<i64>) {
///         match call.outcome {
///             Outcome::Ok(ticket) if *ticket == Value::Int(last + 1) => next.push(last + 1),
///             Outcome::Info { .. } => next.push(last + 1),
///             Outcome::Ok(_) | Outcome::Fail { .. } => {}
///         }
///     }
/// }
///
/// // Two at once, and both drew the first.
/// let mut history = HistoryBuilder::new();
/// let draws = [0, 1].map(|process| history.invoke(process, Op::of(F::Increment, Value::Nil)));
/// for draw in draws {
///     history.ok(draw, 1);
/// }
/// let history = history.build().expect("well formed");
/// let judgement = check(&Tickets, &history, &Budget::unlimited());
/// assert_eq!(judgement.verdict, Verdict::Invalid);
/// ```
pub trait Model: Sync {
    /// What is there between two operations.
    type State: Clone + Eq + Hash + Debug + Send;

    /// Returns the state before any operation.
    fn init(&self) -> Self::State;

    /// Pushes every state that may follow when this call takes effect in this state; none where it cannot.
    fn step(&self, state: &Self::State, call: &Call<'_>, next: &mut Vec<Self::State>);

    /// Returns whether each key is an object of its own, so that keys are judged apart (locality, Herlihy & Wing 1990).
    fn keys_are_independent(&self) -> bool {
        true
    }

    /// Returns whether the call leaves every state as it is. Only used to be faster, but it must be true.
    fn only_observes(&self, call: &Call<'_>) -> bool {
        call.op.f.is_read() || matches!(call.outcome, Outcome::Fail { .. })
    }

    /// Returns how many bytes a state holds outside itself, so that the memory limit covers them.
    fn heap_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        0
    }

    /// Returns whether it matters which process asks.
    fn knows_processes(&self) -> bool {
        false
    }
}
