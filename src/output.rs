//! stdout is for machines and for what was asked for; a closed pipe is no error.

use std::io::Write;

/// Prints a text on stdout, and a line feed where it has none.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let line_feed = if text.ends_with('\n') { "" } else { "\n" };
    // `squall list | head` closes the pipe early: nobody is left to tell.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(line_feed.as_bytes()));
    let _ = out.flush();
}
