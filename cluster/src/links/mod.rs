//! Cutting links: one directed graph, replaced as a whole, by whichever mechanism this machine has.

mod iptables;
mod nft;

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use squall_history::NodeName;

use crate::control::in_one_line;
use crate::proxy::Proxies;
use crate::topology::{Ground, Network};
use crate::{Applied, ClusterError, Cut, Observation};

pub use iptables::Iptables;
pub use nft::Netlink;

/// Drops packets between nodes.
pub trait LinkPlane: Send + fmt::Debug {
    /// Returns the name for `run.json`.
    fn name(&self) -> &'static str;

    /// Replaces the cut as a whole, so that no packet sees half of it; the empty cut heals.
    fn apply(&mut self, cut: &Cut) -> Result<Applied, ClusterError>;
}

/// Which mechanism cuts links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firewall {
    /// One `iptables-restore` in the hub's FORWARD chain.
    Iptables,
    /// One netlink transaction on a set of nf_tables, in the bridge's family.
    Nft,
    /// The first where a probe packet proves that it bites on the bridge, else the second.
    #[default]
    Auto,
}

impl FromStr for Firewall {
    type Err = String;

    fn from_str(name: &str) -> Result<Firewall, String> {
        match name {
            "iptables" => Ok(Firewall::Iptables),
            "nft" => Ok(Firewall::Nft),
            "auto" => Ok(Firewall::Auto),
            _ => Err(format!("unknown firewall {name:?}: expected iptables, nft or auto")),
        }
    }
}

impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Firewall::Iptables => "iptables",
            Firewall::Nft => "nft",
            Firewall::Auto => "auto",
        })
    }
}

/// A mechanism, and why it is this one.
#[derive(Debug)]
pub struct Chosen {
    /// It, set up and healed.
    pub plane: Box<dyn LinkPlane>,
    /// Why, in a phrase for `run.json`: `asked for`, or what auto found.
    pub why: String,
}

/// Sets up the mechanism that was asked for, or that bites; and, where the network has proxies, these with it.
pub fn choose(firewall: Firewall, network: &Network) -> Result<Chosen, ClusterError> {
    let Some(proxies) = &network.proxies else {
        return match network.needs_proxies() {
            false => choose_firewall(firewall, network),
            true => Err(ClusterError::Other(
                "without namespaces links are cut by proxies in front of the nodes, and for those the system's page \
                 must say the port at which its nodes listen to each other: [net] peer_port"
                    .into(),
            )),
        };
    };
    let proxies = Arc::clone(proxies);
    if network.needs_proxies() {
        let why = "without namespaces there is no firewall of our own".into();
        return Ok(Chosen { plane: Box::new(ByProxies { proxies, packets: None }), why });
    }
    let Chosen { plane, why } = choose_firewall(firewall, network)?;
    let why = format!("{why}; the schedule asks for proxies too");
    Ok(Chosen { plane: Box::new(ByProxies { proxies, packets: Some(plane) }), why })
}

/// Cuts what passes the proxies, and, where there is a firewall, what passes beside them.
#[derive(Debug)]
struct ByProxies {
    proxies: Arc<Proxies>,
    packets: Option<Box<dyn LinkPlane>>,
}

impl LinkPlane for ByProxies {
    fn name(&self) -> &'static str {
        match &self.packets {
            None => "proxies",
            Some(_) => "proxies and a firewall",
        }
    }

    fn apply(&mut self, cut: &Cut) -> Result<Applied, ClusterError> {
        let started = Instant::now();
        let mut commands = vec![match cut.is_healed() {
            true => "# proxies: let everything pass".to_owned(),
            false => format!("# proxies: let nothing pass {}", arrows(cut)),
        }];
        self.proxies.cut(cut);
        if let Some(packets) = &mut self.packets {
            commands.extend(packets.apply(cut)?.commands);
        }
        Ok(Applied { took: started.elapsed(), commands })
    }
}

fn arrows(cut: &Cut) -> String {
    let pairs: Vec<String> = cut.pairs.iter().map(|(from, to)| format!("{from}→{to}")).collect();
    pairs.join(" ")
}

fn choose_firewall(firewall: Firewall, network: &Network) -> Result<Chosen, ClusterError> {
    let asked = |plane: Box<dyn LinkPlane>| Chosen { plane, why: "asked for".into() };
    match firewall {
        Firewall::Iptables => biting_iptables(network)
            .map(|plane| asked(Box::new(plane)))
            .map_err(|why| unavailable(Firewall::Iptables, &why)),
        Firewall::Nft => nft(network).map(|plane| asked(Box::new(plane))),
        Firewall::Auto => match biting_iptables(network) {
            Ok(plane) => {
                let why = "auto: a probe packet proves that it bites".into();
                Ok(Chosen { plane: Box::new(plane), why })
            }
            Err(why) => Ok(Chosen { plane: Box::new(nft(network)?), why: format!("auto: {why}") }),
        },
    }
}

fn nft(network: &Network) -> Result<Netlink, ClusterError> {
    Netlink::set_up(Addresses::of(network))
        .map_err(|error| unavailable(Firewall::Nft, &in_one_line(&error)))
}

fn unavailable(firewall: Firewall, why: &str) -> ClusterError {
    let other = match firewall {
        Firewall::Iptables | Firewall::Auto => Firewall::Nft,
        Firewall::Nft => Firewall::Iptables,
    };
    ClusterError::Other(format!(
        "--firewall {firewall} cannot cut links here: {why}. Try --firewall {other}, or auto; squall doctor says more"
    ))
}

/// Returns the first flavour of iptables whose rules are seen to drop a packet on the bridge.
fn biting_iptables(network: &Network) -> Result<Iptables, String> {
    let flavours = iptables::installed();
    let mut whys = Vec::new();
    for binary in flavours {
        let name = binary.display().to_string();
        let plane = Iptables::set_up(binary, Addresses::of(network));
        match plane.map_err(|error| in_one_line(&error)).and_then(|plane| bites(plane, network)) {
            Ok(plane) => return Ok(plane),
            Err(why) => whys.push(format!("{name}: {why}")),
        }
    }
    match whys.as_slice() {
        [] => Err("iptables-restore is not installed".into()),
        _ => Err(whys.join("; ")),
    }
}

/// Cuts one direction between two nodes, looks from the receivers' side, and heals.
fn bites<P: LinkPlane>(mut plane: P, network: &Network) -> Result<P, String> {
    let [from, to, ..] = network.places.as_slice() else {
        return Err("it takes two nodes to prove that it bites".into());
    };
    let cut = Cut { pairs: [(from.node.clone(), to.node.clone())].into() };
    let seen = |cut: &Cut, plane: &mut P| {
        plane.apply(cut).map_err(|error| in_one_line(&error))?;
        let Ground::Bridge { ears, .. } = &network.ground else {
            return Err("there is no bridge".to_owned());
        };
        match ears.probe(cut) {
            Observation::Confirmed(_) => Ok(()),
            Observation::Refuted(how) | Observation::Unclear(how) => Err(how),
        }
    };
    let bitten = seen(&cut, &mut plane);
    let healed = seen(&Cut::default(), &mut plane);
    bitten
        .and(healed)
        .map(|()| plane)
        .map_err(|how| format!("it does not bite on the bridge ({how})"))
}

/// Who lives where.
#[derive(Clone, Debug)]
struct Addresses(BTreeMap<NodeName, Ipv4Addr>);

impl Addresses {
    fn of(network: &Network) -> Addresses {
        Addresses(network.places.iter().map(|place| (place.node.clone(), place.ip)).collect())
    }

    /// Returns a cut's pairs as addresses.
    fn resolve(&self, cut: &Cut) -> Result<Vec<(Ipv4Addr, Ipv4Addr)>, ClusterError> {
        cut.pairs.iter().map(|(from, to)| Ok((self.ip(from)?, self.ip(to)?))).collect()
    }

    fn ip(&self, node: &NodeName) -> Result<Ipv4Addr, ClusterError> {
        let unknown = || ClusterError::Other(format!("there is no node {node} in this network"));
        self.0.get(node).copied().ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_firewall_gets_the_known_ones() {
        let error = "pf".parse::<Firewall>().expect_err("pf is unknown");
        assert_eq!(error, "unknown firewall \"pf\": expected iptables, nft or auto");
    }

    #[test]
    fn a_cut_of_a_stranger_is_refused() {
        let addresses = Addresses([("n1".into(), Ipv4Addr::new(10, 77, 0, 1))].into());
        let cut = Cut { pairs: [("n1".into(), "n9".into())].into() };
        let error = addresses.resolve(&cut).expect_err("n9 is unknown");
        assert_eq!(error.to_string(), "there is no node n9 in this network");
    }
}
