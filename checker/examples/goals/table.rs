//! The table, and the page around it.

use std::fmt::Write;
use std::time::Duration;

use crate::measure::Measured;
use crate::rows::{Row, Threads};

/// The head of the table.
pub(crate) const HEAD: &str = "\
| goal | work | best | median | wall | aim | memory | operations/s | verdict | engine | note |
|---|---|---|---|---|---|---|---|---|---|---|";

const INTRODUCTION: &str = "\
# What the checker is aimed at, and what it reaches

Written by `cargo run --release -p squall-checker --example goals -- --markdown docs/checker-goals.md`; every figure on
this page is measured, none is typed. `--row G1` measures one goal alone.

Histories are generated from seeds: closed-loop clients, log-normal latencies around 1 ms, 40 % reads, 30 % writes and
30 % cas (or what the model has instead), each operation taking effect at a moment drawn inside its interval.

*best* and *median* are of several runs in one process of its own: time on a core, which other work on the machine hardly
lengthens, where one thread does the work; time on the wall where the row says two threads. *wall* is the best time on
the wall. *memory* is the peak of what was resident while the row was measured, without the history that is judged (rows
that read a file: with the history, without the file's own bytes). A goal is reached when the best time and the memory
are within the aim. G11 feeds events to the monitor one by one, and counts operations, of two events each; G12 measures how late a check stops
that cannot decide.
";

/// Returns the page around the lines of the table.
pub(crate) fn page(machine: &[(&str, String)], lines: &[String]) -> String {
    let mut page = format!("{INTRODUCTION}\n| machine | |\n|---|---|\n");
    for (name, value) in machine {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    let missed = lines.iter().filter(|line| line.contains(MISSED)).count();
    let reached = lines.len() - missed;
    let _ = write!(
        page,
        "\n{reached} of {} rows reach what they are aimed at.\n\n{HEAD}\n",
        lines.len()
    );
    for line in lines {
        let _ = writeln!(page, "{line}");
    }
    page
}

const MISSED: &str = "**missed**";

/// Returns a line of the table.
pub(crate) fn line(row: &Row, measured: &Measured) -> String {
    let Measured { operations, in_doubt, best, median, runs, wall, peak, said } = measured;
    let doubt = if *in_doubt > 0 { format!(", {in_doubt} in doubt") } else { String::new() };
    let threads = match row.threads {
        Threads::One => "",
        Threads::Two => ", 2 threads",
    };
    let aim = match row.megabytes {
        Some(most) => format!("{} s, {most} MB", seconds(row.aim)),
        None => format!("{} s", seconds(row.aim)),
    };
    format!(
        "| {} | {}{doubt}{threads} | {} s | {} s of {runs} | {} s | {aim} | {} MB | {} | {} | {} | {} |",
        row.goal,
        row.work,
        seconds(*best),
        seconds(*median),
        seconds(*wall),
        peak / 1_000_000,
        rate(*operations, *best, said.late.is_some()),
        said.verdict.name(),
        said.engine,
        note(row, measured),
    )
}

fn seconds(time: Duration) -> String {
    format!("{:.4}", time.as_secs_f64())
}

fn rate(operations: usize, time: Duration, stopped: bool) -> String {
    if stopped {
        return "–".to_owned();
    }
    format!("{:.1} M", operations as f64 / time.as_secs_f64() / 1e6)
}

/// Says whether the goal is reached, and if it is not, by how much and why.
fn note(row: &Row, measured: &Measured) -> String {
    let time = measured.best.as_secs_f64() / row.aim.as_secs_f64();
    let memory = row.megabytes.map_or(0.0, |most| measured.peak as f64 / 1e6 / most as f64);
    let said = &measured.said;
    let mut notes = Vec::new();
    if said.verdict != row.expected {
        notes.push(format!("{MISSED}: {}", said.summary));
    } else {
        let misses = [("the time", time), ("the memory", memory)];
        for (what, ratio) in misses.into_iter().filter(|(_, ratio)| *ratio > 1.0) {
            notes.push(format!("{MISSED}: {ratio:.1} × {what}"));
        }
    }
    if notes.is_empty() {
        notes.push(match said.late {
            Some(_) if said.summary.is_empty() => "reached".to_owned(),
            Some(_) => format!("reached; {}", said.summary),
            None => format!("reached, {:.1} × faster", 1.0 / time),
        });
    } else if !row.why.is_empty() {
        notes.push(row.why.to_owned());
    }
    notes.join("; ").replace('|', "/")
}
