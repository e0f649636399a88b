//! Which binary was tested: its hash goes into run.json.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of a file, in hexadecimal digits.
pub fn binary_hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns the file that a program's name means: itself where it is a path, else the first of that name in `PATH`.
pub fn binary_path(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_sha256sum_prints() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("binary");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(binary_hash(&path).unwrap(), abc);
        std::fs::write(&path, vec![b'a'; 1_000_000]).unwrap();
        // Appendix B.3: more than one buffer.
        let many = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(binary_hash(&path).unwrap(), many);
    }

    #[test]
    fn a_bare_name_is_looked_up_and_a_path_is_itself() {
        assert!(binary_path("sh").unwrap().is_absolute());
        assert_eq!(binary_path("./mine"), Some("./mine".into()));
        assert_eq!(binary_path("no-such-program-anywhere"), None);
    }

    #[test]
    fn a_missing_file_is_an_error() {
        assert!(binary_hash(Path::new("/no/such/file")).is_err());
    }
}
