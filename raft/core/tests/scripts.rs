//! Golden scripts: the protocol in stories. Each file's name is the sentence that it shows, its first line the moral.
//!
//! After a change, `UPDATE_GOLDENFILES=1 cargo test -p squall-raft-core --test scripts` writes what happens now; read
//! the difference before you accept it. The notation: `n1@3` is a server in its term, `7@3` an entry of a term.

mod stage;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use stage::Stage;

/// What a script may say. Servers are written `n1`.
#[derive(goldenscript::Command)]
enum Command {
    /// Sets up so many servers. Pre-vote and check-quorum are off unless a setting says otherwise, so that most
    /// stories have fewer messages. `bug=NAME` plants a bug.
    Cluster(u64, #[arg(key, many, optional)] BTreeMap<String, String>),
    /// Starts a server with a log of entries of the given terms: `with_log n1 1 1 4`. Its own term is the last of them,
    /// unless `term=5` says more.
    WithLog {
        id: String,
        terms: Vec<u64>,
        #[arg(key, optional)]
        term: Option<u64>,
    },
    /// Lets a server's clock run until it stands for election.
    Campaign(String),
    /// Lets ticks pass at a server, one unless a number says more.
    Tick(String, #[arg(optional)] Option<u32>),
    /// Delivers what is under way, of a link or of all, all or so many. What that causes stays under way.
    Deliver {
        #[arg(pos, optional)]
        count: Option<usize>,
        #[arg(key, optional)]
        from: Option<String>,
        #[arg(key, optional)]
        to: Option<String>,
    },
    /// Delivers until nothing is under way.
    Stabilize,
    /// Drops what is under way, of a link or of all.
    Drop {
        #[arg(key, optional)]
        from: Option<String>,
        #[arg(key, optional)]
        to: Option<String>,
    },
    /// Doubles what is under way.
    Double,
    /// Keeps back what is under way now, until `release`.
    Hold {
        #[arg(key, optional)]
        from: Option<String>,
        #[arg(key, optional)]
        to: Option<String>,
    },
    /// Puts what was kept back under way again.
    Release,
    /// Cuts these servers off from the others, both ways.
    Cut(Vec<String>),
    /// Heals all links.
    Heal,
    /// Asks a server to replicate commands.
    Propose(String, Vec<String>),
    /// Asks a server for a read.
    Read(String),
    /// From now on, a server's disk syncs only when told to.
    Slow(String),
    /// Lets a slow disk sync what it was given.
    Sync(String),
    /// Stops servers at once.
    Crash(Vec<String>),
    /// Starts servers from their disks.
    Restart(Vec<String>),
    /// Shows logs: entries up to `|` are committed.
    Log(#[arg(pos, many, optional)] Vec<String>),
    /// Shows roles and terms.
    Status,
    /// Shows match_index→next_index of a leader's followers.
    Progress(String),
}

impl goldenscript::Runner for Stage {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        _context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        match command {
            Command::Cluster(servers, settings) => self.set_up(*servers, settings)?,
            Command::WithLog { id, terms, term } => self.with_log(id, terms, *term)?,
            Command::Campaign(id) => self.campaign(id)?,
            Command::Tick(id, count) => self.tick(id, count.unwrap_or(1))?,
            Command::Deliver { count, from, to } => self.deliver(*count, from, to)?,
            Command::Stabilize => self.stabilize()?,
            Command::Drop { from, to } => self.drop_messages(from, to)?,
            Command::Double => self.double(),
            Command::Hold { from, to } => self.hold(from, to)?,
            Command::Release => self.release(),
            Command::Cut(ids) => self.cut(ids)?,
            Command::Heal => self.heal(),
            Command::Propose(id, commands) => self.propose(id, commands)?,
            Command::Read(id) => self.read(id)?,
            Command::Slow(id) => self.slow(id)?,
            Command::Sync(id) => self.sync(id)?,
            Command::Crash(ids) => self.crash(ids)?,
            Command::Restart(ids) => self.restart(ids)?,
            Command::Log(ids) => self.show_logs(ids)?,
            Command::Status => self.show_status(),
            Command::Progress(id) => self.show_progress(id)?,
        }
        Ok(self.take_output())
    }
}

fn run_scripts(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(folder);
    let mut ran = 0;
    for file in folder.read_dir().expect("a folder of scripts") {
        let path = file.expect("a folder of scripts").path();
        if let Err(error) = goldenscript::run(&mut Stage::default(), &path) {
            panic!("{}: {error}", path.display());
        }
        ran += 1;
    }
    assert!(ran > 5, "only {ran} scripts in {folder:?}");
}

#[test]
fn elections() {
    run_scripts("election");
}

#[test]
fn replication() {
    run_scripts("replication");
}

#[test]
fn commitment() {
    run_scripts("commit");
}

#[test]
fn reads() {
    run_scripts("read");
}
