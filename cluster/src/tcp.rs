//! How TCP behaves between nodes.
//!
//! A connection that was cut for long is silent for as long again after the heal, because its retransmission timer has
//! backed off: an 8 s cut cost 5 s, a 17 s cut 9 s. Capped at a second, faults can follow each other quickly. With the
//! cap, 15 retries would run out after 15 s and close the connection, hence the other two settings. This changes the
//! world of the system under test, so it is recorded, and `realistic` leaves it alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// How TCP behaves between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tcp {
    /// Retransmission backs off to at most a second, and connections outlive long cuts.
    #[default]
    Capped,
    /// As the kernel does it by default.
    Realistic,
}

impl FromStr for Tcp {
    type Err = String;

    fn from_str(name: &str) -> Result<Tcp, String> {
        match name {
            "capped" => Ok(Tcp::Capped),
            "realistic" => Ok(Tcp::Realistic),
            _ => Err(format!("unknown TCP profile {name:?}: expected capped or realistic")),
        }
    }
}

/// The settings in force in every namespace, by name below `/proc/sys/net`; `unavailable` where this kernel lacks one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpProfile {
    /// Name to value.
    pub settings: BTreeMap<String, String>,
}

/// What is set: name below `/proc/sys/net` and value.
const CAPPED: [(&str, &str); 3] = [
    // Kernel 6.15 and later.
    ("ipv4/tcp_rto_max_ms", "1000"),
    ("ipv4/tcp_retries2", "255"),
    ("ipv4/tcp_syn_linear_timeouts", "30"),
];

/// Addresses are IPv4; without this, links chatter while they look for duplicate addresses.
const QUIET: [(&str, &str); 2] =
    [("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")];

/// What a value is where the kernel has no such setting.
const UNAVAILABLE: &str = "unavailable";

/// Applies a profile to the network namespace of the calling thread, and reports what is in force.
pub(crate) fn apply(tcp: Tcp) -> TcpProfile {
    for (name, value) in QUIET {
        let _ = fs::write(path(name), value);
    }
    if tcp == Tcp::Capped {
        for (name, value) in CAPPED {
            // What is in force is read back below, so a refusal shows there.
            let _ = fs::write(path(name), value);
        }
    }
    let in_force = |(name, _): &(&str, &str)| {
        let value = fs::read_to_string(path(name));
        let value = value.map_or_else(|_| UNAVAILABLE.into(), |text| text.trim().to_owned());
        (format!("net/{name}").replace('/', "."), value)
    };
    TcpProfile { settings: CAPPED.iter().chain(&QUIET).map(in_force).collect() }
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new("/proc/sys/net").join(name)
}
