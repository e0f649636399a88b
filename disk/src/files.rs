//! Files whole, within bounds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::DiskError;

/// etcd allocates 64 MB for a file of its log; a database of a test is a few MB.
const LIMIT: u64 = 256 << 20;

/// Reads a file. Returns its name too, for errors.
pub(crate) fn only(path: &Path) -> Result<(String, Vec<u8>), DiskError> {
    let failed = |source| DiskError::Io { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > LIMIT {
        return Err(DiskError::TooLarge { path: path.to_owned(), size, limit: LIMIT });
    }
    let bytes = fs::read(path).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, bytes))
}

/// Returns the files of a directory whose names end so, in the order of their names.
pub(crate) fn list(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, DiskError> {
    let failed = |source| DiskError::Io { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
