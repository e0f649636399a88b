//! Says on which machine, and on which commit, the figures were measured.

use std::fs;
use std::process::Command;
use std::thread;

/// Returns what describes the machine, as names and values.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").and_then(|total| {
        let kilobytes: u64 = total.split_whitespace().next()?.parse().ok()?;
        Some(format!("{:.1} GiB", kilobytes as f64 / f64::from(1 << 20)))
    });
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|load| Some(load.split_whitespace().next()?.to_owned()));
    let unknown = || "not known".to_owned();
    vec![
        ("processor", field("/proc/cpuinfo", "model name").unwrap_or_else(unknown)),
        ("cores", cores.to_string()),
        ("memory", memory.unwrap_or_else(unknown)),
        ("kernel", output("uname", &["-sr"]).unwrap_or_else(unknown)),
        ("compiler", output("rustc", &["--version"]).unwrap_or_else(unknown)),
        ("commit", output("git", &["describe", "--always", "--dirty"]).unwrap_or_else(unknown)),
        ("date", output("date", &["-u", "+%F"]).unwrap_or_else(unknown)),
        ("load", load.map_or_else(unknown, |load| format!("{load} in the last minute"))),
    ]
}

/// Returns the value of a field in a file of `name: value` lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// Returns what a command prints.
fn output(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
