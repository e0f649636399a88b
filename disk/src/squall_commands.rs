//! The commands of the reference's log, by their documented format.
//!
//! ```text
//! kind:     0 a new leader's first entry    1 a command    2 a configuration
//! command:  nonce request change            postcard: numbers in groups of seven bits, texts behind their length
//! request:  0, or 1 session sequence
//! change:   0 key value         write       values are JSON texts
//!           1 key old new       cas
//!           2 key element       append
//!           3 key by            increment; a signed number, 0 -1 1 -2 … as 0 1 2 3 …
//! ```

use squall_history::log::Command;
use squall_history::{F, Key, Op, Request, Value};

use crate::cursor::Cursor;

const COMMAND: u64 = 1;

/// Reads what an entry asks for.
pub fn command(kind: u64, data: &[u8]) -> Command {
    if kind != COMMAND {
        return Command::Nothing;
    }
    let mut cursor = Cursor::new(data);
    match decode(&mut cursor).filter(|_| cursor.is_empty()) {
        Some((op, request)) => Command::Op(op, request),
        None => Command::Unknown("a command of another format".to_owned()),
    }
}

fn decode(cursor: &mut Cursor<'_>) -> Option<(Op, Option<Request>)> {
    let _nonce = cursor.varint()?;
    let request = match cursor.u8()? {
        0 => None,
        1 => Some(Request { session: cursor.varint()?, sequence: cursor.varint()? }),
        _ => return None,
    };
    let change = cursor.varint()?;
    let key = Some(Key::from(text(cursor)?));
    let op = match change {
        0 => Op { f: F::Write, key, value: value(cursor)? },
        1 => Op { f: F::Cas, key, value: Value::list([value(cursor)?, value(cursor)?]) },
        2 => Op { f: F::Append, key, value: value(cursor)? },
        3 => Op { f: F::Increment, key, value: Value::Int(signed(cursor.varint()?)) },
        _ => return None,
    };
    Some((op, request))
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let length = cursor.varint()?;
    std::str::from_utf8(cursor.take(length)?).ok()
}

fn value(cursor: &mut Cursor<'_>) -> Option<Value> {
    serde_json::from_str(text(cursor)?).ok()
}

fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
