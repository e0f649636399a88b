//! `SystemSpec`: all that squall has to know of a system under test, read from a page of TOML.
//!
//! What is read here is the whole documented schema, so that a file is right or wrong whatever this version can do with
//! it. A mistake is answered with file, line, column and the nearest known word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use squall_cluster::Rejoin;

use crate::attach::AttachSection;
use crate::resp::RespCommands;
use crate::rest::{HttpCalls, JsonPath};
use crate::service::ServiceSection;
use crate::spec_error::SpecError;
use crate::spec_file;
use crate::template::Template;
use crate::version::VersionSection;

/// The version of the schema, in the field `squall`.
pub const VERSION: u32 = 1;

/// A system under test.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemSpec {
    /// Its name, with its version where that matters: `etcd-3.5.1`.
    pub name: String,
    /// Where its page lies, if it was read from a file.
    pub home: Option<PathBuf>,
    /// How many nodes, unless the user says otherwise.
    pub nodes: usize,
    /// How one node is started.
    pub node: NodeSection,
    /// What runs beside the nodes, in the order in which it is started.
    pub services: Vec<ServiceSection>,
    /// The port at which nodes listen to each other; `{peer}` is the address with it.
    pub peer_port: Option<u16>,
    /// How clients talk to it.
    pub client: ClientSection,
    /// What it may be held to.
    pub claims: SystemClaims,
    /// Who can read its files.
    pub reader: DiskReader,
    /// How members are added and removed, where it is said.
    pub member: MemberSection,
    /// How fast it elects.
    pub timing: Timing,
    /// Who started it, if it was not squall.
    pub attach: Option<AttachSection>,
}

/// `[node]`: how one node is started.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSection {
    /// The command and its arguments.
    pub cmd: Vec<Template>,
    /// Its environment, beyond what every node gets.
    pub env: BTreeMap<String, Template>,
    /// How to find out that it serves.
    pub ready: Ready,
    /// How long after one node the next one is started, when the cluster begins.
    pub apart: Duration,
    /// The versions that it may run, the oldest first; nothing where there is one only.
    pub versions: Vec<VersionSection>,
    /// A node may go back to an older version on its data.
    pub downgrade: bool,
}

/// How to find out that a node serves, and how long that may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// What to look at.
    pub check: ReadyCheck,
    /// The deadline.
    pub within: Duration,
}

/// What shows that a node serves.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadyCheck {
    /// A GET of this URL is answered with 200.
    Http(Template),
    /// This text stands in what it wrote.
    Log(String),
    /// A connection to this port is accepted.
    Tcp(u16),
    /// This command ends with 0.
    Exec(Vec<Template>),
}

/// `[client]`: how clients talk to the system.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSection {
    /// The protocol.
    pub kind: ClientKind,
    /// Where a node listens to clients.
    pub addr: Template,
}

/// The protocol that clients speak.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientKind {
    /// JSON lines over TCP, as the reference node speaks them.
    Squall,
    /// etcd's JSON gateway.
    Etcd,
    /// HTTP by templates.
    Http(Box<HttpCalls>),
    /// Redis' protocol.
    Resp(Box<RespCommands>),
    /// A command that speaks `squall-client/1` on stdin and stdout.
    Exec(Vec<Template>),
}

/// Whether a client has an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Yes,
    /// Only the page can know.
    IfClaimed,
    No,
}

impl ClientKind {
    /// Returns whether it has write, cas and append.
    pub(crate) fn offers(&self) -> [Offer; 3] {
        let described = |has: bool| if has { Offer::Yes } else { Offer::No };
        match self {
            ClientKind::Squall | ClientKind::Exec(_) => [Offer::Yes, Offer::Yes, Offer::IfClaimed],
            ClientKind::Etcd => [Offer::Yes, Offer::Yes, Offer::No],
            ClientKind::Http(calls) => {
                [&calls.write, &calls.cas, &calls.append].map(|call| described(call.is_some()))
            }
            ClientKind::Resp(commands) => {
                let has = |command: &Option<_>| described(command.is_some());
                [Offer::Yes, has(&commands.cas), has(&commands.append)]
            }
        }
    }
}

/// `[claims]`: what the checker may hold against the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemClaims {
    /// What its reads promise.
    pub read: ReadClaim,
    /// It has blind writes.
    pub write: bool,
    /// It has compare-and-set.
    pub cas: bool,
    /// It has appends to a list.
    pub append: bool,
    /// A request that is sent again takes effect at most once.
    pub dedup: bool,
    /// A node may answer operations that another one proposed. Unless the page says otherwise, it may.
    pub forwards: bool,
    /// What orders its leaders.
    pub leader: LeaderClaim,
    /// What an acknowledged write survives.
    pub durable: Durability,
}

/// What reads promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadClaim {
    /// A read sees everything that was acknowledged before it began.
    #[default]
    Linearizable,
    /// A read sees the state of some log position, which never goes back in a session.
    Prefix,
    /// A read may see any old state.
    StaleOk,
}

/// What orders leaders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum LeaderClaim {
    /// One leader a term.
    #[default]
    #[serde(rename = "one per term")]
    OnePerTerm,
    /// One leader an epoch, which is a term and more.
    #[serde(rename = "one per epoch")]
    OnePerEpoch,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The loss of power of all nodes.
    #[default]
    Fsync,
    /// kill -9 of all nodes.
    Crash,
    /// Neither: it is gone when a majority restarts.
    Memory,
}

/// Who can read a node's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskReader {
    /// etcd's write-ahead log and snapshots.
    EtcdWal,
    /// hashicorp's raft-boltdb.
    RaftBoltdb,
    /// hashicorp's raft-wal.
    RaftWal,
    /// The reference's log.
    Squall,
    /// Nobody.
    #[default]
    None,
}

/// `[member]`: how the membership is changed. In these templates `leader.`, `new.` and `target.` stand before a node's
/// names: `{leader.ip}`, `{new.peer}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberSection {
    /// Adds a node.
    pub add: Option<AdminCall>,
    /// Removes a node.
    pub remove: Option<AdminCall>,
    /// Makes another node lead.
    pub transfer: Option<AdminCall>,
    /// Lists the members.
    pub list: Option<MemberList>,
    /// With what a node comes back that was removed.
    pub rejoin: Rejoin,
}

/// Where the cluster says who its members are: which item of a list is a node, and what the cluster calls it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberList {
    /// Method and URL.
    pub request: Template,
    /// Its body.
    pub body: Option<Template>,
    /// Where the list stands in the answer.
    pub each: JsonPath,
    /// Where an item says which node it is,
    pub at: JsonPath,
    /// and what it says there of `{target.…}`.
    pub is: Template,
    /// Where an item says what `{target.member}` stands for.
    pub id: JsonPath,
}

/// One call to the admin interface.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminCall {
    /// An HTTP request.
    Http {
        /// Method and URL: `POST http://…`.
        request: Template,
        /// Its body.
        body: Option<Template>,
    },
    /// A command.
    Exec(Vec<Template>),
}

/// `[timing]`: sizes pauses, partitions and the deadlines of liveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The shortest and the longest election timeout.
    pub election: (Duration, Duration),
}

/// The names that stand for something in a node's templates.
pub const NODE_NAMES: [&str; 12] =
    ["id", "n", "ip", "data", "peer", "bin", "home", "squall", "seed", "bug", "trace", "boot"];

/// The names that stand for something at a node that somebody else started.
pub(crate) const ATTACHED_NAMES: [&str; 5] = ["id", "n", "ip", "address", "home"];

/// The names that stand for something in the command of a client, which is no node's.
pub const CLIENT_NAMES: [&str; 2] = ["bin", "home"];

impl SystemSpec {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<SystemSpec, SpecError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SpecError::Unreadable { path: path.to_owned(), source })?;
        let spec = SystemSpec::parse(&path.display().to_string(), &text)?;
        // A bare file name has an empty parent, which is the directory that we are in.
        Ok(SystemSpec { home: path.parent().map(Path::to_owned), ..spec })
    }

    /// Reads a text; `file` names it in errors.
    pub fn parse(file: &str, text: &str) -> Result<SystemSpec, SpecError> {
        spec_file::parse(file, text)
    }
}
