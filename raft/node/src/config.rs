//! What an operator says on the command line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use squall_raft_core::{Config, Membership, NodeId, Rules};

use crate::rules::ShellRules;
use crate::{command, planted, wire};

/// The length of a tick. Timeouts are counted in ticks, so it bounds how finely they differ between nodes.
pub const TICK: Duration = Duration::from_millis(5);

/// So many of the longest commands fit into one frame between peers, with room for what stands around them.
const MOST_ENTRIES: usize = wire::LONGEST / (2 * command::LONGEST);

/// Flags of `squall node`, one node of the reference Raft.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// This node's name, such as n1
    #[arg(long, value_name = "NAME")]
    pub id: String,

    /// Every node with its peer address: n1=10.77.0.1:7000,n2=10.77.0.2:7000
    #[arg(long, value_name = "LIST")]
    pub peers: String,

    /// Where peers are listened to, if that is not where they dial
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Where clients are served
    #[arg(long, value_name = "ADDRESS")]
    pub client: SocketAddr,

    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Seed of the election timeouts
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Plant a bug, with its settings
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,

    /// A setting, such as pre-vote=false or election-timeout=150ms..300ms
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// What the flags amount to.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The core's configuration.
    pub core: Config,
    /// Every node's peer address.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// Where peers are listened to.
    pub listen: SocketAddr,
    /// Where clients are served.
    pub client: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// Seed of the election timeouts.
    pub seed: u64,
    /// The core's rules.
    pub rules: Arc<dyn Rules>,
    /// The shell's rules.
    pub shell: Arc<dyn ShellRules>,
}

/// Says which flag is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: {why}")]
pub struct ConfigError {
    flag: &'static str,
    why: String,
}

fn wrong(flag: &'static str, why: impl Into<String>) -> ConfigError {
    ConfigError { flag, why: why.into() }
}

impl NodeArgs {
    /// Makes sense of the flags. A bug's own settings come first; `--set` wins.
    pub fn resolve(&self) -> Result<NodeConfig, ConfigError> {
        let id = node_id(&self.id).ok_or_else(|| wrong("--id", expected_name(&self.id)))?;
        let peers = peers(&self.peers)?;
        let Some(own) = peers.get(&id) else {
            return Err(wrong("--peers", format!("{} itself is missing", self.id)));
        };
        let listen = self.listen.unwrap_or(*own);
        let bug = self.bug.as_deref().map(|name| {
            planted::find(name).ok_or_else(|| wrong("--bug", format!("unknown bug {name:?}")))
        });
        let bug = bug.transpose()?;
        let membership = Membership { voters: peers.keys().copied().collect() };
        let mut core = Config::new(id, membership, TICK);
        for (name, value) in bug.into_iter().flat_map(|bug| bug.settings) {
            set(&mut core, name, value)?;
        }
        for setting in &self.set {
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| wrong("--set", format!("expected NAME=VALUE, found {setting:?}")))?;
            set(&mut core, name, value)?;
        }
        if let Some(problem) = core.problem() {
            return Err(wrong("--set", problem));
        }
        if core.max_entries > MOST_ENTRIES {
            return Err(wrong("--set", format!("max-entries is at most {MOST_ENTRIES}")));
        }
        Ok(NodeConfig {
            core,
            peers,
            listen,
            client: self.client,
            data: self.data.clone(),
            seed: self.seed,
            rules: bug.map_or_else(|| Arc::new(squall_raft_core::Paper) as _, |bug| (bug.core)()),
            shell: bug.map_or_else(|| Arc::new(crate::rules::Thesis) as _, |bug| (bug.shell)()),
        })
    }
}

fn set(core: &mut Config, name: &str, value: &str) -> Result<(), ConfigError> {
    core.set(name, value, TICK).map_err(|error| wrong("--set", error.to_string()))
}

fn expected_name(found: &str) -> String {
    format!("expected a name such as n1, found {found:?}")
}

fn node_id(name: &str) -> Option<NodeId> {
    name.strip_prefix('n')?.parse().ok().filter(|id| *id > 0).map(NodeId)
}

fn peers(list: &str) -> Result<BTreeMap<NodeId, SocketAddr>, ConfigError> {
    let peer = |text: &str| {
        let (name, address) = text.split_once('=')?;
        Some((node_id(name)?, address.parse().ok()?))
    };
    list.split(',')
        .map(|text| {
            peer(text).ok_or_else(|| {
                wrong("--peers", format!("expected n1=10.77.0.1:7000, found {text:?}"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> NodeArgs {
        NodeArgs {
            id: "n1".into(),
            peers: "n1=127.0.0.1:7001,n2=127.0.0.1:7002".into(),
            listen: None,
            client: "127.0.0.1:8001".parse().expect("an address"),
            data: "data".into(),
            seed: 0,
            bug: None,
            set: Vec::new(),
        }
    }

    #[test]
    fn a_bugs_settings_apply_and_the_operators_win() {
        let mut with_bug = args();
        with_bug.bug = Some("figure8".into());
        assert!(!with_bug.resolve().expect("good flags").core.pre_vote);
        with_bug.set = vec!["pre-vote=true".into()];
        assert!(with_bug.resolve().expect("good flags").core.pre_vote);
    }

    #[test]
    fn wrong_flags_are_named() {
        let error = |change: fn(&mut NodeArgs)| {
            let mut args = args();
            change(&mut args);
            args.resolve().expect_err("bad flags").to_string()
        };
        assert_eq!(
            error(|args| args.id = "x".into()),
            "--id: expected a name such as n1, found \"x\""
        );
        assert_eq!(error(|args| args.id = "n9".into()), "--peers: n9 itself is missing");
        assert!(error(|args| args.peers = "n1".into()).starts_with("--peers: expected"));
        assert!(error(|args| args.bug = Some("x".into())).contains("unknown bug"));
        assert!(error(|args| args.set = vec!["colour=red".into()]).starts_with("--set"));
        assert_eq!(
            error(|args| args.set = vec!["max-entries=129".into()]),
            "--set: max-entries is at most 128"
        );
    }
}
