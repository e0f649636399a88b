//! The little of protocol buffers that etcd's files need: fields in order, numbers and bytes.

use crate::cursor::Cursor;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads the fields of a message, each with its number; nothing where it is no message.
pub(crate) fn fields(bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut cursor = Cursor::new(bytes);
    let mut fields = Vec::new();
    while !cursor.is_empty() {
        let key = cursor.varint()?;
        let field = match key & 7 {
            0 => Field::Number(cursor.varint()?),
            1 => Field::Number(cursor.u64_le()?),
            2 => {
                let length = cursor.varint()?;
                Field::Bytes(cursor.take(length)?)
            }
            5 => Field::Number(u64::from(cursor.u32_le()?)),
            _ => return None,
        };
        fields.push((key >> 3, field));
    }
    Some(fields)
}

/// Returns the number in a field; 0 where it is left out, as the format has it.
pub(crate) fn number(fields: &[(u64, Field<'_>)], wanted: u64) -> Option<u64> {
    match last(fields, wanted) {
        None => Some(0),
        Some(Field::Number(number)) => Some(number),
        Some(Field::Bytes(_)) => None,
    }
}

/// Returns the bytes in a field; none where it is left out.
pub(crate) fn bytes<'a>(fields: &[(u64, Field<'a>)], wanted: u64) -> Option<&'a [u8]> {
    match last(fields, wanted) {
        None => Some(&[]),
        Some(Field::Bytes(bytes)) => Some(bytes),
        Some(Field::Number(_)) => None,
    }
}

fn last<'a>(fields: &[(u64, Field<'a>)], wanted: u64) -> Option<Field<'a>> {
    fields.iter().rev().find(|(number, _)| *number == wanted).map(|(_, field)| *field)
}
