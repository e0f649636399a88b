//! Which ids of the host exist in the sandbox.
//!
//! An ordinary user is root inside, and nobody else exists: what the harness writes belongs to that user. Root keeps
//! every id, so that a results directory of another owner can still be written.

use std::fs;
use std::io;

use nix::unistd::{Pid, getegid, geteuid};

/// Writes the id maps of a process that waits in a fresh user namespace.
pub(super) fn map(process: Pid) -> io::Result<()> {
    if geteuid().is_root() && map_all(process).is_ok() {
        return Ok(());
    }
    map_self(process)
}

/// Maps every id to itself. Needs CAP_SETUID and CAP_SETGID, which root in a container may lack.
fn map_all(process: Pid) -> io::Result<()> {
    for kind in ["uid_map", "gid_map"] {
        let ours = fs::read_to_string(format!("/proc/self/{kind}"))?;
        fs::write(format!("/proc/{process}/{kind}"), identity(&ours))?;
    }
    Ok(())
}

/// Turns our own map (`inside outside count` a line) into one that maps what is inside to itself.
fn identity(ours: &str) -> String {
    let mut lines = String::new();
    for line in ours.lines() {
        let mut fields = line.split_whitespace();
        if let (Some(inside), _, Some(count)) = (fields.next(), fields.next(), fields.next()) {
            lines.push_str(&format!("{inside} {inside} {count}\n"));
        }
    }
    lines
}

/// Maps root inside to us.
fn map_self(process: Pid) -> io::Result<()> {
    // The kernel wants this before an unprivileged process may map its group: a group can also deny.
    fs::write(format!("/proc/{process}/setgroups"), "deny")?;
    write_unless_done(process, "uid_map", &format!("0 {} 1", geteuid()))?;
    write_unless_done(process, "gid_map", &format!("0 {} 1", getegid()))
}

/// A map can be written once; one that `map_all` wrote stays.
fn write_unless_done(process: Pid, kind: &str, map: &str) -> io::Result<()> {
    let path = format!("/proc/{process}/{kind}");
    if fs::read_to_string(&path).is_ok_and(|text| !text.is_empty()) {
        return Ok(());
    }
    fs::write(path, map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keeps_every_id_that_it_has() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
