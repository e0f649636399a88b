//! `squall pack`: a run as one file that somebody else can look into and replay.

use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::cli::PackArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{output, show};

/// How the files end.
pub(crate) const EXTENSION: &str = "squall";
/// More than any run needs; a file that unpacks to more is not one of ours.
const MOST: u64 = 8 << 30;

/// Packs a run.
pub(crate) fn command(args: &PackArgs) -> Result<ExitCode, Failure> {
    let run = show::open(&args.run)?;
    let path =
        args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{EXTENSION}", run.name())));
    pack(run.path(), &run.name(), &path)
        .with_context(|| format!("failed to pack {}", run.path().display()))
        .map_err(Failure::harness)?;
    output::print(&path.display().to_string());
    Ok(ExitCode::Valid)
}

fn pack(run: &Path, name: &str, to: &Path) -> anyhow::Result<()> {
    let aside = to.with_extension("tmp");
    let file =
        File::create(&aside).with_context(|| format!("failed to write {}", aside.display()))?;
    write(run, name, file)?.sync_all()?;
    std::fs::rename(&aside, to)?;
    Ok(())
}

/// Writes a run as a packed file, and returns where it was written to.
pub(crate) fn write<W: Write>(run: &Path, name: &str, to: W) -> std::io::Result<W> {
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    archive.follow_symlinks(false);
    archive.append_dir_all(name, run)?;
    archive.into_inner()?.finish()
}

/// Whether a path names a packed run.
pub(crate) fn is_packed(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension == EXTENSION)
}

/// Unpacks a run below a directory, and returns where it is.
pub(crate) fn unpack(packed: &Path, into: &Path) -> Result<PathBuf, Failure> {
    extract(packed, into)
        .with_context(|| format!("{} is not a packed run", packed.display()))
        .map_err(|error| Failure::bad_input(error).hint("squall pack RUN makes one"))
}

fn extract(packed: &Path, into: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(into)?;
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(packed)?));
    let mut root: Option<PathBuf> = None;
    let mut size = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let top = top(&path)?;
        if root.get_or_insert_with(|| top.clone()) != &top {
            bail!("it holds more than one run");
        }
        // A run is files and directories. Links from a stranger could lead anywhere.
        if !entry.header().entry_type().is_file() && !entry.header().entry_type().is_dir() {
            continue;
        }
        size += entry.size();
        if size > MOST {
            bail!("it unpacks to more than {} GiB", MOST >> 30);
        }
        if size == entry.size() && into.join(&top).exists() && path.components().count() == 1 {
            bail!("{} is there already", into.join(&top).display());
        }
        if !entry.unpack_in(into)? {
            bail!("{} leads out of the run", path.display());
        }
    }
    match root.map(|root| into.join(root)) {
        Some(run) if run.join("run.json").exists() => Ok(run),
        Some(_) | None => bail!("it holds no run.json"),
    }
}

/// Returns the first part of a path that stays below where it starts.
fn top(path: &Path) -> anyhow::Result<PathBuf> {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    match path.components().next() {
        Some(first) if plain => Ok(PathBuf::from(first.as_os_str())),
        _ => bail!("{} leads out of the run", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dir: &Path) -> PathBuf {
        let run = dir.join("r");
        std::fs::create_dir_all(run.join("trace")).expect("made");
        std::fs::write(run.join("run.json"), "{}").expect("written");
        std::fs::write(run.join("trace/n1.0.jsonl"), "line\n").expect("written");
        run
    }

    #[test]
    fn what_was_packed_comes_out_as_it_went_in_and_never_over_what_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let packed = dir.path().join("r.squall");
        pack(&run(dir.path()), "r", &packed).expect("packed");
        let there = dir.path().join("there");
        let out = extract(&packed, &there).expect("unpacked");
        let text = std::fs::read_to_string(out.join("trace/n1.0.jsonl")).expect("a file");
        assert_eq!(text, "line\n");
        let again = extract(&packed, &there).expect_err("there already").to_string();
        assert!(again.contains("is there already"), "{again}");
    }

    #[test]
    fn what_leads_out_of_the_run_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let packed = dir.path().join("evil.squall");
        let file = File::create(&packed).expect("made");
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        let name = b"../evil";
        header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        archive.append(&header, &b"evil"[..]).expect("appended");
        archive.into_inner().and_then(GzEncoder::finish).expect("finished");
        let error = extract(&packed, &dir.path().join("out")).expect_err("refused").to_string();
        assert!(error.contains("leads out of the run"), "{error}");
        assert!(!dir.path().join("evil").exists());
    }

    #[test]
    fn what_is_no_archive_is_no_packed_run() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.squall");
        std::fs::write(&path, "nonsense").expect("written");
        assert!(is_packed(&path));
        let failure = unpack(&path, dir.path()).expect_err("refused");
        assert!(format!("{:#}", failure.error).contains("is not a packed run"));
    }
}
