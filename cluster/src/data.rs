//! Where nodes keep their data.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use squall_history::NodeName;

use crate::sandbox::Sandbox;

/// Provides nodes with data directories. The disk faults will stand here: a FUSE file system that can lie.
pub trait DataDirs: Send + Sync {
    /// Returns the name for `run.json`.
    fn name(&self) -> &'static str;

    /// Returns where a node's directory is, or will be.
    fn path(&self, node: &NodeName) -> PathBuf;

    /// Makes a node's directory, which must not hold anything yet.
    fn prepare(&self, node: &NodeName) -> io::Result<()>;

    /// Empties a node's directory.
    fn wipe(&self, node: &NodeName) -> io::Result<()>;

    /// Copies what is in a node's directory to another, and returns how many bytes that were.
    fn copy_out(&self, node: &NodeName, to: &Path) -> io::Result<u64>;

    /// Removes all of it.
    fn discard(&self) -> io::Result<()>;
}

/// Directories of a file system that is simply there.
#[derive(Clone, Debug)]
pub struct PlainDirs {
    root: PathBuf,
    medium: Medium,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Tmpfs,
    Disk,
}

impl PlainDirs {
    /// In the sandbox's memory, which vanishes with it.
    pub fn in_memory(sandbox: &Sandbox) -> PlainDirs {
        PlainDirs { root: sandbox.data().to_owned(), medium: Medium::Tmpfs }
    }

    /// Below a directory of the user's, in a new one for this run.
    pub fn on_disk(below: &Path, run: &str) -> io::Result<PlainDirs> {
        let root = std::path::absolute(below)?.join(run);
        fs::create_dir_all(below)?;
        fs::create_dir(&root)?;
        Ok(PlainDirs { root, medium: Medium::Disk })
    }
}

impl DataDirs for PlainDirs {
    fn name(&self) -> &'static str {
        match self.medium {
            Medium::Tmpfs => "tmpfs",
            Medium::Disk => "disk",
        }
    }

    fn path(&self, node: &NodeName) -> PathBuf {
        self.root.join(&*node.0)
    }

    fn prepare(&self, node: &NodeName) -> io::Result<()> {
        let path = self.path(node);
        fs::create_dir_all(&path)?;
        if fs::read_dir(&path)?.next().is_some() {
            let why = "it holds data already, of another run";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(())
    }

    fn wipe(&self, node: &NodeName) -> io::Result<()> {
        for entry in fs::read_dir(self.path(node))? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }

    fn copy_out(&self, node: &NodeName, to: &Path) -> io::Result<u64> {
        copy_tree(&self.path(node), to)
    }

    fn discard(&self) -> io::Result<()> {
        match self.medium {
            // The root is a mount point.
            Medium::Tmpfs => {
                fs::read_dir(&self.root)?.try_for_each(|node| fs::remove_dir_all(node?.path()))
            }
            Medium::Disk => fs::remove_dir_all(&self.root),
        }
    }
}

/// Copies files, directories and links; not sockets and pipes, which mean nothing without their process.
fn copy_tree(from: &Path, to: &Path) -> io::Result<u64> {
    fs::create_dir_all(to)?;
    let mut copied = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copied += copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            copied += copy_file(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        }
    }
    Ok(copied)
}

/// Copies a file, leaving holes where it holds zeros: write-ahead logs are often allocated far ahead.
fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
    let (mut source, mut target) = (File::open(from)?, File::create(to)?);
    let mut block = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        let n = source.read(&mut block)?;
        if n == 0 {
            break;
        }
        if block[..n].iter().all(|byte| *byte == 0) {
            target.seek(SeekFrom::Current(i64::try_from(n).expect("a block is small")))?;
        } else {
            target.write_all(&block[..n])?;
        }
        length += n as u64;
    }
    target.set_len(length)?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_copy_is_the_same_but_for_zeros_that_take_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = PlainDirs::on_disk(dir.path(), "run").unwrap();
        let node = NodeName::from("n1");
        dirs.prepare(&node).unwrap();
        let mut bytes = vec![7; 100_000];
        bytes.resize(8 << 20, 0);
        fs::create_dir(dirs.path(&node).join("wal")).unwrap();
        fs::write(dirs.path(&node).join("wal/0"), &bytes).unwrap();

        let kept = dir.path().join("kept");
        assert_eq!(dirs.copy_out(&node, &kept).unwrap(), 8 << 20);
        assert_eq!(fs::read(kept.join("wal/0")).unwrap(), bytes);
        assert!(fs::metadata(kept.join("wal/0")).unwrap().blocks() * 512 < 1 << 20);

        dirs.discard().unwrap();
        assert!(!dir.path().join("run").exists());
    }

    #[test]
    fn a_directory_that_was_wiped_is_there_and_empty() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = PlainDirs::on_disk(dir.path(), "run").unwrap();
        let (n1, n2) = (NodeName::from("n1"), NodeName::from("n2"));
        for node in [&n1, &n2] {
            dirs.prepare(node).unwrap();
            fs::create_dir(dirs.path(node).join("wal")).unwrap();
            fs::write(dirs.path(node).join("wal/0"), "x").unwrap();
        }
        std::os::unix::fs::symlink(dirs.path(&n2), dirs.path(&n1).join("link")).unwrap();
        dirs.wipe(&n1).unwrap();
        assert_eq!(fs::read_dir(dirs.path(&n1)).unwrap().count(), 0);
        assert!(dirs.path(&n2).join("wal/0").exists(), "what a link leads to is left alone");
    }

    #[test]
    fn data_of_another_run_is_not_built_upon() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = PlainDirs::on_disk(dir.path(), "run").unwrap();
        let node = NodeName::from("n1");
        dirs.prepare(&node).unwrap();
        fs::write(dirs.path(&node).join("wal"), "x").unwrap();
        assert!(dirs.prepare(&node).is_err());
    }
}
