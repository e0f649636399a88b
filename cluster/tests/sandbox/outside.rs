//! Cases that look at a sandbox from outside, as its user would.

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use squall_cluster::{Host, Leftovers, Network, SandboxError, Tcp, enter};
use squall_history::NodeName;

use crate::inside;

type Case = fn();

pub(crate) const CASES: &[(&str, Case)] = &[
    ("twenty_kills_at_random_moments_leave_nothing", twenty_kills),
    ("an_interrupt_reaches_the_harness_once", interrupt),
    ("the_exit_code_is_the_harnesss", exit_code),
    ("a_harness_that_is_killed_counts_as_failed", killed),
    ("threads_are_refused", threads),
    ("an_exhausted_limit_is_explained", exhausted),
    ("root_without_user_namespaces_enters_all_the_same", without_user_namespaces),
    ("the_doctor_leaves_its_caller_alone", doctor),
];

type Helper = fn() -> ExitCode;

/// What this binary also runs as, for the cases.
const HELPERS: &[(&str, Helper)] = &[
    ("realistic", realistic),
    ("storm", storm),
    ("count-interrupts", count_interrupts),
    ("exit-2", || leave(|| ExitCode::from(2))),
    ("die", || leave(|| die(Signal::SIGABRT))),
    ("enter", || leave(|| ExitCode::SUCCESS)),
];

pub(crate) fn run(name: &str) -> ExitCode {
    if let Some((_, helper)) = HELPERS.iter().find(|(known, _)| *known == name) {
        return helper();
    }
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).expect("a known case");
    case();
    ExitCode::SUCCESS
}

fn helper(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["outside", name]).stdin(Stdio::null());
    command
}

/// Enters and does this there.
fn leave(there: Helper) -> ExitCode {
    match enter() {
        Ok(sandbox) => {
            println!("{}", sandbox.tier.name());
            there()
        }
        Err(error) => {
            println!("{:?}\n{}", error.errno(), error.remedy());
            ExitCode::from(3)
        }
    }
}

fn die(signal: Signal) -> ExitCode {
    kill(Pid::this(), signal).unwrap();
    ExitCode::SUCCESS
}

/// Prints a setting that the kernel chose.
fn realistic() -> ExitCode {
    let sandbox = enter().unwrap();
    let network = Network::build(&sandbox, &[NodeName::from("n1")], Tcp::Realistic).unwrap();
    println!("{}", network.tcp.settings["net.ipv4.tcp_retries2"]);
    ExitCode::SUCCESS
}

/// A run that goes on until it is killed: nodes that ignore SIGTERM, or have stray children, or are paused; links cut.
fn storm() -> ExitCode {
    inside::storm()
}

fn exit_code() {
    assert_eq!(helper("exit-2").stdout(Stdio::null()).status().unwrap().code(), Some(2));
}

fn killed() {
    let output = helper("die").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.trim(), "squall: the harness was ended by signal 6 (SIGABRT)");
}

fn threads() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || stopped.recv());
    let error = enter().expect_err("there are two threads");
    assert!(matches!(error, SandboxError::Threads(2)), "{error}");
    drop(stop);
    assert!(other.join().unwrap().is_err());
}

/// Sets limits in a sandbox, and tries to enter another from there.
fn enter_where(limits: &[&str]) -> (Option<i32>, String) {
    // This process is the only one with the limits: it enters a sandbox first.
    let sandbox = enter().unwrap();
    for limit in limits {
        std::fs::write(Path::new("/proc/sys/user").join(limit), "0").unwrap();
    }
    let output = helper("enter").output().unwrap();
    drop(sandbox);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn exhausted() {
    let (code, said) = enter_where(&["max_user_namespaces", "max_net_namespaces"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.starts_with("Some(28)\n"), "ENOSPC: {said}");
    assert!(said.contains("sysctl user.max_user_namespaces"), "{said}");
}

fn without_user_namespaces() {
    let (code, said) = enter_where(&["max_user_namespaces"]);
    assert_eq!((code, said.as_str()), (Some(0), "root\n"));
}

/// Waits for an interrupt, then whether a second one comes, and ends with their number.
fn count_interrupts() -> ExitCode {
    let _sandbox = enter().unwrap();
    inside::runtime().block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupts = signal(SignalKind::interrupt()).unwrap();
        println!("ready");
        interrupts.recv().await;
        let second = tokio::time::timeout(Duration::from_millis(200), interrupts.recv()).await;
        ExitCode::from(if second.is_ok() { 2 } else { 1 })
    })
}

/// As a terminal does it: the signal goes to every process of the group.
fn interrupt() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    let mut child =
        helper("count-interrupts").process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let harness = child_of(child.id()).and_then(child_of).unwrap();
    let harness = Pid::from_raw(i32::try_from(harness).unwrap());
    assert_ne!(
        nix::unistd::getpgid(Some(harness)).unwrap(),
        group,
        "the terminal would reach it too"
    );
    nix::sys::signal::killpg(group, Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "how many interrupts came");
}

fn twenty_kills() {
    let host = Host::look();
    let rules = rulesets();
    let results = tempfile::tempdir().unwrap();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut victims = [0; 3];
    let mut most = 0;
    for round in 0..20 {
        let marker = format!("{}-{round}", std::process::id());
        let mut run = helper("storm");
        run.env("SQUALL_TEST_RUN", &marker).env("TMPDIR", results.path());
        let mut outer = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(random.next() % 250));
        let marker = format!("SQUALL_TEST_RUN={marker}");
        most = most.max(host.left_since(&marker).processes.len());
        let victim = choose_victim(&outer, usize::try_from(random.next() % 3).unwrap());
        victims[victim.0] += 1;
        kill(victim.1, Signal::SIGKILL).unwrap();
        let ended = await_end(&mut outer);
        let left = await_nothing_left(&host, &marker);
        assert!(left.is_empty(), "after killing {victim:?} in round {round}:\n{left}");
        assert!(ended, "outer ends when {victim:?} does");
    }
    println!("killed outer, init, harness: {victims:?} times");
    assert!(most >= 8, "some storms were in full swing: outer, init, harness, nodes; {most}");
    assert_eq!(rulesets(), rules, "the host's rules are as they were");
}

/// Returns which one, and its number: outer itself where the one that was wanted does not exist yet.
fn choose_victim(outer: &Child, which: usize) -> (usize, Pid) {
    let outer = outer.id();
    let init = child_of(outer);
    let harness = init.and_then(child_of);
    let (n, pid) = match (which, init, harness) {
        (1, Some(init), _) | (2, Some(init), None) => (1, init),
        (2, _, Some(harness)) => (2, harness),
        _ => (0, outer),
    };
    (n, Pid::from_raw(i32::try_from(pid).unwrap()))
}

/// Returns the oldest child.
fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn await_end(outer: &mut Child) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        if outer.try_wait().unwrap().is_some() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    outer.kill().unwrap();
    outer.wait().unwrap();
    false
}

fn await_nothing_left(host: &Host, marker: &str) -> Leftovers {
    let started = Instant::now();
    loop {
        let left = host.left_since(marker);
        if left.is_empty() || started.elapsed() > Duration::from_secs(1) {
            return left;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// What the host's firewalls hold, as far as tools are here and this user may ask.
fn rulesets() -> Vec<String> {
    let tools: [&[&str]; 3] =
        [&["iptables-save"], &["iptables-legacy-save"], &["nft", "list", "ruleset"]];
    let run = |tool: &&[&str]| Command::new(tool[0]).args(&tool[1..]).output().ok();
    let outputs = tools.iter().filter_map(run).filter(|output| output.status.success());
    let text = outputs.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // Comments hold the time.
    let rules = |text: String| text.lines().filter(|line| !line.starts_with('#')).collect();
    text.map(rules).collect()
}

fn doctor() {
    let host = Host::look();
    let report = squall_cluster::doctor::examine().unwrap();
    assert!(report.can_test(), "{report:#?}");
    assert!(host.left_since("none").is_empty());
    assert_ne!(std::process::id(), 2, "we are where we were");
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
