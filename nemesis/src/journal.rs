//! Writes down what the nemesis does, as it does it: `schedule.jsonl` and `commands.log`.
//!
//! ```text
//! # 2.500 s  fault 1, install kill n2
//! kill -KILL -- -4711
//! ```

use std::fs::File;
use std::io::{self, Write};

use squall_history::schedule::{Line, Writer};
use squall_history::{Nanos, RunDir};

/// The files of one nemesis. Every line is in the kernel's hands before the next step.
pub struct Journal {
    schedule: Writer<Box<dyn Write + Send>>,
    commands: Box<dyn Write + Send>,
    lines: Vec<Line>,
    failure: Option<io::Error>,
}

impl Journal {
    /// Starts both files.
    pub fn new(
        schedule: impl Write + Send + 'static,
        commands: impl Write + Send + 'static,
    ) -> io::Result<Journal> {
        let schedule: Box<dyn Write + Send> = Box::new(schedule);
        let mut commands: Box<dyn Write + Send> = Box::new(commands);
        commands.write_all(
            b"# What was done to the cluster; times are since the start of the run.\n",
        )?;
        commands.flush()?;
        Ok(Journal { schedule: Writer::new(schedule)?, commands, lines: Vec::new(), failure: None })
    }

    /// Starts both files in a run's directory.
    pub fn create(run: &RunDir) -> io::Result<Journal> {
        Journal::new(File::create(run.schedule())?, File::create(run.commands())?)
    }

    /// Writes a line of the schedule. Failures are kept, not returned: faults must be healed even when the disk is full.
    pub(crate) fn line(&mut self, line: Line) {
        let written = self.schedule.line(&line);
        self.keep(written);
        self.lines.push(line);
    }

    /// Writes commands behind a comment with time and reason.
    pub(crate) fn commands(&mut self, time: Nanos, why: &str, commands: &[String]) {
        let mut text = format!("# {time}  {why}\n");
        for command in commands {
            text.push_str(command.trim_end());
            text.push('\n');
        }
        let written = self.commands.write_all(text.as_bytes()).and_then(|()| self.commands.flush());
        self.keep(written);
    }

    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    /// Returns the first failure to write, once.
    pub(crate) fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Returns every line that was written.
    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}
