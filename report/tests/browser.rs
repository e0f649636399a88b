//! The page in a real browser, where there is one: its script runs under its own policy, and nothing else does.

mod runs;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use squall_checker::RunVerdict;
use squall_history::RunDir;

const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Opens a page without a window, lets its scripts run, and returns what became of it; nothing where there is no browser.
fn opened(page: &Path, fragment: &str) -> Option<String> {
    let Some(browser) = BROWSERS.into_iter().find(|browser| works(browser)) else {
        eprintln!("SKIPPED: none of {BROWSERS:?} can open a page here");
        return None;
    };
    let output = dump(browser, &format!("file://{}{fragment}", page.display()));
    let output = output.expect("it opened a page before");
    let errors = String::from_utf8_lossy(&output.stderr);
    let refused: Vec<&str> = errors.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(refused.is_empty(), "the page complains: {refused:?}");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(dom.contains("</html>"), "{browser} says {errors}");
    Some(dom)
}

/// Returns whether a browser is there and opens anything at all: some distributions have a stub in its place, and some
/// containers forbid what it needs.
fn works(browser: &str) -> bool {
    let output = dump(browser, "data:text/html,<p>hello</p>");
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("hello"))
}

fn dump(browser: &str, url: &str) -> std::io::Result<Output> {
    let profile = tempfile::tempdir()?;
    let mut command = Command::new("timeout");
    command
        .args(["--signal=KILL", "60", browser])
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--window-size=1280,900", "--virtual-time-budget=2000"])
        .args(["--timeout=20000", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url]);
    command.output()
}

/// Returns the text of the element with this id.
fn text(dom: &str, id: &str) -> String {
    let from = dom.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    let from = from + dom[from..].find('>').expect("a tag ends") + 1;
    let to = from + dom[from..].find('<').expect("a text ends");
    dom[from..to].to_owned()
}

fn written(run: &RunDir, verdict: &RunVerdict) -> std::path::PathBuf {
    squall_report::write(run, verdict).expect("the report is written")
}

fn verdict(run: &RunDir) -> RunVerdict {
    let json = fs::read(run.verdict()).expect("a verdict");
    serde_json::from_slice(&json).expect("a verdict")
}

#[test]
fn the_whole_run_is_drawn_at_once_and_a_link_opens_one_moment_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = runs::copy(dir.path(), |_, text| text);
    let page = written(&run, &verdict(&run));
    let Some(dom) = opened(&page, "") else { return };
    assert_eq!(text(&dom, "run-says"), "0.00 s to 3.17 s, 3.17 s of 3.17 s");
    let dom = opened(&page, "#t=1.41").expect("it opened before");
    let says = text(&dom, "run-says");
    assert!(!says.starts_with("0.00 s") && says.ends_with("of 3.17 s"), "{says}");
}

#[test]
fn a_hundred_thousand_operations_are_drawn() {
    let dir = tempfile::tempdir().expect("a directory");
    let (run, verdict) = runs::large(dir.path(), 100_000);
    let page = written(&run, &verdict);
    let html = fs::read_to_string(&page).expect("the page is text");
    assert!(html.contains("op ok core"), "the contradiction is drawn");
    let size = fs::metadata(&page).expect("it is there").len();
    assert!(size < 3_000_000, "{size} bytes");
    let Some(dom) = opened(&page, "") else { return };
    assert!(text(&dom, "run-says").starts_with("0.0"), "{}", text(&dom, "run-says"));
}

#[test]
fn what_a_system_under_test_says_is_shown_and_never_done() {
    const DEED: &str = "document.body.id='owned'";
    let attack = format!(
        "</script><script>{DEED}</script><img src=x onerror={DEED}>\\u202e\\u0007\\\"'&amp;<svg onload={DEED}>"
    );
    let dir = tempfile::tempdir().expect("a directory");
    let run = runs::copy(dir.path(), |name, text| match name {
        "run.json" => text.replace("\"squall-raft\"", &format!("\"{attack}\"")),
        "history.jsonl" => {
            let long = "x".repeat(1_000_000);
            text.replace("no-leader", &attack).replacen("timeout", &long, 1)
        }
        "verdict.json" => text
            .replace("process 7", &format!("process {attack}"))
            .replace("\"label\": \"", &format!("\"label\": \"{attack}")),
        _ => text,
    });
    let page = written(&run, &verdict(&run));
    let html = fs::read_to_string(&page).expect("the page is text");
    assert!(html.len() < 1_000_000, "a long text is cut: {} bytes", html.len());
    assert_eq!(html.matches("<script").count(), 2, "the data, and the page's own script");
    assert!(!html.contains("<img") && !html.contains("<svg onload"), "nothing is left as a tag");
    assert!(!html.contains(['\u{202e}', '\u{7}']), "nothing turns the text or rings a bell");
    assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
    let Some(dom) = opened(&page, "") else { return };
    assert!(!dom.contains("id=\"owned\""), "a text was carried out");
    assert!(text(&dom, "run-says").contains(" s of "), "and the page's own script runs on");
}
