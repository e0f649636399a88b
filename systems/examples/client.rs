//! A client in Rust, without crates: squall-client/1 on stdin and stdout, a key-value API over HTTP behind it.
//! rustc -O client.rs, then `exec = ["{home}/client"]`. A real one would use serde_json instead of `field`.

#![expect(clippy::print_stdout, reason = "stdout is the protocol")]

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Returns a field of a flat JSON object, as it stands there.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let rest = json.split_once(&format!("\"{name}\":"))?.1.trim_start();
    Some(match rest.strip_prefix('"') {
        Some(text) => text.split('"').next()?,
        None => rest.split([',', '}']).next()?.trim(),
    })
}

/// One attempt at one node; never a second one.
fn attempt(ask: &str) -> Option<String> {
    let (op, key) = (field(ask, "op")?, field(ask, "key")?);
    let value = field(ask, "value").unwrap_or("null");
    let addr: SocketAddr = field(ask, "addr")?.parse().ok()?;
    let timeout = Duration::from_millis(field(ask, "timeout_ms")?.parse::<u64>().ok()?.max(1));
    let (method, path, body) = match op {
        "read" => ("GET", "", String::new()),
        "write" => ("PUT", "", format!("{{\"value\":{value}}}")),
        "cas" => ("POST", "/cas", format!("{{\"old\":{},\"new\":{value}}}", field(ask, "old")?)),
        _ => return Some("\"fail\":\"unsupported\"".to_owned()),
    };
    let Ok(mut node) = TcpStream::connect_timeout(&addr, timeout) else {
        return Some("\"fail\":\"refused\"".to_owned()); // nothing was sent
    };
    let length = body.len();
    let request = format!(
        "{method} /kv/{key}{path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    node.set_read_timeout(Some(timeout)).ok()?;
    node.write_all(request.as_bytes()).ok()?;
    let mut reply = String::new();
    node.take(1 << 20).read_to_string(&mut reply).ok()?;
    // An answer that was cut off is none.
    let body = reply.split_once("\r\n\r\n")?.1;
    if !body.ends_with('}') {
        return None;
    }
    match reply.get(9..12)? {
        "200" => Some(format!("\"ok\":true,\"value\":{}", field(body, "value").unwrap_or("null"))),
        "409" => Some(format!("\"fail\":\"precondition\",\"seen\":{}", field(body, "seen")?)),
        _ => None,
    }
}

fn main() {
    println!("{{\"squall\":\"client/1\",\"ops\":[\"read\",\"write\",\"cas\"]}}");
    for line in std::io::stdin().lock().lines() {
        let Ok(ask) = line else { return };
        // Whatever went wrong after the request may have been sent: nobody knows.
        let answer = attempt(&ask).unwrap_or_else(|| "\"info\":\"no answer\"".to_owned());
        println!("{{\"id\":{},{answer}}}", field(&ask, "id").unwrap_or("0"));
    }
}
