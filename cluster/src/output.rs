//! What a node writes to stdout and stderr.
//!
//! The process writes straight into files of the run directory, so that the harness, busy or stalled, never holds it up,
//! and what it wrote before it was killed is there. A file that grows past 64 MiB is emptied, with a line that says so,
//! and goes on: the newest output is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How large a file may grow, in bytes.
const LIMIT: u64 = 64 << 20;

/// How much of the end is shown to people.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 8 << 10;

/// The files of one node.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    dir: PathBuf,
}

impl Output {
    /// Makes the directory.
    pub(crate) fn create(dir: PathBuf) -> io::Result<Output> {
        fs::create_dir_all(&dir)?;
        Ok(Output { dir })
    }

    fn files(&self) -> [PathBuf; 2] {
        ["stdout.log", "stderr.log"].map(|name| self.dir.join(name))
    }

    /// Opens stdout and stderr for one more boot.
    pub(crate) fn open(&self) -> io::Result<(File, File)> {
        // Appending, so that two boots and the cut below never write over each other.
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let [stdout, stderr] = self.files();
        Ok((open(&stdout)?, open(&stderr)?))
    }

    /// Returns how long both are, to look for what comes after.
    pub(crate) fn lengths(&self) -> [u64; 2] {
        self.files().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len()))
    }

    /// Returns whether this text was written after these lengths.
    pub(crate) fn says_since(&self, lengths: [u64; 2], text: &str) -> bool {
        self.files()
            .iter()
            .zip(lengths)
            .any(|(path, start)| read_from(path, start).is_ok_and(|written| written.contains(text)))
    }

    /// Returns the end of what was written, indented, each line after a line break; empty where nothing was.
    pub(crate) fn tail(&self) -> String {
        let ends = self.files().map(|path| {
            let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            read_from(&path, length.saturating_sub(TAIL_BYTES)).unwrap_or_default()
        });
        let lines: Vec<&str> = ends.iter().flat_map(|end| last_lines(end)).collect();
        lines.iter().map(|line| format!("\n    {line}")).collect()
    }

    /// Empties files that have grown too large.
    pub(crate) fn bound(&self) -> io::Result<()> {
        for path in self.files() {
            let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if length > LIMIT {
                let mut file = OpenOptions::new().append(true).open(&path)?;
                file.set_len(0)?;
                writeln!(file, "[squall: {length} bytes before this line were dropped]")?;
            }
        }
        Ok(())
    }
}

fn last_lines(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
}

fn read_from(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_end_of_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::create(dir.path().join("n1")).unwrap();
        let (mut stdout, mut stderr) = output.open().unwrap();
        writeln!(stdout, "started").unwrap();
        for n in 0..100 {
            writeln!(stderr, "line {n}").unwrap();
        }
        let tail = output.tail();
        assert!(tail.starts_with("\n    started\n    line 88\n"), "{tail}");
        assert!(tail.ends_with("\n    line 99"), "{tail}");
    }

    #[test]
    fn only_this_boots_output_counts() {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::create(dir.path().join("n1")).unwrap();
        let (mut stdout, _) = output.open().unwrap();
        writeln!(stdout, "ready").unwrap();
        let lengths = output.lengths();
        assert!(!output.says_since(lengths, "ready"));
        writeln!(stdout, "ready").unwrap();
        assert!(output.says_since(lengths, "ready"));
    }

    #[test]
    fn a_file_that_grew_too_large_is_emptied_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::create(dir.path().join("n1")).unwrap();
        let (mut stdout, _) = output.open().unwrap();
        stdout.set_len(LIMIT + 1).unwrap();
        output.bound().unwrap();
        writeln!(stdout, "after").unwrap();
        let text = fs::read_to_string(dir.path().join("n1/stdout.log")).unwrap();
        assert_eq!(text, "[squall: 67108865 bytes before this line were dropped]\nafter\n");
    }
}
