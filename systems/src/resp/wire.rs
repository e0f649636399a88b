//! RESP2, as far as a client of a key-value system needs it.
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$1\r\n7\r\n                    a command: an array of bulk strings
//! $1\r\n5\r\n    $-1\r\n    :1\r\n    +OK\r\n       a value, nothing, a number, a word
//! -ERR no\r\n    *1\r\n$1\r\n5\r\n                  an error, an array
//! ```

/// Arrays in arrays deeper than this are none: a list is one array.
const DEEPEST: usize = 4;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Word(String),
    Error(String),
    Number(i64),
    /// None stands for nothing.
    Bulk(Option<Vec<u8>>),
    Array(Option<Vec<Reply>>),
}

/// Writes a command at the end of a buffer.
pub(super) fn write_command(out: &mut Vec<u8>, words: &[String]) {
    out.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        out.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
}

/// Reads one reply from the front of a buffer; none where more must come. Returns its length too.
pub(super) fn read_reply(buffer: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    read(buffer, 0, DEEPEST)
}

type Read = Result<Option<(Reply, usize)>, String>;

fn read(buffer: &[u8], start: usize, depth: usize) -> Read {
    let Some((line, next)) = line(buffer, start)? else { return Ok(None) };
    let Some((kind, rest)) = line.split_at_checked(1) else {
        return Err("an empty line".to_owned());
    };
    match kind {
        "+" => Ok(Some((Reply::Word(rest.to_owned()), next))),
        "-" => Ok(Some((Reply::Error(rest.to_owned()), next))),
        ":" => Ok(Some((Reply::Number(number(rest)?), next))),
        "$" => bulk(buffer, number(rest)?, next),
        "*" if depth > 0 => array(buffer, number(rest)?, next, depth - 1),
        "*" => Err("arrays in arrays in arrays".to_owned()),
        _ => Err(format!("no reply: {line:?}")),
    }
}

fn line(buffer: &[u8], start: usize) -> Result<Option<(&str, usize)>, String> {
    let rest = buffer.get(start..).unwrap_or_default();
    let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&rest[..end]).map_err(|_| "a line that is no text")?;
    Ok(Some((text, start + end + 2)))
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("no number: {text:?}"))
}

fn bulk(buffer: &[u8], length: i64, start: usize) -> Read {
    let Ok(length) = usize::try_from(length) else {
        return Ok(Some((Reply::Bulk(None), start)));
    };
    let end = start.checked_add(length).ok_or("a length without end")?;
    match (buffer.get(start..end), buffer.get(end..end + 2)) {
        (Some(text), Some(b"\r\n")) => Ok(Some((Reply::Bulk(Some(text.to_owned())), end + 2))),
        (_, Some(_)) => Err("a bulk string longer than it said".to_owned()),
        (_, None) => Ok(None),
    }
}

fn array(buffer: &[u8], count: i64, start: usize, depth: usize) -> Read {
    if count < 0 {
        return Ok(Some((Reply::Array(None), start)));
    }
    let mut items = Vec::new();
    let mut next = start;
    for _ in 0..count {
        let Some((item, after)) = read(buffer, next, depth)? else { return Ok(None) };
        items.push(item);
        next = after;
    }
    Ok(Some((Reply::Array(Some(items)), next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Reply {
        let (reply, length) = read_reply(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
        reply
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        write_command(&mut out, &["GET".to_owned(), "7".to_owned()]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\n7\r\n");
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        assert_eq!(whole("+OK\r\n"), Reply::Word("OK".into()));
        assert_eq!(whole("-ERR no\r\n"), Reply::Error("ERR no".into()));
        assert_eq!(whole(":-1\r\n"), Reply::Number(-1));
        assert_eq!(whole("$1\r\n5\r\n"), Reply::Bulk(Some(b"5".to_vec())));
        assert_eq!(whole("$-1\r\n"), Reply::Bulk(None));
        let five = Reply::Bulk(Some(b"5".to_vec()));
        assert_eq!(whole("*1\r\n$1\r\n5\r\n"), Reply::Array(Some(vec![five])));
    }

    #[test]
    fn half_a_reply_waits_for_the_rest() {
        let text = b"*2\r\n$1\r\n5\r\n:7\r\n";
        for end in 0..text.len() {
            assert_eq!(read_reply(&text[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn garbage_is_an_error_and_no_panic() {
        for text in
            ["hello\r\n", "\r\n", ":x\r\n", "$1\r\n55555\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"]
        {
            assert!(read_reply(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(read_reply(b"$9223372036854775807\r\n").is_ok());
    }
}
