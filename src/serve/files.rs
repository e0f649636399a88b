//! Files of runs over HTTP: found without leaving the results directory, sent in pieces, never guessed to be pages.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// How many bytes a piece has at most.
const PIECE: usize = 64 << 10;
/// How many pieces wait for the reader.
const PIECES: usize = 4;
/// How long a reader may take for a piece.
const PATIENCE: Duration = Duration::from_secs(60);

/// Finds what an address names, unless it lies outside the results directory.
pub(super) fn below(results: &Path, path: &str) -> Option<PathBuf> {
    let found = results.join(path.trim_matches('/')).canonicalize().ok()?;
    (found.starts_with(results) && found != results).then_some(found)
}

/// Returns a path as seen from the results directory.
pub(super) fn name(results: &Path, found: &Path) -> String {
    found.strip_prefix(results).unwrap_or(found).to_string_lossy().into_owned()
}

/// Sends a file. Pages that squall wrote are pages; all else is text, or something to keep.
pub(super) fn send(path: &Path) -> anyhow::Result<Response> {
    let mut file =
        File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let body = stream(move |to| io::copy(&mut file, to).map(|_| ()));
    let kind = match (&*name, &*extension) {
        ("report.html" | "index.html", _) => "text/html; charset=utf-8",
        (_, "json" | "jsonl" | "log" | "toml" | "xml" | "md" | "txt" | "html") => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    };
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// Returns a body that is written by another thread, no faster than it is read.
pub(super) fn stream(write: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static) -> Body {
    let (to, from) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { to, piece: Vec::new(), runtime: Handle::current() };
        let written = write(&mut pieces).and_then(|()| pieces.flush());
        if let Err(error) = written {
            // The connection breaks: half a file must not look like a whole one.
            let _ = pieces.pass(Err(error));
        }
    });
    Body::from_stream(futures_util::stream::unfold(from, async |mut from| {
        from.recv().await.map(|piece| (piece, from))
    }))
}

/// Where a body is written to.
#[derive(Debug)]
pub(super) struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    runtime: Handle,
}

impl Pieces {
    fn pass(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        let sent = self.runtime.block_on(tokio::time::timeout(PATIENCE, self.to.send(piece)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.piece) {
            empty if empty.is_empty() => Ok(()),
            piece => self.pass(Ok(Bytes::from(piece))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_results_is_found() {
        let outside = tempfile::tempdir().expect("a directory");
        let results = outside.path().canonicalize().expect("there").join("results");
        std::fs::create_dir_all(results.join("run")).expect("made");
        std::fs::write(outside.path().join("secret"), "").expect("written");
        std::os::unix::fs::symlink("../secret", results.join("link")).expect("linked");
        std::os::unix::fs::symlink("run", results.join("latest")).expect("linked");

        assert_eq!(below(&results, "run/"), Some(results.join("run")));
        assert_eq!(below(&results, "latest"), Some(results.join("run")));
        for wrong in ["../secret", "run/../../secret", "link", "", "/", "nowhere", "/etc/passwd"] {
            assert_eq!(below(&results, wrong), None, "{wrong}");
        }
    }
}
