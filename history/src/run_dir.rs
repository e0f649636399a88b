//! The files of one run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Manifest, NodeName};

/// Says what could not be done with a run directory.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// A file or directory could not be made, read or written.
    #[error("failed to {what} {path}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {why}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        why: String,
    },
}

/// Names the files of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Makes `results/<name>`, or `<name>-2` and so on where it exists, and points `results/latest` to it.
    pub fn create(results: &Path, name: &str) -> Result<RunDir, RunDirError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| RunDirError::Io { what, path, source }
        };
        fs::create_dir_all(results).map_err(failed("create the results directory", results))?;
        let mut root = results.join(name);
        let mut n = 1;
        while let Err(error) = fs::create_dir(&root) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(failed("create", &root)(error));
            }
            n += 1;
            root = results.join(format!("{name}-{n}"));
        }
        // Absolute, because nodes are started elsewhere and are told where their traces go.
        let root = root.canonicalize().map_err(failed("find", &root))?;
        let run = RunDir { root };
        for dir in [run.trace_dir(), run.root.join("nodes")] {
            fs::create_dir(&dir).map_err(failed("create", &dir))?;
        }
        run.point_latest(results)
            .map_err(failed("point to the newest run:", &results.join("latest")))?;
        Ok(run)
    }

    /// Renames a new link over the old one, so that there is always one.
    fn point_latest(&self, results: &Path) -> io::Result<()> {
        let name = self.root.file_name().expect("a run directory has a name");
        let fresh = results.join(format!(".latest-{}", std::process::id()));
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(name, &fresh)?;
        fs::rename(&fresh, results.join("latest"))
    }

    /// Opens an existing run.
    pub fn open(path: &Path) -> Result<RunDir, RunDirError> {
        let root = path.canonicalize().map_err(|source| RunDirError::Io {
            what: "open the run directory",
            path: path.to_owned(),
            source,
        })?;
        Ok(RunDir { root })
    }

    /// Returns the directory itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the directory's name, which identifies the run.
    pub fn name(&self) -> String {
        self.root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// `run.json`: the plan and the state of the run.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// `history.jsonl`: what clients asked and saw.
    pub fn history(&self) -> PathBuf {
        self.root.join("history.jsonl")
    }

    /// `schedule.jsonl`: the faults.
    pub fn schedule(&self) -> PathBuf {
        self.root.join("schedule.jsonl")
    }

    /// `commands.log`: every command and signal, as a person could paste it.
    pub fn commands(&self) -> PathBuf {
        self.root.join("commands.log")
    }

    /// `trace/`: what the nodes said of themselves.
    pub fn trace_dir(&self) -> PathBuf {
        self.root.join("trace")
    }

    /// The trace of one boot of one node.
    pub fn trace(&self, node: &NodeName, boot: u32) -> PathBuf {
        self.trace_dir().join(format!("{node}.{boot}.jsonl"))
    }

    /// `disk/`: what the nodes' files said while the nodes stood still, in the format of traces.
    pub fn disk_dir(&self) -> PathBuf {
        self.root.join("disk")
    }

    /// What one reading of a node's files said, counted from 0.
    pub fn disk(&self, node: &NodeName, reading: u32) -> PathBuf {
        self.disk_dir().join(format!("{node}.{reading}.jsonl"))
    }

    /// `log.jsonl`: the replicated log with its commands, as the nodes' files hold it.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.jsonl")
    }

    /// `states.jsonl`: what living nodes said of their state in the end.
    pub fn states(&self) -> PathBuf {
        self.root.join("states.jsonl")
    }

    /// The directory of one node's output and, where it is kept, data.
    pub fn node(&self, node: &NodeName) -> PathBuf {
        self.root.join("nodes").join(&*node.0)
    }

    /// `verdict.json`: the rows with their evidence.
    pub fn verdict(&self) -> PathBuf {
        self.root.join("verdict.json")
    }

    /// `report.html`: for people.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// `junit.xml`: for CI.
    pub fn junit(&self) -> PathBuf {
        self.root.join("junit.xml")
    }

    /// Writes `run.json` aside and renames it, so that it is always whole.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), RunDirError> {
        let json = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
        self.write_whole(&self.manifest(), &json)
    }

    /// Writes a file of the run aside and renames it, so that a reader never sees half of it.
    pub fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), RunDirError> {
        let aside = path.with_extension("tmp");
        let failed = |source| RunDirError::Io { what: "write", path: path.to_owned(), source };
        fs::write(&aside, bytes).map_err(failed)?;
        fs::rename(&aside, path).map_err(failed)
    }

    /// Reads `run.json`.
    pub fn read_manifest(&self) -> Result<Manifest, RunDirError> {
        let path = self.manifest();
        let text = fs::read(&path).map_err(|source| RunDirError::Io {
            what: "read",
            path: path.clone(),
            source,
        })?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| RunDirError::Format { path: path.clone(), why: error.to_string() })?;
        if manifest.squall != Manifest::FORMAT {
            return Err(RunDirError::Format {
                path,
                why: format!(
                    "expected \"squall\": \"{}\", found {:?}",
                    Manifest::FORMAT,
                    manifest.squall
                ),
            });
        }
        Ok(manifest)
    }

    /// Returns the trace files, in the order of node and boot.
    pub fn traces(&self) -> Result<Vec<PathBuf>, RunDirError> {
        traces_in(self.trace_dir())
    }

    /// Returns what the nodes' files said, in the order of node and reading.
    pub fn disks(&self) -> Result<Vec<PathBuf>, RunDirError> {
        traces_in(self.disk_dir())
    }
}

fn traces_in(dir: PathBuf) -> Result<Vec<PathBuf>, RunDirError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let failed = |source| RunDirError::Io { what: "list", path: dir.clone(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort_by_key(|path| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (node, boot) = stem.rsplit_once('.').unwrap_or((&stem, "0"));
        (node.to_owned(), boot.parse::<u32>().unwrap_or(u32::MAX))
    });
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_second_run_of_one_name_gets_a_number_and_latest_points_to_it() {
        let results = results();

        let first = RunDir::create(results.path(), "run").unwrap();
        let second = RunDir::create(results.path(), "run").unwrap();

        assert_eq!(first.name(), "run");
        assert_eq!(second.name(), "run-2");
        let latest = RunDir::open(&results.path().join("latest")).unwrap();
        assert_eq!(latest.path(), second.path().canonicalize().unwrap());
    }

    #[test]
    fn a_run_that_is_not_there_is_named_in_the_error() {
        let error = RunDir::open(Path::new("/nowhere/at-all")).unwrap_err();

        assert_eq!(error.to_string(), "failed to open the run directory /nowhere/at-all");
    }

    #[test]
    fn a_manifest_of_an_unknown_version_is_refused() {
        let results = results();
        let run = RunDir::create(results.path(), "run").unwrap();
        let json = r#"{
            "squall": "run/9", "version": "9", "command": [], "replay": [], "started": "",
            "monotonic_origin": 0, "seed": 0, "system": {"name": "x"}, "nodes": [],
            "workload": "register", "nemesis": [], "claims": [], "settings": {},
            "state": "complete"
        }"#;
        run.write_whole(&run.manifest(), json.as_bytes()).unwrap();

        let error = run.read_manifest().unwrap_err().to_string();

        assert!(error.ends_with("expected \"squall\": \"run/1\", found \"run/9\""), "{error}");
        run.write_whole(&run.manifest(), &json.as_bytes()[..40]).unwrap();
        let error = run.read_manifest().unwrap_err().to_string();
        assert!(error.contains("run.json") && error.contains("EOF"), "{error}");
    }

    #[test]
    fn a_whole_file_is_replaced_at_once_and_nothing_is_left_aside() {
        let results = results();
        let run = RunDir::create(results.path(), "run").unwrap();

        run.write_whole(&run.verdict(), b"old").unwrap();
        run.write_whole(&run.verdict(), b"new").unwrap();

        assert_eq!(fs::read(run.verdict()).unwrap(), b"new");
        let names = fs::read_dir(run.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["nodes", "trace", "verdict.json"]);
    }

    #[test]
    fn traces_are_listed_by_node_and_boot_as_numbers() {
        let results = results();
        let run = RunDir::create(results.path(), "run").unwrap();
        for (node, boot) in [("n2", 0), ("n1", 10), ("n1", 9), ("n1", 0)] {
            fs::write(run.trace(&node.into(), boot), "").unwrap();
        }
        fs::write(run.trace_dir().join("notes.txt"), "").unwrap();

        let files = run.traces().unwrap();

        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["n1.0.jsonl", "n1.9.jsonl", "n1.10.jsonl", "n2.0.jsonl"]);
    }

    #[test]
    fn a_run_without_traces_has_none() {
        let results = results();
        let run = RunDir::create(results.path(), "run").unwrap();
        fs::remove_dir(run.trace_dir()).unwrap();

        assert_eq!(run.traces().unwrap(), Vec::<PathBuf>::new());
    }
}
