//! What can be typed: clap's types, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use squall_history::schedule::duration;
use squall_raft_node::NodeArgs;

/// Puts Raft implementations into a storm and says, with proof, what broke.
#[derive(Debug, Parser)]
#[command(
    name = "squall",
    version,
    disable_help_subcommand = true,
    after_help = "Start with `squall test`; `squall doctor` says what this machine can do.\n\
                  `squall help exit-codes` explains what a run ends with."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One run: boot, drive, hurt, heal, final reads through every node, stop, check, report
    Test(Box<TestArgs>),
    /// Judge again: a run directory, a bare history file, or bare traces of nodes, also of other Rafts
    Check(CheckArgs),
    /// Tell the story of a run: what broke first, what was going on, what clients saw
    Show(ShowArgs),
    /// Print everything around one moment of a run, merged by time
    Log(LogArgs),
    /// Compare two runs: what was asked for, what the checks said, what went wrong, where they part
    Diff(DiffArgs),
    /// Write a history as Jepsen's EDN, for Knossos and Elle
    Export(ExportArgs),
    /// Many storms from one file: floors, canaries, causes; resumable, in shards
    Campaign(CampaignArgs),
    /// Run a recorded run again, and say how often it shows the same
    Replay(ReplayArgs),
    /// Pack a run into one file that somebody else can look into and replay
    Pack(PackArgs),
    /// Find the fewest faults, nodes, clients and seconds with which a violation still shows
    Shrink(ShrinkArgs),
    /// Hunt every planted bug with random storms, and say how long each took to find
    Zoo(ZooArgs),
    /// Write report.html of a run again
    Report(ReportArgs),
    /// Browse the runs of a results directory in a web page, on this machine
    Serve(ServeArgs),
    /// Bring the index of a results directory up to date, and ask it in SQL
    Index(IndexArgs),
    /// Work on the adapter of a system: system check FILE.toml
    System(SystemArgs),
    /// Say what there is: workloads, faults, checks, systems, bugs
    List(ListArgs),
    /// Say which faults this machine can inject, by which mechanism, and what to do about the rest
    Doctor(DoctorArgs),
    /// Explain a command, or a topic: exit-codes
    Help(HelpArgs),
    /// Run one node of the reference Raft
    #[command(hide = true)]
    Node(Box<NodeArgs>),
}

/// Flags of `squall test`. Names follow Jepsen's.
#[derive(Args, Clone, Debug)]
pub(crate) struct TestArgs {
    /// How many nodes [default: as the system's page says; 5 for the reference]
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,

    /// How many clients: a number, or a multiple of the nodes such as 3n
    #[arg(long, value_name = "N|Nn", default_value = "10")]
    pub concurrency: String,

    /// Operations a second over all clients; 0 for as fast as they are answered
    #[arg(long, value_name = "OPS", default_value_t = 1000)]
    pub rate: u32,

    /// How long the load and the faults last
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    pub time_limit: Duration,

    /// What clients do (squall list workloads)
    #[arg(long, value_name = "NAME", default_value = "register")]
    pub workload: String,

    /// How many keys are in use at a time [default: the workload's]
    #[arg(long, value_name = "N")]
    pub keys: Option<usize>,

    /// Write values 0 to N-1 again and again, instead of unique ones
    #[arg(long, value_name = "N")]
    pub value_range: Option<u64>,

    /// How long a client waits for an answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration::parse)]
    pub client_timeout: Duration,

    /// Fault families, separated by commas; all, none (squall list faults) [default: kill,pause,partition]
    #[arg(long, value_name = "FAMILIES")]
    pub nemesis: Option<String>,

    /// Time between faults [default: the time limit by twice the families, at most 5s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub nemesis_interval: Option<Duration>,

    /// Run the faults of a file (the plan lines of a schedule.jsonl) instead of dealing them from the seed
    #[arg(long, value_name = "FILE")]
    pub schedule: Option<PathBuf>,

    /// Seed of every random stream [default: from the clock, and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// The versions that nodes start as, where the system's page has some [default: its first]
    #[arg(long, value_name = "NODE=VERSION,…")]
    pub versions: Option<String>,

    /// The system under test [default: the reference Raft]
    #[arg(long, value_name = "FILE.toml")]
    pub system: Option<PathBuf>,

    /// Plant a bug in the reference Raft, with the settings that show it (squall list bugs)
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,

    /// Take the settings of a planted bug, but not the bug
    #[arg(long, value_name = "NAME", conflicts_with = "bug")]
    pub settings_of: Option<String>,

    /// A setting of the reference's nodes, such as pre-vote=false or election-timeout=150ms..300ms
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,

    /// What nodes live in: namespaces, or proxy (loopback addresses, a TCP proxy in front of each); auto: the first, if
    /// it can be had
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub network: String,

    /// How partitions are made: iptables, nft or auto
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub firewall: String,

    /// TCP between nodes: capped (retransmission back-off of at most 1 s) or realistic
    #[arg(long, value_name = "PROFILE", default_value = "capped")]
    pub tcp: String,

    /// Keep the nodes' data below this directory on disk, instead of in memory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Go on after the first violation, instead of healing and judging at once
    #[arg(long)]
    pub keep_going: bool,

    /// Copy the nodes' data into the run directory even if the run was valid
    #[arg(long)]
    pub keep_data: bool,

    /// Write coverage.json: which states the cluster was in, and which situations came about
    #[arg(long)]
    pub coverage: bool,

    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// How many runs, with seeds counted up; the worst counts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub test_count: u32,

    /// End with the process that started this one, however it ends
    #[arg(long, hide = true)]
    pub die_with_parent: bool,

    #[command(flatten)]
    pub judging: JudgingArgs,
}

/// How a run is judged.
#[derive(Args, Clone, Debug)]
pub(crate) struct JudgingArgs {
    /// How long the checks may take; past it they say unknown
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
    pub deadline: Duration,

    /// How much memory the search may take, in MiB; past it, it says unknown
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: usize,

    /// Print the verdict as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Flags of `squall check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    /// A run directory; a history file; or the traces of one cluster's nodes, ours, etcd-raft's or CCF's
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// The sequential specification, for a bare history file
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// The format of bare files [default: found by their content]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// A failed cas is an observation (another value was there), or dropped [default: by format]
    #[arg(long, value_name = "observation|dropped")]
    pub failed_cas: Option<String>,

    /// A read of nil saw that nothing was there, or is unknown [default: by format]
    #[arg(long, value_name = "absent|unknown")]
    pub nil_read: Option<String>,

    /// End with the process that started this one, however it ends
    #[arg(long, hide = true)]
    pub die_with_parent: bool,

    #[command(flatten)]
    pub judging: JudgingArgs,
}

/// Flags of `squall show`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ShowArgs {
    /// A run directory
    #[arg(value_name = "RUN", default_value = "results/latest")]
    pub run: PathBuf,

    /// Print the story as JSON on stdout, each sentence with the lines that it rests on
    #[arg(long)]
    pub json: bool,
}

/// Flags of `squall export`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExportArgs {
    /// A run directory, or a history file
    pub path: PathBuf,

    /// Where to write [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The format of a bare history file [default: found by its content]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Flags of `squall log`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogArgs {
    /// A run directory
    #[arg(value_name = "RUN", default_value = "results/latest")]
    pub run: PathBuf,

    /// The moment [default: when the first violation was complete]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub around: Option<Duration>,

    /// How much time, half of it before the moment
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = duration::parse)]
    pub span: Duration,

    /// Only this node, and operations that were sent to it
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,

    /// Only operations on this key
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// Flags of `squall diff`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DiffArgs {
    /// A run directory
    pub a: PathBuf,

    /// Another one
    #[arg(default_value = "results/latest")]
    pub b: PathBuf,

    /// Print the differences as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// What can be done with campaigns that have run.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CampaignCommand {
    /// Join the shards of one campaign into one, with one summary
    Merge(MergeArgs),
}

/// Flags of `squall campaign merge`.
#[derive(Args, Clone, Debug)]
pub(crate) struct MergeArgs {
    /// The campaigns that the shards made
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,

    /// Signatures that are known, each with a reason and an expiry [default: known.toml, where there is one]
    #[arg(long, value_name = "FILE.toml")]
    pub known: Option<PathBuf>,

    /// Where campaigns are kept
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Flags of `squall campaign`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CampaignArgs {
    #[command(subcommand)]
    pub command: Option<CampaignCommand>,

    /// The campaign's file (squall campaign --init prints one)
    #[arg(value_name = "FILE.toml")]
    pub file: Option<PathBuf>,

    /// A campaign that comes with squall: smoke (2 min), ci (10 min), nightly (8 h)
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub preset: Option<String>,

    /// Print a commented file on stdout, and do nothing
    #[arg(long)]
    pub init: bool,

    /// Go on with a campaign that was stopped or killed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "preset", "seed", "shard", "bug"])]
    pub resume: Option<PathBuf>,

    /// Do one part of the storms, such as 3/16
    #[arg(long, value_name = "N/OF")]
    pub shard: Option<String>,

    /// Seed of the whole campaign [default: the file's, else from the clock]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How long, instead of the file's budget
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,

    /// How many runs at once [default: the file's, else one a core; fewer while the machine is starved]
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,

    /// Plant a bug in every storm of the reference
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,

    /// Signatures that are known, each with a reason and an expiry [default: known.toml, where there is one]
    #[arg(long, value_name = "FILE.toml")]
    pub known: Option<PathBuf>,

    /// How often a storm that failed in a new way is repeated
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub confirm: u32,

    /// How many failing runs of one signature are kept whole; valid ones are kept as a line of campaign.jsonl
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub keep: u64,

    /// Where campaigns are kept
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub json: bool,

    /// Run a canary without its bug, to see that its absence is told
    #[arg(long, value_name = "BUG", hide = true)]
    pub disable_canary: Option<String>,
}

/// Flags of `squall replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayArgs {
    /// A run directory, or a file that squall pack made
    #[arg(value_name = "RUN", default_value = "results/latest")]
    pub run: PathBuf,

    /// How often
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub times: u32,

    /// Where the repetitions are kept [default: replay/ beside the run]
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,

    /// Print the outcome as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Flags of `squall pack`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PackArgs {
    /// A run directory
    #[arg(value_name = "RUN", default_value = "results/latest")]
    pub run: PathBuf,

    /// The file [default: the run's name with .squall]
    #[arg(long, short, value_name = "FILE.squall")]
    pub output: Option<PathBuf>,
}

/// Flags of `squall shrink`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ShrinkArgs {
    /// A run directory whose run was invalid
    #[arg(value_name = "RUN", default_value = "results/latest")]
    pub run: PathBuf,

    /// How long to try
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration::parse)]
    pub budget: Duration,

    /// How often the shrunk run is repeated in the end
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub confirm: u32,

    /// How many runs at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub jobs: usize,

    /// Print the outcome as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Flags of `squall zoo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ZooArgs {
    /// Hunt this bug only
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,

    /// How long a hunt may take
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration::parse)]
    pub budget: Duration,

    /// How often each bug is hunted
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeat: u32,

    /// How many storms without a bug
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub clean: u64,

    /// Seed of every hunt
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How many hunts at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub jobs: usize,

    /// Where the zoo is kept; one that was stopped goes on
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Write the page here, as docs/zoo.md is made
    #[arg(long, value_name = "FILE.md")]
    pub markdown: Option<PathBuf>,

    /// Write here what the story of each bug's first find says, beside what the bug is
    #[arg(long, value_name = "FILE.md")]
    pub stories: Option<PathBuf>,

    /// Print the hunts as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Flags of `squall report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportArgs {
    /// A run directory
    #[arg(default_value = "results/latest")]
    pub path: PathBuf,
}

/// Flags of `squall serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
}

/// Flags of `squall index`.
#[derive(Args, Clone, Debug)]
pub(crate) struct IndexArgs {
    /// Where runs are kept
    #[arg(value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Read every run again
    #[arg(long)]
    pub rebuild: bool,

    /// A query, answered as lines with tabs; it can change nothing
    #[arg(long, value_name = "QUERY")]
    pub sql: Option<String>,
}

/// `squall system`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SystemArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SystemCommand,
}

/// What can be done with a system.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SystemCommand {
    /// Exercise an adapter: boot, each operation, faults, leader; and prove that lies would be found out
    Check(SystemCheckArgs),
}

/// Flags of `squall system check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SystemCheckArgs {
    /// The system's page
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,

    /// How many nodes [default: as the page says]
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,

    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// Flags of `squall list`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    /// What to list: workloads, faults, checks, systems, bugs; all where nothing is named
    pub what: Option<String>,
}

/// Flags of `squall doctor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorArgs {
    /// Print the findings as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Flags of `squall help`.
#[derive(Args, Clone, Debug)]
pub(crate) struct HelpArgs {
    /// A command, or exit-codes
    pub topic: Option<String>,
}
