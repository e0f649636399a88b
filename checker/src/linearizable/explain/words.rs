//! How operations are called in sentences.

use squall_history::{F, Outcome};

use crate::linearizable::judgement::CoreOperation;
use crate::linearizable::story;

/// Returns a few words for an operation of a core: `write 4 by process 12`.
pub(super) fn short(core: &[CoreOperation], n: usize) -> String {
    story::short(&core[n])
}

/// Returns the beginning of a sentence on what an operation saw: `read by process 12 saw`.
pub(super) fn saw(core: &[CoreOperation], n: usize) -> String {
    let operation = &core[n].operation;
    match (&operation.op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(_)) => format!("the read by process {} saw", operation.process),
        _ => format!("{} saw", short(core, n)),
    }
}
