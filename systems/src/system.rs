//! What squall can do with a system that a page describes: speak to it, ask who leads, hold it to its claims.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_cluster::LeaderProbe;
use squall_history::{Claim, NodeName};
use squall_workloads::{Connect, Workload};

use crate::etcd::{EtcdConnect, EtcdProbe};
use crate::exec::{ClientCommand, ExecConnect};
use crate::http_client::HttpConnect;
use crate::nodes::Addresses;
use crate::plan::{self, PlanError};
use crate::reference::{ReferenceConnect, ReferenceProbe};
use crate::resp::RespConnect;
use crate::rest::HttpProbe;
use crate::spec::{ClientKind, Durability, ReadClaim, SystemSpec};
use crate::states::StateProbe;
use crate::template::{Scope, Template};

/// The page of the reference Raft.
const REFERENCE: &str = include_str!("../reference.toml");

/// The probe of a system whose page does not say how to ask.
#[derive(Debug)]
struct NobodySays;

impl LeaderProbe for NobodySays {
    fn leader(&self) -> BoxFuture<'_, Option<NodeName>> {
        futures_util::future::ready(None).boxed()
    }
}

impl SystemSpec {
    /// Returns the reference Raft.
    pub fn reference() -> SystemSpec {
        SystemSpec::parse("systems/reference.toml", REFERENCE).expect("our own page is right")
    }

    /// Returns who opens connections to the nodes.
    pub fn connect(&self, addresses: Addresses) -> Result<Arc<dyn Connect>, PlanError> {
        match &self.client.kind {
            ClientKind::Squall => Ok(Arc::new(ReferenceConnect::new(addresses))),
            ClientKind::Etcd => Ok(Arc::new(EtcdConnect::new(addresses))),
            ClientKind::Http(calls) => Ok(Arc::new(HttpConnect::new(addresses, *calls.clone()))),
            ClientKind::Resp(commands) => {
                Ok(Arc::new(RespConnect::new(addresses, *commands.clone())))
            }
            ClientKind::Exec(words) => {
                Ok(Arc::new(ExecConnect::new(addresses, self.client_command(words)?)))
            }
        }
    }

    /// The same, for clients of a workload.
    pub fn connect_for(
        &self,
        workload: &Workload,
        addresses: Addresses,
    ) -> Result<Arc<dyn Connect>, PlanError> {
        match &self.client.kind {
            ClientKind::Etcd if workload.is_wide() => Ok(Arc::new(EtcdConnect::wide(addresses))),
            _ => self.connect(addresses),
        }
    }

    /// Returns who asks the nodes which of them leads.
    pub fn leader_probe(&self, addresses: Addresses) -> Arc<dyn LeaderProbe> {
        match &self.client.kind {
            ClientKind::Squall => Arc::new(ReferenceProbe::new(addresses)),
            ClientKind::Etcd => Arc::new(EtcdProbe::new(addresses)),
            ClientKind::Http(calls) => match &calls.leader {
                Some(question) => Arc::new(HttpProbe::new(addresses, question.clone())),
                None => Arc::new(NobodySays),
            },
            ClientKind::Resp(_) | ClientKind::Exec(_) => Arc::new(NobodySays),
        }
    }

    /// Whether its page says how to find out who leads. Where it does not, faults aimed at the leader find no target.
    pub fn tells_its_leader(&self) -> bool {
        match &self.client.kind {
            ClientKind::Squall | ClientKind::Etcd => true,
            ClientKind::Http(calls) => calls.leader.is_some(),
            ClientKind::Resp(_) | ClientKind::Exec(_) => false,
        }
    }

    /// Returns who asks the nodes what state they are in, where its page or its protocol says how.
    pub fn state_probe(&self, addresses: Addresses) -> Option<StateProbe> {
        match &self.client.kind {
            ClientKind::Etcd => {
                let peers = self.peers(&addresses);
                Some(StateProbe::etcd(addresses, peers))
            }
            ClientKind::Http(calls) => Some(StateProbe::http(addresses, calls.digest.clone()?)),
            ClientKind::Squall => Some(StateProbe::reference(addresses)),
            ClientKind::Resp(_) | ClientKind::Exec(_) => None,
        }
    }

    /// Returns where nodes listen to each other, where they were started as the page says.
    fn peers(&self, clients: &Addresses) -> Addresses {
        let port = self.peer_port.filter(|_| self.attach.is_none());
        let peer = |(node, at): (&NodeName, &SocketAddr)| {
            Some((node.clone(), SocketAddr::new(at.ip(), port?)))
        };
        clients.iter().filter_map(peer).collect()
    }

    fn client_command(&self, words: &[Template]) -> Result<ClientCommand, PlanError> {
        let path = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
        let values = [("bin", path(self.bin())), ("home", path(self.dir()))];
        let values = values.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it?)));
        let values = values.chain(self.service_values()).collect();
        let scope = Scope { values, ..Scope::default() };
        let claims = &self.claims;
        let claimed = [
            ("read", true),
            ("write", claims.write),
            ("cas", claims.cas),
            ("append", claims.append),
        ];
        let claimed = claimed.into_iter().filter_map(|(op, is)| is.then_some(op)).collect();
        Ok(ClientCommand { argv: plan::words(words, &scope)?, dir: self.dir(), claimed })
    }

    /// Returns what a workload needs and the system does not claim to have.
    pub fn lacks(&self, workload: &Workload) -> Vec<&'static str> {
        let claims = &self.claims;
        let has = |need: &str| match need {
            "write" => claims.write,
            "cas" => claims.cas,
            "append" => claims.append,
            "dedup" => claims.dedup,
            // A whole range of keys is compared, which in a cluster of somebody else holds what others wrote.
            squall_workloads::WIDE => {
                matches!(self.client.kind, ClientKind::Etcd) && self.attach.is_none()
            }
            // Every system can be read; what its reads promise is another question.
            _ => true,
        };
        workload.needs.iter().copied().filter(|need| !has(need)).collect()
    }

    /// Returns what a run of this workload is held to, in the order in which verdicts list it.
    ///
    /// Properties of the nodes are always claimed: where a system writes no trace, they are not judged.
    pub fn claims_with(&self, workload: &Workload) -> Vec<Claim> {
        let voided = self.voided();
        let claimed = |claim: &Claim| {
            let from_clients = CLIENTS.contains(claim);
            !voided.contains(claim) && (!from_clients || workload.claims.contains(claim))
        };
        Claim::ALL.into_iter().filter(claimed).collect()
    }

    /// What the system does not promise.
    fn voided(&self) -> Vec<Claim> {
        let mut voided = Vec::new();
        match self.claims.read {
            ReadClaim::Linearizable => {}
            ReadClaim::Prefix | ReadClaim::StaleOk => {
                voided.extend(LINEARIZABLE);
            }
        }
        match self.claims.durable {
            Durability::Fsync => {}
            Durability::Crash => voided.push(Claim::AckNotBeyondDurable),
            Durability::Memory => {
                voided.extend([
                    Claim::AckNotBeyondDurable,
                    Claim::AcknowledgedSurvive,
                    Claim::LogWitness,
                    Claim::LinearizableSettled,
                ]);
            }
        }
        voided
    }
}

/// The claims that only reads which claim to be linearizable are held to.
const LINEARIZABLE: [Claim; 5] = [
    Claim::Linearizable,
    Claim::Positions,
    Claim::ReadIndex,
    Claim::LogWitness,
    Claim::LinearizableSettled,
];

/// The claims that need a workload whose history can be held to them.
const CLIENTS: [Claim; 7] = [
    Claim::Linearizable,
    Claim::Positions,
    Claim::AcknowledgedSurvive,
    Claim::ReadIndex,
    Claim::LogWitness,
    Claim::LinearizableSettled,
    Claim::Exercised,
];

#[cfg(test)]
mod tests {
    use squall_workloads::{catalog, find};

    use super::*;

    fn etcd() -> SystemSpec {
        SystemSpec::parse("etcd.toml", include_str!("../tests/etcd.toml")).unwrap()
    }

    #[test]
    fn the_reference_has_a_client_and_all_that_workloads_need() {
        let reference = SystemSpec::reference();
        assert!(reference.connect(Addresses::new()).is_ok());
        assert!(reference.tells_its_leader());
        for workload in catalog().iter().filter(|workload| !workload.is_wide()) {
            assert!(reference.lacks(workload).is_empty(), "{}", workload.name);
            assert_eq!(reference.claims_with(workload), Claim::ALL, "{}", workload.name);
        }
    }

    #[test]
    fn wide_transactions_are_for_etcds_clients_alone() {
        let wide = find("wide").unwrap();
        assert_eq!(SystemSpec::reference().lacks(wide), ["wide"]);
        assert_eq!(etcd().lacks(wide), [""; 0]);
    }

    #[test]
    fn a_system_without_sessions_lacks_what_append_needs() {
        assert_eq!(etcd().lacks(find("append").unwrap()), ["append", "dedup"]);
        assert_eq!(etcd().lacks(find("register").unwrap()), [""; 0]);
    }

    #[test]
    fn a_system_may_pass_operations_on_unless_its_page_says_otherwise() {
        assert!(etcd().claims.forwards);
        assert!(!SystemSpec::reference().claims.forwards);
    }

    #[test]
    fn what_a_system_does_not_promise_is_not_held_against_it() {
        let mut weak = SystemSpec::reference();
        weak.claims.read = ReadClaim::StaleOk;
        weak.claims.durable = Durability::Crash;
        let claims = weak.claims_with(find("register").unwrap());
        for voided in [Claim::Linearizable, Claim::ReadIndex, Claim::AckNotBeyondDurable] {
            assert!(!claims.contains(&voided), "{voided}");
        }
        assert!(claims.contains(&Claim::ElectionSafety));
    }
}
