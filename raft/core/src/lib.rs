//! Raft as a function: no clock, socket, file, thread or global randomness.
//!
//! # Raft on one page
//!
//! (After [the paper](https://raft.github.io/raft.pdf) and the thesis, whose sections are cited throughout.)
//!
//! A few servers keep the same log of commands, and each feeds its own state machine from it; so all of them are in
//! the same state, and any minority may fail. Time is cut into *terms*. In each, a majority elects at most one
//! *leader* (§5.2): a follower that hears nothing for a random while
//! stands, votes for itself and asks the others, each of whom has one vote a term and gives it only to somebody whose
//! log is at least as up to date as its own.
//!
//! The leader alone takes commands. It appends each to its log and sends it to the followers, together with the
//! position before it. A follower that has the same entry there takes the new ones, cutting off what contradicts them;
//! one that has not refuses, and the leader looks further back (§5.3). So two logs that agree at one place agree below
//! it. An entry of the leader's own term that is durable on a majority is *committed*, and with it all below: whoever
//! wins a later election needs a vote out of that majority, and so has the entry (§5.4).
//!
//! Reads need no entry. The leader notes how far its log is committed, makes sure with a round of heartbeats that it
//! still leads, and the read may be served wherever so much is applied (thesis §6.4).
//!
//! # A server is a state and a step
//!
//! [`Raft::step`] takes an [`Input`] (a tick, a message, a request, a notice of the disk) and returns [`Effects`]: what
//! the caller now owes, in order. Some messages may leave at once. Everything else waits until [`Persist`] is on disk,
//! because it claims what stands there: the other messages, the entries to apply, the answers. The shell around
//! (`raft/node`) owns sockets, files and clocks; the core only decides. Random numbers come from a seed, so the same
//! inputs give the same effects, always.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use squall_raft_core::{Config, Input, NodeId, Paper, Raft, Recovered, Role};
//!
//! let tick = Duration::from_millis(10);
//! let config = Config::new(NodeId(1), (1..=3).map(NodeId).collect(), tick);
//! let mut raft = Raft::new(config, Arc::new(Paper), Recovered::default(), 42);
//! // Nobody speaks to it, so after 150 to 300 ms it asks the others whether it could win.
//! let effects = loop {
//!     let effects = raft.step(Input::Tick);
//!     if !effects.send_now.is_empty() {
//!         break effects;
//!     }
//! };
//! assert_eq!(raft.status().role, Role::PreCandidate);
//! assert!(effects.persist.is_empty(), "a pre-vote claims nothing");
//! ```
//!
//! # Where to read
//!
//! | file | thesis | what |
//! |---|---|---|
//! | `types.rs`, `message.rs` | ch. 3 | terms, entries, the RPCs by their paper names |
//! | `effects.rs` | | the contract with the shell |
//! | `raft.rs` | §3.3 | the state, and the dispatch of a step |
//! | `election.rs` | §3.4, §9.6, §4.2.3 | elections, pre-vote, leaders that are left in peace |
//! | `replication.rs`, `progress.rs` | §3.5, §10.2.1, §6.2 | AppendEntries, pipelined; what a leader knows of a follower |
//! | `commit.rs`, `quorum.rs` | §3.6 | commitment and application; majorities |
//! | `read.rs` | §6.4 | ReadIndex, at leaders and followers |
//! | `log.rs` | §3.5, §5 | entries above a snapshot base |
//! | `rules.rs` | | the decisions on which safety rests, one small pure function each |
//! | `planted/` | | bugs that others had: each another implementation of one rule |
//! | `invariants.rs` | | laws within a state, and between two |
//! | `simulation/` | | whole clusters from a seed (feature `simulation`) |
//!
//! `tests/scripts/` tells the protocol in stories, `tests/paper.rs` follows Figure 2 and §5 sentence by sentence.
//!
//! # What departs from the paper, and what is not here
//!
//! A refusal names the conflicting term and its first index (§5.3, end), and the leader then looks for the match with
//! empty messages. Accepting and refusing are two messages, not one with a flag. Pre-vote and check-quorum are on
//! unless switched off.
//!
//! Not here yet: snapshots, membership change, leadership transfer, leases. They have their places: the log has a base,
//! entries have a kind, and the configuration in force is a value. A follower that needs what the leader no longer has
//! stays behind.
//!
//! Never here: results of commands, sessions of clients, and whatever a client may try again; these are the shell's.
#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

mod commit;
mod config;
mod effects;
mod election;
pub mod invariants;
pub mod log;
mod message;
pub mod planted;
pub mod progress;
pub mod quorum;
mod raft;
mod read;
mod replication;
pub mod rules;
#[cfg(feature = "simulation")]
pub mod simulation;
mod types;

pub use config::{Config, Recovered, SETTINGS, SettingError};
pub use effects::{Answer, Effects, Input, Persist, Role, Transition};
pub use log::Log;
pub use message::{Envelope, Message, Round};
pub use raft::{Raft, Status};
pub use rules::{Paper, Rules};
pub use types::{Entry, EntryKind, HardState, Index, Membership, NodeId, Position, Term, Token};
