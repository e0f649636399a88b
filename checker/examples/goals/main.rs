//! Prints the goals' table: how long the checker takes on histories of every kind, generated from seeds, how much memory
//! it needs, and what is aimed at.
//!
//! ```text
//! cargo run --release -p squall-checker --example goals -- [--row G1]… [--markdown docs/checker-goals.md]
//! ```
//!
//! Each row is measured by a child process, so that none finds memory that another left behind.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod machine;
mod measure;
mod rows;
mod table;

use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, process, thread};

use measure::Measured;
use rows::Row;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: goals [--row NAME]… [--markdown FILE]";

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(64)
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), Failure> {
    let (mut wanted, mut file) = (Vec::new(), None);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match &*argument {
            "--row" => wanted.push(value),
            "--markdown" => file = Some(value),
            "--child" => return child(value.parse()?),
            _ => return Err(format!("unknown argument {argument:?}; {USAGE}").into()),
        }
    }
    let rows = rows::all();
    let chosen = choose(&rows, &wanted)?;
    println!("{}", table::HEAD);
    let mut lines = Vec::new();
    for n in chosen {
        let line = table::line(&rows[n], &measured(n)?);
        println!("{line}");
        lines.push(line);
    }
    if let Some(file) = file {
        fs::write(file, table::page(&machine::describe(), &lines))?;
    }
    Ok(())
}

/// Returns the rows of these names; all but those for the curious where there are none.
fn choose(rows: &[Row], wanted: &[String]) -> Result<Vec<usize>, Failure> {
    if let Some(unknown) = wanted.iter().find(|name| rows.iter().all(|row| row.goal != **name)) {
        let mut names: Vec<_> = rows.iter().map(|row| row.goal).collect();
        names.dedup();
        return Err(format!("no row {unknown:?}; there are {}", names.join(", ")).into());
    }
    let is_wanted = |row: &Row| match wanted {
        [] => row.goal != rows::LUCK,
        names => names.iter().any(|name| row.goal == *name),
    };
    Ok((0..rows.len()).filter(|n| is_wanted(&rows[*n])).collect())
}

/// Has a row measured by a child, which ends when this process does.
fn measured(n: usize) -> Result<Measured, Failure> {
    let mut child = Command::new(env::current_exe()?)
        .args(["--child", &n.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut told = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut told)?;
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("the child that measured row {n} ended with {status}").into());
    }
    Ok(serde_json::from_str(&told)?)
}

fn child(n: usize) -> Result<(), Failure> {
    thread::spawn(|| {
        // Nothing is ever written: it ends with the parent.
        let _ = std::io::stdin().read(&mut [0]);
        process::exit(1);
    });
    let rows = rows::all();
    let row = rows.get(n).ok_or("no such row")?;
    let mut out = std::io::stdout();
    serde_json::to_writer(&mut out, &measure::measure(row)?)?;
    Ok(out.flush()?)
}
