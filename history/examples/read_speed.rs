//! Prints how fast histories are written and read: `cargo run --release -p squall-history --example read_speed`.
//!
//! A number behind it says how many operations, if not a million.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::Instant;

use squall_history::{Invoke, Nanos, Op, Outcome, Process, Return, Value, formats, jsonl};

const CLIENTS: u64 = 10;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let operations = match std::env::args().nth(1) {
        Some(number) => number.parse()?,
        None => 1_000_000,
    };
    println!(
        "{operations} operations of {CLIENTS} clients: 40 % read, 30 % write, 30 % cas, one thread"
    );
    println!();
    println!("| what | keys | MB | s | CPU s | M lines/CPU s | memory, MB |");
    println!("|---|---|---|---|---|---|---|");
    let dir = tempfile::tempdir()?;
    for keys in [1, 100] {
        table(&Load { operations, keys }, dir.path())?;
    }
    Ok(())
}

/// How much clients do.
struct Load {
    operations: u64,
    keys: u64,
}

fn table(load: &Load, dir: &Path) -> Result<(), Failure> {
    let (ours, edn) = (dir.join("history.jsonl"), dir.join("history.edn"));
    row("write squall JSONL", load, &ours, || write(&ours, load))?;
    let read = row("read squall JSONL", load, &ours, || Ok(formats::read_file(&ours, None)?))?;
    row("write Jepsen EDN", load, &edn, || {
        let out = BufWriter::with_capacity(1 << 16, File::create(&edn)?);
        Ok(squall_history::edn::write(&read.history, out)?)
    })?;
    drop(read);
    row("read Jepsen EDN", load, &edn, || Ok(formats::read_file(&edn, None)?))?;
    Ok(())
}

/// Measures one piece of work, and returns what it returned.
fn row<T>(
    what: &str,
    load: &Load,
    path: &Path,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let before = memory(Resident::Now)?;
    // Forgets the peak so far (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5")?;
    let (started, busy) = (Instant::now(), on_cpu()?);
    let kept = work()?;
    let (took, busy) = (started.elapsed().as_secs_f64(), on_cpu()? - busy);
    let memory = memory(Resident::Peak)?.saturating_sub(before) as f64 / 1e3;
    let (keys, size) = (load.keys, std::fs::metadata(path)?.len() as f64 / 1e6);
    let rate = 2.0 * load.operations as f64 / busy / 1e6;
    println!("| {what} | {keys} | {size:.0} | {took:.2} | {busy:.2} | {rate:.1} | {memory:.0} |");
    Ok(kept)
}

/// Returns for how many seconds this thread was on a core, which a busy machine does not lengthen.
fn on_cpu() -> io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanos = status.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
    nanos.map(|nanos| nanos / 1e9).ok_or_else(|| io::Error::other("/proc/self/schedstat is empty"))
}

enum Resident {
    Now,
    Peak,
}

/// Returns the resident memory of this process, in kB.
fn memory(which: Resident) -> io::Result<u64> {
    let field = match which {
        Resident::Now => "VmRSS:",
        Resident::Peak => "VmHWM:",
    };
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("/proc/self/status lacks the memory"))
}

/// Writes a history as a run does: each client has one operation open at a time.
fn write(path: &Path, load: &Load) -> Result<(), Failure> {
    let mut file = jsonl::Writer::new(BufWriter::with_capacity(1 << 16, File::create(path)?))?;
    let mut random = Random(42);
    let mut open: Vec<Option<Invoke>> = vec![None; CLIENTS as usize];
    let mut time = 0;
    let mut begun = 0;
    while begun < load.operations || open.iter().any(Option::is_some) {
        time += random.below(200_000);
        let client = random.below(CLIENTS) as usize;
        match open[client].take() {
            Some(invoke) => file.complete(&invoke, &ret(&invoke, time, &mut random))?,
            None if begun < load.operations => {
                begun += 1;
                let invoke = invoke(client as u64, time, begun as i64, load.keys, &mut random);
                file.invoke(&invoke)?;
                open[client] = Some(invoke);
            }
            None => {}
        }
    }
    Ok(file.flush()?)
}

fn invoke(process: u64, time: u64, value: i64, keys: u64, random: &mut Random) -> Invoke {
    let key = random.below(keys).to_string();
    let op = match random.below(10) {
        0..4 => Op::read(&*key),
        4..7 => Op::write(&*key, value),
        _ => Op::cas(&*key, value - 1, value),
    };
    let node = Some(format!("n{}", process % 5 + 1).as_str().into());
    Invoke { time: Nanos(time), process: Process(process), op, node, request: None }
}

fn ret(invoke: &Invoke, time: u64, random: &mut Random) -> Return {
    let outcome = match (invoke.op.value.as_pair(), random.below(2)) {
        (Some((_, to)), 0) => {
            Outcome::Fail { error: "precondition".into(), seen: Some(to.clone()) }
        }
        _ if invoke.op.value.is_nil() => Outcome::Ok(Value::Int(time as i64 % 1_000)),
        _ => Outcome::Ok(invoke.op.value.clone()),
    };
    let pos = Some(time / 100);
    Return { time: Nanos(time), process: invoke.process, outcome, pos }
}

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), enough for a benchmark.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
