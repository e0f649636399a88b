//! A copy of a run in which somebody lies.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use squall_history::{Event, Format, Invoke, Process, RunDir, formats, jsonl};

use super::Lie;

impl Lie {
    /// Copies what is needed to judge a run, with the lie in it. Returns whether the run offers a place for one.
    pub(crate) fn copy(self, run: &RunDir, to: &Path) -> anyhow::Result<bool> {
        let place = match self {
            Lie::StaleRead | Lie::LostWrite => self.client(run)?,
            Lie::ForgedEntry => forged(run)?,
        };
        let Some(place) = place else { return Ok(false) };
        for file in [run.manifest(), run.history(), run.schedule(), run.log()] {
            let name = file.file_name().expect("files have names");
            take(&file, &to.join(name), &place)?;
        }
        for (dir, files) in [("trace", run.traces()?), ("disk", run.disks()?)] {
            for file in files {
                let name = file.file_name().expect("files have names");
                take(&file, &to.join(dir).join(name), &place)?;
            }
        }
        Ok(true)
    }

    fn client(self, run: &RunDir) -> anyhow::Result<Option<Place>> {
        let read = formats::read_file(&run.history(), Some(Format::Squall))?;
        let Some((events, _)) = self.retold(&read.history) else { return Ok(None) };
        Ok(Some(Place { file: run.history(), text: written(&events)? }))
    }
}

/// One file of a run, as the lie has it.
struct Place {
    file: PathBuf,
    text: Vec<u8>,
}

fn take(from: &Path, to: &Path, place: &Place) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        match *from == place.file {
            true => fs::write(to, &place.text),
            false if from.exists() => fs::copy(from, to).map(|_| ()),
            false => Ok(()),
        }
    };
    write().with_context(|| format!("failed to write {}", to.display()))
}

fn written(events: &[Event]) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut writer = jsonl::Writer::new(&mut text)?;
    let mut open: BTreeMap<Process, &Invoke> = BTreeMap::new();
    for event in events {
        match event {
            Event::Invoke(invoke) => {
                writer.invoke(invoke)?;
                open.insert(invoke.process, invoke);
            }
            Event::Return(ret) => {
                let invoke =
                    open.remove(&ret.process).context("a return follows its invocation")?;
                writer.complete(invoke, ret)?;
            }
        }
    }
    Ok(text)
}

/// Changes the hash of one entry that two nodes applied, in the words of one of them.
fn forged(run: &RunDir) -> anyhow::Result<Option<Place>> {
    let mut applied: BTreeMap<u64, String> = BTreeMap::new();
    for file in run.traces()?.into_iter().chain(run.disks()?) {
        let node = node(&file);
        let mut found = None;
        for (n, line) in lines(&file)?.enumerate() {
            let line: Value = match serde_json::from_str(&line?) {
                Ok(line) => line,
                // A torn last line is no place for a lie.
                Err(_) => continue,
            };
            if line["event"] != "apply" {
                continue;
            }
            let Some(index) = line["index"].as_u64() else { continue };
            let first = applied.entry(index).or_insert_with(|| node.clone());
            if *first != node && found.is_none() {
                found = Some(n);
            }
        }
        if let Some(at) = found {
            let text = retold(&file, at)?;
            return Ok(Some(Place { file, text }));
        }
    }
    Ok(None)
}

/// Returns a trace with another hash in one line, counted from 0.
fn retold(file: &Path, at: usize) -> anyhow::Result<Vec<u8>> {
    let mut text = BufWriter::new(Vec::new());
    for (n, line) in lines(file)?.enumerate() {
        let line = line?;
        if n != at {
            writeln!(text, "{line}")?;
            continue;
        }
        let mut line: Value = serde_json::from_str(&line)?;
        let hash = line["hash"].as_str().and_then(|hash| u64::from_str_radix(hash, 16).ok());
        let other = hash.context("an apply has a hash")? ^ 1;
        line["hash"] = Value::String(format!("{other:016x}"));
        writeln!(text, "{line}")?;
    }
    text.into_inner().context("failed to write to memory")
}

fn lines(file: &Path) -> anyhow::Result<impl Iterator<Item = std::io::Result<String>>> {
    let opened = File::open(file).with_context(|| format!("failed to read {}", file.display()))?;
    Ok(BufReader::new(opened).lines())
}

/// `n1.0.jsonl` is n1's.
fn node(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use squall_checker::{Budget, ModelKind, Verdict, judge, raft};
    use squall_history::trace;

    use super::*;

    /// Its clients saw nothing wrong, and read both keys in the end.
    fn exhibit() -> RunDir {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/exhibits/figure8");
        RunDir::open(&path).expect("a kept run")
    }

    fn copied(lie: Lie) -> (tempfile::TempDir, RunDir) {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(lie.copy(&exhibit(), dir.path()).expect("copied"), "{lie}: no place");
        let run = RunDir::open(dir.path()).expect("a run");
        (dir, run)
    }

    #[test]
    fn a_lie_about_clients_is_all_that_differs_and_is_found_out() {
        for lie in Lie::CLIENTS {
            let (_dir, run) = copied(lie);
            let read = formats::read_file(&run.history(), Some(Format::Squall)).expect("a history");
            let reading = Format::Squall.default_reading();
            let rows = judge(&read.history, ModelKind::CasRegister, &reading, &Budget::default())
                .rows("history.jsonl");
            let broken =
                rows.iter().find(|row| row.verdict == Verdict::Invalid).expect("found out");
            assert!(lie.breaks().contains(&broken.claim.name()), "{lie}: {broken:?}");
            let same = |file: PathBuf| fs::read(file).expect("read");
            assert_eq!(same(run.manifest()), same(exhibit().manifest()));
            assert_eq!(
                run.traces().expect("listed").len(),
                exhibit().traces().expect("listed").len()
            );
        }
    }

    #[test]
    fn a_forged_entry_is_found_out_by_the_logs() {
        let (_dir, run) = copied(Lie::ForgedEntry);
        let manifest = run.read_manifest().expect("a manifest");
        let mut judge = raft::Judge::new(manifest.nodes.iter().cloned());
        for path in run.traces().expect("listed") {
            let reader = trace::Reader::open(&path).expect("a trace");
            judge.feed_reader("trace", reader).expect("read");
        }
        let rows = judge.finish(None, manifest.monotonic_origin);
        let broken: Vec<&str> = rows
            .iter()
            .filter(|row| row.verdict == Verdict::Invalid)
            .map(|row| row.claim.name())
            .collect();
        // Which the run itself is not accused of.
        assert!(Lie::ForgedEntry.breaks().iter().any(|name| broken.contains(name)), "{broken:?}");
    }

    #[test]
    fn each_lie_has_a_name_that_is_read_back() {
        for lie in Lie::ALL {
            assert_eq!(lie.to_string().parse(), Ok(lie));
        }
    }
}
