//! The commands of etcd's log.
//!
//! ```text
//! InternalRaftRequest   { 1 id, 2 request of the old store, 3 range, 4 put, 5 delete range, 6 txn, 7 compaction,
//!                         8 lease grant, 9 lease revoke, 10 alarm, 11 lease checkpoint, 100 header, 1000 … auth,
//!                         1300 cluster version, 1301 member attributes, 1302 downgrade }
//! put                   { 1 key, 2 value, 3 lease, 4 want the previous, 5 keep the value, 6 keep the lease }
//! txn                   { 1 compare…, 2 on success…, 3 on failure… }
//! compare               { 1 result, 2 target, 3 key, 4 version, 7 value, 64 end of the range }
//! on success, failure   { 1 range, 2 put, 3 delete range, 4 txn }
//! ```
//!
//! Understood is what squall's own clients ask for: a put; a txn with one put that compares the key's value, or that its
//! version is 0, and may compare a range with what always holds. Up to 3.4 the old store's requests stand in entries as they
//! are, with a method in field 2. The old store has no revisions.

use squall_history::log::Command;
use squall_history::{F, Key, Op, Value};

use crate::protobuf::{self, Field};

type Fields<'a> = Vec<(u64, Field<'a>)>;

/// Fields of a request that change no key: its number, the old store, what is only read, compaction, the header, versions
/// and members.
const HARMLESS: [u64; 7] = [1, 3, 7, 100, 1300, 1301, 1302];
const OLD_STORE: u64 = 2;
const PUT: u64 = 4;
const TXN: u64 = 6;

/// Reads what an entry asks for.
pub(crate) fn command(kind: u64, data: &[u8]) -> Command {
    // Changes of the configuration, and the first entry of a leader.
    if kind != 0 || data.is_empty() {
        return Command::Nothing;
    }
    match request(data) {
        Ok(command) => command,
        Err(why) => Command::Unknown(why.to_owned()),
    }
}

fn request(data: &[u8]) -> Result<Command, &'static str> {
    let fields = protobuf::fields(data).ok_or("a request that is no protocol buffer")?;
    if fields.iter().any(|(field, _)| *field == OLD_STORE) {
        return Ok(Command::Nothing);
    }
    let mut changes = fields.iter().filter(|(field, _)| !HARMLESS.contains(field));
    let op = match (changes.next(), changes.next()) {
        (None, _) => return Ok(Command::Nothing),
        (Some((PUT, Field::Bytes(put))), None) => write(put)?,
        (Some((TXN, Field::Bytes(txn))), None) => transaction(txn)?,
        _ => return Err("a request that squall never makes"),
    };
    Ok(Command::Op(op, None))
}

fn write(put: &[u8]) -> Result<Op, &'static str> {
    let fields = protobuf::fields(put).ok_or("a put of another form")?;
    let plain = [3, 5, 6].iter().all(|field| protobuf::number(&fields, *field) == Some(0));
    let (key, value) = (protobuf::bytes(&fields, 1), protobuf::bytes(&fields, 2));
    let key = key.filter(|_| plain).and_then(name).ok_or("a put of another form")?;
    let value = value.and_then(parsed).ok_or("a value that is no JSON")?;
    Ok(Op { f: F::Write, key: Some(key), value })
}

/// Reads a txn with one put: a cas where it compares the key of the put, else a write.
fn transaction(txn: &[u8]) -> Result<Op, &'static str> {
    let other = "a txn of another form";
    let fields = protobuf::fields(txn).ok_or(other)?;
    let (mut compared, mut puts) = (Vec::new(), Vec::new());
    for (field, value) in &fields {
        let Field::Bytes(message) = value else { return Err(other) };
        let message = protobuf::fields(message).ok_or(other)?;
        match (field, &message[..]) {
            (1, _) if always_holds(&message) => {}
            (1, _) => compared.push(comparison(&message).ok_or(other)?),
            (2, [(2, Field::Bytes(put))]) => puts.push(write(put)?),
            // What is only read changes nothing.
            (2 | 3, [(1, _)]) => {}
            _ => return Err(other),
        }
    }
    let put = puts.pop().filter(|_| puts.is_empty()).ok_or(other)?;
    match &compared[..] {
        [] => Ok(put),
        [(key, old)] if put.key.as_ref() == Some(key) => {
            let value = Value::list([old.clone(), put.value]);
            Ok(Op { f: F::Cas, value, ..put })
        }
        _ => Err(other),
    }
}

/// Reads a comparison of one key's value, or of its version with 0, which a key has that is not there.
fn comparison(fields: &Fields<'_>) -> Option<(Key, Value)> {
    let number = |field| protobuf::number(fields, field);
    let one_key = protobuf::bytes(fields, 64)?.is_empty();
    let key = name(protobuf::bytes(fields, 3)?)?;
    let is_equal = number(1)? == 0;
    match (number(2)?, one_key && is_equal) {
        (0, true) if number(4)? == 0 => Some((key, Value::Nil)),
        (3, true) => Some((key, parsed(protobuf::bytes(fields, 7)?)?)),
        _ => None,
    }
}

/// No version is below 0: that all of a range are greater than -1 is always so.
fn always_holds(fields: &Fields<'_>) -> bool {
    let number = |field| protobuf::number(fields, field);
    (number(1), number(2), number(4)) == (Some(1), Some(0), Some(u64::MAX))
}

fn name(key: &[u8]) -> Option<Key> {
    std::str::from_utf8(key).ok().map(Key::from)
}

fn parsed(value: &[u8]) -> Option<Value> {
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field's number and what is in it.
    enum Part<'a> {
        Number(u64),
        Bytes(&'a [u8]),
    }
    use Part::{Bytes, Number};

    fn varint(mut number: u64, out: &mut Vec<u8>) {
        while number > 0x7f {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }

    fn message(parts: &[(u64, Part<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, part) in parts {
            match part {
                Number(number) => {
                    varint(field << 3, &mut out);
                    varint(*number, &mut out);
                }
                Bytes(bytes) => {
                    varint(field << 3 | 2, &mut out);
                    varint(bytes.len() as u64, &mut out);
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
        message(&[(1, Bytes(key)), (2, Bytes(value))])
    }

    fn asked(field: u64, what: &[u8]) -> Command {
        let header = message(&[(1, Number(77))]);
        command(0, &message(&[(100, Bytes(&header)), (field, Bytes(what))]))
    }

    /// A txn with a comparison, and a put on success.
    fn txn(compare: &[(u64, Part<'_>)]) -> Vec<u8> {
        let success = message(&[(2, Bytes(&put(b"7", b"5")))]);
        let failure = message(&[(1, Bytes(&message(&[(1, Bytes(b"7"))])))]);
        message(&[(1, Bytes(&message(compare))), (2, Bytes(&success)), (3, Bytes(&failure))])
    }

    #[test]
    fn what_squall_s_clients_ask_for_is_understood() {
        assert_eq!(asked(PUT, &put(b"7", b"5")), Command::Op(Op::write("7", 5), None));
        let value = [(1, Number(0)), (2, Number(3)), (3, Bytes(b"7")), (7, Bytes(b"4"))];
        assert_eq!(asked(TXN, &txn(&value)), Command::Op(Op::cas("7", 4, 5), None));
        let absent = [(2, Number(0)), (3, Bytes(b"7")), (4, Number(0))];
        let from_nothing = Op { value: Value::list([Value::Nil, 5.into()]), ..Op::cas("7", 4, 5) };
        assert_eq!(asked(TXN, &txn(&absent)), Command::Op(from_nothing, None));
        let every = [(1, Number(1)), (3, Bytes(b"0")), (4, Number(u64::MAX)), (64, Bytes(b":"))];
        assert_eq!(asked(TXN, &txn(&every)), Command::Op(Op::write("7", 5), None));
    }

    #[test]
    fn what_changes_no_key_is_nothing() {
        assert_eq!(command(0, b""), Command::Nothing);
        assert_eq!(command(1, b"a member"), Command::Nothing);
        assert_eq!(asked(1300, b""), Command::Nothing);
        // A request of the old store, as it stands in 3.4: a method, a path, and a value in the field of a put.
        let old =
            message(&[(1, Number(9)), (2, Bytes(b"PUT")), (3, Bytes(b"/0")), (4, Bytes(b"x"))]);
        assert_eq!(command(0, &old), Command::Nothing);
    }

    #[test]
    fn what_squall_never_asks_for_is_not_understood() {
        let unknown = |command: Command| matches!(command, Command::Unknown(_));
        let delete = message(&[(1, Bytes(b"7"))]);
        assert!(unknown(asked(5, &delete)));
        assert!(unknown(asked(8, b"")));
        assert!(unknown(asked(
            PUT,
            &message(&[(1, Bytes(b"7")), (2, Bytes(b"5")), (3, Number(1))])
        )));
        assert!(unknown(asked(PUT, &put(b"7", b"no JSON"))));
        // Another key, another relation, a range.
        let value = |relation, key, end| {
            let compare = [
                (1, Number(relation)),
                (2, Number(3)),
                (3, Bytes(key)),
                (7, Bytes(&b"4"[..])),
                (64, Bytes(end)),
            ];
            asked(TXN, &txn(&compare))
        };
        assert!(!unknown(value(0, b"7", b"")));
        assert!(unknown(value(0, b"8", b"")) && unknown(value(1, b"7", b"")));
        assert!(unknown(value(0, b"7", b"9")));
        assert!(unknown(command(0, b"\xff")));
    }
}
