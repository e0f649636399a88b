//! What goes wrong: which faults hit whom and when, decided as data, and the thin shells that inject them.
//!
//! The story of a fault, file by file: [`plan()`] deals a timeline from the seed, or [`schedule_file`] reads one that a
//! person wrote. As the run goes, `agenda` says which fault is due, [`target`] turns a symbolic target such as "leader"
//! into nodes, and [`grudge`] turns a shape into the directed pairs to cut. `process` and `partition` decide which
//! commands that takes, given what other faults hold; `shell` runs them and probes from the victims' side; `journal`
//! writes down what was done. [`Nemesis`] drives all of it and ends with everything healed.
//!
//! Everything but `shell`, `journal`, `leader` and `run` is pure.

mod agenda;
mod command;
mod family;
pub mod grudge;
mod journal;
mod leader;
mod member;
mod partition;
mod plan;
mod process;
mod random;
mod run;
pub mod schedule_file;
mod shell;
pub mod target;
mod traffic;
mod upgrade;

pub use command::Cmd;
pub use family::{Assumption, Family, FamilyInfo, UnknownFamily, families, parse_families};
pub use journal::Journal;
pub use plan::{PlanSpec, Timing, default_interval, heal_by, plan};
pub use run::{Nemesis, NemesisError, NemesisReport, World};
pub use upgrade::Versions;
