//! The pages of `squall serve` and the index behind them, over copies of the kept runs, through a real socket.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long an answer may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        match entry.file_type().expect("a kind").is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => {
                fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
            }
        }
    }
}

/// A results directory with the kept runs in it, one of them below a campaign.
fn results() -> tempfile::TempDir {
    let results = tempfile::tempdir().expect("a directory");
    let exhibits = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/exhibits");
    for name in ["clean", "read-local-leader", "no-dedup"] {
        copy(&exhibits.join(name), &results.path().join(name));
    }
    let night = results.path().join("night");
    copy(&exhibits.join("figure8"), &night.join("runs/storm-7"));
    fs::write(night.join("campaign.jsonl"), "").expect("written");
    std::os::unix::fs::symlink("clean", results.path().join("latest")).expect("linked");
    results
}

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(results: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_squall"))
            .args(["serve", "--listen", "127.0.0.1:0", "--results"])
            .arg(results)
            .stdout(Stdio::piped())
            .spawn()
            .expect("squall starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("an address");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Server { child, address }
    }

    fn ask(&self, path: &str, host: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            .expect("asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let body = answer.split_off(end + 4);
        (String::from_utf8_lossy(&answer).into_owned(), body)
    }

    fn get(&self, path: &str) -> (String, String) {
        let (head, body) = self.ask(path, &self.address);
        (head, String::from_utf8_lossy(&body).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn index(results: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.arg("index").arg(results).args(more).output().expect("squall starts")
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_list_filters_runs_and_leads_to_their_reports() {
    let results = results();
    let server = Server::start(results.path());

    let (head, all) = server.get("/");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-security-policy"), "{head}");
    for run in ["/runs/clean/", "/runs/read%2Dlocal%2Dleader/", "/runs/night/runs/storm-7/"] {
        assert!(all.contains(&run.replace("%2D", "-")), "{run} in {all}");
    }
    assert!(!all.contains("/runs/latest/"), "{all}");

    let (_, valid) = server.get("/?outcome=valid&system=&since=");
    assert!(valid.contains("/runs/clean/") && !valid.contains("/runs/no-dedup/"), "{valid}");
    let (_, none) = server.get("/?outcome=invalid&until=1999-12-31");
    assert!(!none.contains("/runs/clean/") && none.contains("No run is like this"), "{none}");
    let (head, _) = server.get("/?page=-1");
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");

    // What is kept of a run has no report.html; it is made from its verdict.
    let (head, report) = server.get("/runs/read-local-leader/");
    assert!(head.contains("text/html") && report.contains("What happened"), "{head}");
    let (head, _) = server.get("/runs/latest/");
    assert!(head.to_lowercase().contains("location: /runs/clean/"), "{head}");
    let (head, history) = server.get("/runs/clean/history.jsonl");
    assert!(head.contains("text/plain") && head.contains("nosniff"), "{head}");
    assert!(history.contains("history/1"), "{head}");
}

#[test]
fn a_run_is_one_download_that_unpacks_to_the_same() {
    let results = results();
    let server = Server::start(results.path());

    let (head, archive) = server.ask("/archive/night/runs/storm-7/", &server.address);
    assert!(head.contains("storm-7.squall"), "{head}");
    // The body comes in chunks: their sizes are lines of their own.
    let mut rest = archive.as_slice();
    let mut packed = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..end]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            break;
        }
        packed.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    let unpacked = tempfile::tempdir().expect("a directory");
    tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()))
        .unpack(unpacked.path())
        .expect("an archive");
    let read = |path: &Path| fs::read(path.join("history.jsonl")).expect("a history");
    let original = results.path().join("night/runs/storm-7");
    assert_eq!(read(&unpacked.path().join("storm-7")), read(&original));
}

#[test]
fn nothing_but_runs_is_served_and_to_nobody_but_this_machine() {
    let results = results();
    let outside = tempfile::NamedTempFile::new().expect("a file");
    std::os::unix::fs::symlink(outside.path(), results.path().join("clean/link")).expect("linked");
    let server = Server::start(results.path());

    for path in ["/runs/../Cargo.toml", "/runs/%2e%2e/%2e%2e/etc/passwd", "/runs/clean/link", "/x"]
    {
        let (head, _) = server.get(path);
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
    }
    let (head, _) = server.ask("/", "evil.example.org");
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
}

#[test]
fn a_run_in_progress_is_followed_as_it_is_written() {
    let results = results();
    let run = results.path().join("clean");
    fs::remove_file(run.join("verdict.json")).expect("removed");
    let manifest = fs::read_to_string(run.join("run.json")).expect("a manifest");
    let running = manifest.replace("\"state\": \"complete\"", "\"state\": \"running\"");
    assert_ne!(running, manifest);
    fs::write(run.join("run.json"), running).expect("written");
    let history = fs::read_to_string(run.join("history.jsonl")).expect("a history");
    // In the middle of a line, as a reader may find it.
    let (first, second) = history.split_at(history.len() / 2 + 3);
    fs::write(run.join("history.jsonl"), first).expect("written");
    let server = Server::start(results.path());

    let (head, page) = server.get("/runs/clean/");
    assert!(head.contains("script-src 'self'") && page.contains("/live/clean/"), "{head} {page}");
    let counts = |text: &str, kind: &str| -> u64 {
        let look: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(look["why"], serde_json::Value::Null, "{look}");
        let bins = look["bins"].as_array().expect("bins").iter();
        bins.map(|bin| bin[kind].as_u64().expect("a count")).sum()
    };
    let wanted = |text: &str| text.matches("\"type\":\"ok\"").count() as u64;
    let whole = &first[..first.rfind('\n').expect("lines")];
    let (_, look) = server.get("/live/clean/");
    assert_eq!(counts(&look, "ok"), wanted(whole));

    let mut file =
        fs::OpenOptions::new().append(true).open(run.join("history.jsonl")).expect("open");
    file.write_all(second.as_bytes()).expect("written");
    let (_, look) = server.get("/live/clean/");
    assert_eq!(counts(&look, "ok"), wanted(&history));
}

#[test]
fn the_server_ends_when_it_is_told_to() {
    let results = results();
    let mut server = Server::start(results.path());
    // A client that keeps its connection open and says nothing must not keep the server.
    let _idle = TcpStream::connect(&server.address).expect("a connection");
    let pid = nix::unistd::Pid::from_raw(server.child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("told");
    let begun = Instant::now();
    let status = loop {
        match server.child.try_wait().expect("a status") {
            Some(status) => break status,
            None => assert!(begun.elapsed() < PATIENCE, "it goes on"),
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn the_index_follows_the_files_and_answers_sql() {
    let results = results();
    let count = ["--sql", "SELECT outcome, count(*) AS runs FROM runs GROUP BY 1 ORDER BY 1"];
    let output = index(results.path(), &count);
    assert_eq!(lines(&output), ["outcome\truns", "invalid\t3", "valid\t1"]);

    // What has not changed is not read again; what is gone is forgotten; what cannot be read is shown.
    fs::remove_dir_all(results.path().join("no-dedup")).expect("removed");
    fs::write(results.path().join("clean/run.json"), "{}").expect("written");
    let output = index(results.path(), &count);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 read, 1 gone"), "{said}");
    assert_eq!(lines(&output), ["outcome\truns", "invalid\t2", "unreadable\t1"]);

    let output = index(results.path(), &["--rebuild", "--sql", "SELECT id FROM signatures"]);
    assert!(lines(&output).len() >= 3, "{output:?}");
    let output = index(results.path(), &["--sql", "DELETE FROM runs"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let output = index(results.path(), &["--sql", "SELECT nonsense FROM runs"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && said.contains("hint: tables: runs"), "{said}");
    let output = index(Path::new("/nowhere"), &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn an_index_of_another_version_is_made_anew_and_a_broken_one_is_done_without() {
    let results = results();
    let count = ["--sql", "SELECT count(*) FROM runs"];
    index(results.path(), &[]);
    let path = results.path().join("index.sqlite");
    // The version stands at byte 60 of the file (SQLite's file format, section 1.3).
    let mut bytes = fs::read(&path).expect("an index");
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&path, &bytes).expect("written");
    assert_eq!(lines(&index(results.path(), &count))[1], "4");

    for more in ["index.sqlite-wal", "index.sqlite-shm"] {
        let _ = fs::remove_file(results.path().join(more));
    }
    fs::write(&path, "this is no database, and longer than a header of one hundred bytes has to be, so that it is read as one").expect("written");
    let output = index(results.path(), &count);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is not kept"), "{said}");
    assert_eq!(lines(&output)[1], "4");
}
