//! The examples in docs/ are what the readers read.

use std::fs;
use std::path::{Path, PathBuf};

use squall_history::trace::Reader;
use squall_history::{Format, formats, schedule};

fn page(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let text = fs::read_to_string(&path).expect("the page is there");
    (path, text)
}

/// Returns the fenced examples of a page that hold a word.
fn examples<'a>(page: &'a str, word: &str) -> Vec<&'a str> {
    let fenced = page.split("```").skip(1).step_by(2);
    let bodies = fenced.filter_map(|block| block.split_once('\n')).map(|(_, body)| body);
    bodies.filter(|body| body.contains(word)).collect()
}

#[test]
fn the_trace_of_the_page_is_complete() {
    let (path, text) = page("trace.md");
    let examples = examples(&text, "\"trace/1\"");
    assert_eq!(examples.len(), 1);
    let mut reader = Reader::new(examples[0].as_bytes(), &path).expect("has a header");
    let lines: Vec<_> = reader.by_ref().collect::<Result<_, _>>().expect("has events");
    assert_eq!(lines.len(), 8);
    assert!(reader.survey().is_complete(), "{:?}", reader.survey());
}

#[test]
fn the_schedule_of_the_page_is_whole() {
    let (_, text) = page("formats.md");
    let examples = examples(&text, "\"schedule/1\"");
    assert_eq!(examples.len(), 1);
    let read = schedule::read(examples[0].as_bytes()).expect("is a schedule");
    assert_eq!((read.lines.len(), read.torn), (3, None));
}

#[test]
fn histories_of_the_page_are_of_the_formats_that_it_names() {
    let (path, text) = page("formats.md");
    let of = |word: &str| {
        let examples = examples(&text, word);
        assert_eq!(examples.len(), 1, "{word}");
        formats::read_bytes(&path, examples[0].as_bytes(), None).map(|read| read.format)
    };
    assert_eq!(of("\"history/1\"").expect("is ours"), Format::Squall);
    assert_eq!(of(":did-not-match").expect("is Jepsen's"), Format::JepsenEdn);
    assert_eq!(of("jepsen.util - 4").err().map(|error| error.to_string()), lone_return(&path));
    assert_eq!(of(":append").expect("is porcupine's"), Format::PorcupineKv);
}

/// The page shows lines of a log, not a whole one.
fn lone_return(path: &Path) -> Option<String> {
    let why = "line 3: process 2 returns, but has no open operation; expected its invoke on an earlier line";
    Some(format!("{}: {why}", path.display()))
}
