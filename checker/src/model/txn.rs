//! Several registers that one transaction reads and writes at once: Jepsen's multi-register.
//!
//! A transaction is a list of micro-operations, `["read", key, value]` or `["write", key, value]` (also `r` and `w`);
//! what it returned repeats the list with the values that were read.

use squall_history::{F, Op, Outcome, Value};

use super::Call;

enum Micro<'a> {
    Read(&'a Value, &'a Value),
    Write(&'a Value, &'a Value),
}

fn micro(value: &Value) -> Option<Micro<'_>> {
    let [Value::Text(f), key, value] = value.as_list()? else { return None };
    match &**f {
        "read" | "r" | ":read" | ":r" => Some(Micro::Read(key, value)),
        "write" | "w" | ":write" | ":w" => Some(Micro::Write(key, value)),
        _ => None,
    }
}

/// Returns whether a value is a transaction.
pub(super) fn is_txn(value: &Value) -> bool {
    value.as_list().is_some_and(|items| items.iter().all(|item| micro(item).is_some()))
}

/// Returns whether a call reads and does nothing else.
pub(super) fn only_reads(op: &Op, outcome: &Outcome) -> bool {
    let ops = match outcome {
        Outcome::Ok(value) if is_txn(value) => value,
        Outcome::Ok(_) | Outcome::Fail { .. } | Outcome::Info { .. } => &op.value,
    };
    let read = |item: &Value| matches!(micro(item), Some(Micro::Read(..)));
    ops.as_list().is_some_and(|items| items.iter().all(read))
}

/// The state maps each key that was written to its value; the others are nil.
pub(super) fn step(state: &Value, call: &Call<'_>) -> Option<Value> {
    let Value::Map(pairs) = state else { return None };
    let mut pairs = pairs.to_vec();
    let key = call.op.key.as_ref().map_or(Value::Nil, |key| Value::Text(key.0.clone()));
    match (&call.op.f, call.outcome) {
        (F::Txn, Outcome::Ok(done)) => apply(&mut pairs, done, true)?,
        (F::Txn, Outcome::Info { .. }) => apply(&mut pairs, &call.op.value, false)?,
        (F::Read, Outcome::Ok(seen)) => {
            if get(&pairs, &key) != seen {
                return None;
            }
        }
        (F::Write, Outcome::Ok(_) | Outcome::Info { .. }) => {
            set(&mut pairs, &key, &call.op.value);
        }
        _ => return None,
    }
    Some(Value::Map(pairs.into()))
}

fn apply(pairs: &mut Vec<(Value, Value)>, ops: &Value, reads_count: bool) -> Option<()> {
    for item in ops.as_list()? {
        match micro(item)? {
            Micro::Read(key, seen) if reads_count && get(pairs, key) != seen => return None,
            Micro::Read(..) => {}
            Micro::Write(key, value) => set(pairs, key, value),
        }
    }
    Some(())
}

fn get<'a>(pairs: &'a [(Value, Value)], key: &Value) -> &'a Value {
    let found = pairs.binary_search_by(|(known, _)| known.cmp(key));
    found.map_or(&Value::Nil, |index| &pairs[index].1)
}

fn set(pairs: &mut Vec<(Value, Value)>, key: &Value, value: &Value) {
    match pairs.binary_search_by(|(known, _)| known.cmp(key)) {
        // A register that holds nil is one that was never written.
        Ok(index) if value.is_nil() => drop(pairs.remove(index)),
        Ok(index) => pairs[index].1 = value.clone(),
        Err(_) if value.is_nil() => {}
        Err(index) => pairs.insert(index, (key.clone(), value.clone())),
    }
}

/// Returns the state in which the registers of a map hold its values.
pub(super) fn initial(map: &Value) -> Value {
    let mut pairs = Vec::new();
    if let Value::Map(given) = map {
        given.iter().for_each(|(key, value)| set(&mut pairs, key, value));
    }
    Value::Map(pairs.into())
}

/// Returns the keys of the registers that an operation touches.
pub(crate) fn keys_of(op: &Op) -> Vec<Value> {
    if op.f != F::Txn {
        return vec![op.key.as_ref().map_or(Value::Nil, |key| Value::Text(key.0.clone()))];
    }
    let items = op.value.as_list().unwrap_or(&[]).iter().filter_map(micro);
    let mut keys: Vec<Value> = items
        .map(|item| match item {
            Micro::Read(key, _) | Micro::Write(key, _) => key.clone(),
        })
        .collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() { vec![Value::Nil] } else { keys }
}

/// Returns whether a result repeats a transaction, with what its reads saw.
///
/// Jepsen's clients answer so, and its multi-register believes the completed operation alone.
pub(super) fn repeats(asked: &Value, told: &Value) -> bool {
    let (Some(asked), Some(told)) = (asked.as_list(), told.as_list()) else { return false };
    asked.len() == told.len()
        && asked.iter().zip(told).all(|(asked, told)| match (micro(asked), micro(told)) {
            (Some(Micro::Read(asked, _)), Some(Micro::Read(told, _))) => asked == told,
            (Some(Micro::Write(key, value)), Some(Micro::Write(told_key, told))) => {
                (key, value) == (told_key, told)
            }
            _ => false,
        })
}

/// Returns a transaction without its reads.
pub(crate) fn writes_of(value: &Value) -> Value {
    let writes = |item: &&Value| matches!(micro(item), Some(Micro::Write(..)));
    Value::list(value.as_list().unwrap_or(&[]).iter().filter(writes).cloned())
}
