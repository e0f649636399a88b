//! Cuts by netlink: a set of address pairs in nf_tables, replaced in one transaction.
//!
//! ```text
//! table bridge squall {
//!   set cut { type ipv4_addr . ipv4_addr; }
//!   chain forward {
//!     type filter hook forward priority 0; policy accept;
//!     meta protocol ip ip saddr . ip daddr @cut counter drop
//!   }
//! }
//! ```
//! It needs no binary, and a change takes some ten microseconds. Only what the bridge forwards passes this hook: traffic
//! between nodes, but none between nodes and harness.

use std::io;
use std::net::Ipv4Addr;
use std::time::Instant;

use super::{Addresses, LinkPlane};
use crate::netlink::{Batch, CREATE, EXCLUSIVE, Socket};
use crate::{Applied, ClusterError, Cut};

const TABLE: &str = "squall";
const SET: &str = "cut";
const CHAIN: &str = "forward";

// Messages: linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = nf_tables(0);
const DELETE_TABLE: u16 = nf_tables(2);
const NEW_CHAIN: u16 = nf_tables(3);
const NEW_RULE: u16 = nf_tables(6);
const NEW_SET: u16 = nf_tables(9);
const NEW_ELEMENTS: u16 = nf_tables(12);
const DELETE_ELEMENTS: u16 = nf_tables(14);
const SUBSYSTEM: u16 = 10;
const APPEND: u16 = 0x800;

// Attributes are numbered anew in each message and nest.
const TABLE_NAME: u16 = 1;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// Registers: the verdict, and the first two of 4 bytes, which together are the key of the set.
const VERDICT: u32 = 0;
const KEY_FROM: u32 = 8;
const KEY_TO: u32 = 9;

/// What user space calls a concatenation of two ipv4_addr: 7 each, 6 bits each.
const TWO_ADDRESSES: u32 = (7 << 6) | 7;

const fn nf_tables(message: u16) -> u16 {
    (SUBSYSTEM << 8) | message
}

/// An nfgenmsg: family (7: bridge), version, resource.
const BRIDGE_FAMILY: [u8; 4] = [7, 0, 0, 0];
const BATCH_OF_NF_TABLES: [u8; 4] = [0, 0, 0, SUBSYSTEM as u8];

/// The bridge's forward hook, the filter's priority, and the verdicts.
const HOOK_FORWARD: u32 = 2;
const PRIORITY_FILTER: u32 = 0;
const ACCEPT: u32 = 1;
const DROP: u32 = 0;

/// Cuts links by netlink.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    addresses: Addresses,
}

impl Netlink {
    /// Makes table, set, chain and rule in the network namespace of the calling thread, with nothing cut.
    pub(super) fn set_up(addresses: Addresses) -> io::Result<Netlink> {
        let mut socket = Socket::netfilter()?;
        socket.send(ruleset())?;
        Ok(Netlink { socket, addresses })
    }
}

impl LinkPlane for Netlink {
    fn name(&self) -> &'static str {
        "nft"
    }

    fn apply(&mut self, cut: &Cut) -> Result<Applied, ClusterError> {
        let pairs = self.addresses.resolve(cut)?;
        let started = Instant::now();
        self.socket.send(replacement(&pairs)).map_err(|source| ClusterError::Io {
            what: "replace",
            whom: format!("set {SET} of table bridge {TABLE}"),
            source,
        })?;
        Ok(Applied { took: started.elapsed(), commands: vec![command(&pairs)] })
    }
}

/// Returns a transaction of these messages: the kernel does all of it or nothing.
fn transaction(messages: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::default();
    batch.message(BATCH_BEGIN, 0, &BATCH_OF_NF_TABLES);
    messages(&mut batch);
    // The end itself is never answered, so the last change is.
    batch.acknowledge_here();
    batch.message(BATCH_END, 0, &BATCH_OF_NF_TABLES);
    batch
}

fn replacement(pairs: &[(Ipv4Addr, Ipv4Addr)]) -> Batch {
    transaction(|batch| {
        // Without elements, everything is deleted.
        elements(batch, DELETE_ELEMENTS, 0);
        if !pairs.is_empty() {
            elements(batch, NEW_ELEMENTS, CREATE).nest(3, |list| {
                for pair in pairs {
                    element(list, pair);
                }
            });
        }
    })
}

fn elements(batch: &mut Batch, message: u16, flags: u16) -> &mut Batch {
    batch.message(message, flags, &BRIDGE_FAMILY).text(1, TABLE).text(2, SET)
}

fn element(list: &mut Batch, (from, to): &(Ipv4Addr, Ipv4Addr)) {
    let key = [from.octets(), to.octets()].concat();
    list.nest(LIST_ELEMENT, |element| {
        element.nest(1, |data| {
            data.attribute(DATA_VALUE, &key);
        });
    });
}

fn ruleset() -> Batch {
    transaction(|batch| {
        // Made so that it can be deleted, whether or not an earlier network left one.
        batch.message(NEW_TABLE, CREATE, &BRIDGE_FAMILY).text(TABLE_NAME, TABLE);
        batch.message(DELETE_TABLE, 0, &BRIDGE_FAMILY).text(TABLE_NAME, TABLE);
        batch.message(NEW_TABLE, CREATE | EXCLUSIVE, &BRIDGE_FAMILY).text(TABLE_NAME, TABLE);
        set(batch);
        chain(batch);
        rule(batch);
    })
}

fn set(batch: &mut Batch) {
    const SET_NAME: u16 = 2;
    const FLAGS: u16 = 3;
    const KEY_TYPE: u16 = 4;
    const KEY_LENGTH: u16 = 5;
    const ID: u16 = 10;
    batch
        .message(NEW_SET, CREATE | EXCLUSIVE, &BRIDGE_FAMILY)
        .text(TABLE_NAME, TABLE)
        .text(SET_NAME, SET)
        .big(FLAGS, 0)
        .big(KEY_TYPE, TWO_ADDRESSES)
        .big(KEY_LENGTH, 8)
        .big(ID, 1);
}

fn chain(batch: &mut Batch) {
    const CHAIN_NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const TYPE: u16 = 7;
    batch
        .message(NEW_CHAIN, CREATE | EXCLUSIVE, &BRIDGE_FAMILY)
        .text(TABLE_NAME, TABLE)
        .text(CHAIN_NAME, CHAIN)
        .nest(HOOK, |hook| {
            hook.big(1, HOOK_FORWARD).big(2, PRIORITY_FILTER);
        })
        .big(POLICY, ACCEPT)
        .text(TYPE, "filter");
}

fn rule(batch: &mut Batch) {
    batch
        .message(NEW_RULE, CREATE | APPEND, &BRIDGE_FAMILY)
        .text(TABLE_NAME, TABLE)
        .text(2, CHAIN)
        .nest(4, |expressions| {
            is_ipv4(expressions);
            load_address(expressions, SOURCE_OFFSET, KEY_FROM);
            load_address(expressions, DESTINATION_OFFSET, KEY_TO);
            expression(expressions, "lookup", |lookup| {
                lookup.text(1, SET).big(2, KEY_FROM).big(4, 1);
            });
            expression(expressions, "counter", |_| {});
            expression(expressions, "immediate", |immediate| {
                immediate.big(1, VERDICT).nest(2, |data| {
                    data.nest(DATA_VERDICT, |verdict| {
                        verdict.big(1, DROP);
                    });
                });
            });
        });
}

fn expression(list: &mut Batch, name: &str, data: impl FnOnce(&mut Batch)) {
    list.nest(LIST_ELEMENT, |element| {
        element.text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data);
    });
}

/// A bridge forwards other protocols too, whose headers have no addresses at these offsets.
fn is_ipv4(expressions: &mut Batch) {
    const KEY_PROTOCOL: u32 = 1;
    const EQUAL: u32 = 0;
    const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
    expression(expressions, "meta", |meta| {
        meta.big(1, KEY_FROM).big(2, KEY_PROTOCOL);
    });
    expression(expressions, "cmp", |compare| {
        compare.big(1, KEY_FROM).big(2, EQUAL).nest(3, |data| {
            data.attribute(DATA_VALUE, &ETHERTYPE_IPV4);
        });
    });
}

/// Offsets in the IPv4 header, in bytes.
const SOURCE_OFFSET: u32 = 12;
const DESTINATION_OFFSET: u32 = 16;

fn load_address(expressions: &mut Batch, offset: u32, register: u32) {
    const NETWORK_HEADER: u32 = 1;
    expression(expressions, "payload", |payload| {
        payload.big(1, register).big(2, NETWORK_HEADER).big(3, offset).big(4, 4);
    });
}

/// What a person could paste to do the same.
fn command(pairs: &[(Ipv4Addr, Ipv4Addr)]) -> String {
    let flush = format!("flush set bridge {TABLE} {SET}");
    if pairs.is_empty() {
        return format!("nft '{flush}'");
    }
    let pairs: Vec<String> = pairs.iter().map(|(from, to)| format!("{from} . {to}")).collect();
    format!("nft '{flush}; add element bridge {TABLE} {SET} {{ {} }}'", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_printed_as_one_nft_command() {
        let pair = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2));
        assert_eq!(
            command(&[pair, (pair.1, pair.0)]),
            "nft 'flush set bridge squall cut; add element bridge squall cut \
             { 10.77.0.1 . 10.77.0.2, 10.77.0.2 . 10.77.0.1 }'"
        );
        assert_eq!(command(&[]), "nft 'flush set bridge squall cut'");
    }
}
