//! Real processes in a real sandbox.
//!
//! This binary is its own test runner, because the sandbox must be entered while a process has one thread. Each case runs
//! in a process of its own, which it starts from itself; nodes are this binary too. As root, every case runs a second time
//! as an ordinary user.
//!
//! Where namespaces cannot be had, it says so and passes, unless `SQUALL_REQUIRE` names them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test runner talks on stdout")]

mod inside;
mod outside;
mod server;

use nix::sys::signal::{SigHandler, Signal};
use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// An ordinary user that every system has.
const NOBODY: u32 = 65_534;

/// No case takes more than seconds.
const WITHIN: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    // A background job of a script ignores interrupts, and its children would too: the case that sends one would wait.
    // SAFETY: no handler is installed, and no thread was started yet.
    unsafe { nix::sys::signal::signal(Signal::SIGINT, SigHandler::SigDfl) }
        .expect("the default action can always be had");
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", ip, kind] => server::serve(ip, kind),
        ["inside", case] => inside::run(case),
        ["outside", case] => outside::run(case),
        ["--list", ..] => list(),
        filters => run_all(filters),
    }
}

fn list() -> ExitCode {
    for case in cases() {
        println!("{}: test", case.1);
    }
    ExitCode::SUCCESS
}

/// Returns where each case runs, and its name.
fn cases() -> Vec<(&'static str, &'static str)> {
    let inside = inside::CASES.iter().map(|(name, _)| ("inside", *name));
    inside.chain(outside::CASES.iter().map(|(name, _)| ("outside", *name))).collect()
}

fn run_all(arguments: &[&str]) -> ExitCode {
    let filters: Vec<&&str> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(**filter));
    let failed: usize = std::thread::scope(|scope| {
        let runs = users().into_iter().map(|user| scope.spawn(move || run_as(&user, wanted)));
        let runs: Vec<_> = runs.collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    println!("sandbox: {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the cases as this user, and returns how many failed.
fn run_as(user: &User, wanted: impl Fn(&str) -> bool) -> usize {
    if let Err(why) = can_enter(user) {
        if required("namespaces") {
            println!("namespaces are required here, {}: {why}", user.name);
            return 1;
        }
        println!("skipped {}: no namespaces here: {why}", user.name);
        return 0;
    }
    let cases = cases().into_iter().filter(|(_, name)| wanted(name));
    cases.filter(|(place, name)| !passes(user, place, name)).count()
}

/// Whether CI has named this as something that must be there.
fn required(what: &str) -> bool {
    env::var("SQUALL_REQUIRE").is_ok_and(|list| list.split(',').any(|word| word.trim() == what))
}

fn passes(user: &User, place: &str, name: &str) -> bool {
    let started = Instant::now();
    let (status, said) = run_to_end(user.command([place, name]));
    let ok = status.is_some_and(|status| status.success());
    let word = if ok { "ok" } else { "FAILED" };
    println!("test {name} {} ... {word} ({:.1?})", user.name, started.elapsed());
    let notes = said.lines().filter(|line| !ok || line.starts_with("skipped"));
    notes.for_each(|line| println!("    {line}"));
    if status.is_none() {
        println!("    it did not end within {WITHIN:?}");
    }
    ok
}

/// Runs a command with its output in a file, which no child that outlives it can hold open.
fn run_to_end(mut command: Command) -> (Option<ExitStatus>, String) {
    let said = tempfile::NamedTempFile::new().unwrap();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(said.reopen().unwrap())
        .stderr(said.reopen().unwrap())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if started.elapsed() > WITHIN => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    (status, std::fs::read_to_string(said.path()).unwrap())
}

/// Asks a process of this user to enter.
fn can_enter(user: &User) -> Result<(), String> {
    match run_to_end(user.command(["inside", "nothing"])) {
        (Some(status), _) if status.success() => Ok(()),
        (_, said) => Err(said.trim().to_owned()),
    }
}

/// Who runs the cases.
struct User {
    name: &'static str,
    /// None: as we are.
    id: Option<u32>,
    binary: PathBuf,
    /// Holds a copy of the binary that others may read.
    _copy: Option<tempfile::TempDir>,
}

fn users() -> Vec<User> {
    let binary = env::current_exe().unwrap();
    let root = nix::unistd::geteuid().is_root();
    let name = if root { "as root" } else { "as an ordinary user" };
    let mut users = vec![User { name, id: None, binary: binary.clone(), _copy: None }];
    if root {
        let other = nobody(&binary);
        match other.command(["--list"]).stdout(Stdio::null()).status() {
            Ok(_) => users.push(other),
            Err(error) => println!("skipped {}: root cannot become one here: {error}", other.name),
        }
    }
    users
}

/// Root's target directory may be closed to others, so they get a copy.
fn nobody(binary: &std::path::Path) -> User {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("sandbox-test");
    std::fs::copy(binary, &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    User { name: "as an ordinary user", id: Some(NOBODY), binary: copy, _copy: Some(dir) }
}

impl User {
    fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir("/");
        if let Some(id) = self.id {
            command.uid(id).gid(id);
        }
        command
    }
}
