//! What a node is before it runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use squall_history::NodeName;

/// How to start one node, as often as it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name.
    pub name: NodeName,
    /// Its address; [`address`](crate::address) says which it will be.
    pub ip: Ipv4Addr,
    /// Program and arguments. `{boot}` stands for the number of the boot, counted from 0.
    pub argv: Vec<String>,
    /// Variables on top of the harness's own. `{boot}` stands for the number of the boot, counted from 0.
    pub env: Vec<(String, String)>,
    /// What is run instead where the node may run one of several versions; the first boot runs the one that `argv` and
    /// `env` are of.
    pub versions: Vec<VersionPlan>,
    /// The same for a node that joins a cluster which exists already, where that differs.
    pub joining: Option<Box<NodePlan>>,
    /// When it counts as ready.
    pub ready: Ready,
    /// Its data directory, which is its working directory too.
    pub data: PathBuf,
}

/// How a node is started as one version of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionPlan {
    /// The version's name.
    pub name: String,
    /// Program and arguments, as in [`NodePlan`].
    pub argv: Vec<String>,
    /// Variables, as in [`NodePlan`].
    pub env: Vec<(String, String)>,
}

/// When a node counts as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What must be true.
    pub check: ReadyCheck,
    /// For how long it is asked before the node counts as failed.
    pub within: Duration,
}

/// What is true of a node that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyCheck {
    /// It accepts a connection here.
    Tcp(SocketAddr),
    /// It answers GET with 200.
    Http {
        /// Where.
        addr: SocketAddr,
        /// Such as `/health`.
        path: String,
    },
    /// This text stands in what it wrote since this boot.
    Log(String),
    /// This command succeeds, run by the harness with the node's environment.
    Exec(Vec<String>),
}

/// Program, arguments and variables of one boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables on top of the harness's own.
    pub env: Vec<(String, String)>,
}

impl NodePlan {
    /// Returns what is run at this boot, counted from 0.
    pub fn for_boot(&self, boot: u32) -> Invocation {
        filled(&self.argv, &self.env, boot)
    }

    /// Returns the version of this name.
    pub fn version(&self, name: &str) -> Option<&VersionPlan> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// Returns the version that the first boot runs.
    pub fn first_version(&self) -> Option<&VersionPlan> {
        let same = |version: &&VersionPlan| version.argv == self.argv && version.env == self.env;
        self.versions.iter().find(same)
    }
}

impl VersionPlan {
    /// Returns what is run at this boot, counted from 0.
    pub fn for_boot(&self, boot: u32) -> Invocation {
        filled(&self.argv, &self.env, boot)
    }
}

fn filled(argv: &[String], env: &[(String, String)], boot: u32) -> Invocation {
    let fill = |text: &String| text.replace("{boot}", &boot.to_string());
    Invocation {
        argv: argv.iter().map(fill).collect(),
        env: env.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_boot_writes_a_trace_of_its_own() {
        let plan = NodePlan {
            name: "n1".into(),
            ip: Ipv4Addr::new(10, 77, 0, 1),
            argv: vec!["node".into(), "--boot={boot}".into()],
            env: vec![("SQUALL_TRACE".into(), "trace/n1.{boot}.jsonl".into())],
            versions: Vec::new(),
            joining: None,
            ready: Ready { check: ReadyCheck::Log("up".into()), within: Duration::from_secs(1) },
            data: "data".into(),
        };
        let third = plan.for_boot(2);
        assert_eq!(third.argv, ["node", "--boot=2"]);
        assert_eq!(third.env, [("SQUALL_TRACE".into(), "trace/n1.2.jsonl".into())]);
    }
}
