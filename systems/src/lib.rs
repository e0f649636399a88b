//! The systems under test behind one door: a page of TOML says how a system is started and spoken to.
//!
//! [`SystemSpec`] is that page, [`plan()`] turns it into what the cluster starts, and [`SystemSpec::connect`] opens its
//! clients. The reference Raft is one system among others and has no private door.

mod attach;
mod attempt;
mod binary;
mod client_file;
pub mod etcd;
mod exec;
mod http;
mod http_client;
mod member;
mod member_file;
mod nodes;
mod plan;
pub mod reference;
pub mod resp;
pub mod rest;
mod service;
mod service_file;
mod spec;
mod spec_error;
mod spec_file;
mod states;
mod system;
pub mod template;
mod text;
mod version;
mod version_file;

pub use attach::{AttachSection, FreshKeys};
pub use binary::{MissingBinary, binary_hash, binary_path};
pub use nodes::Addresses;
pub use plan::{PlanError, Setup, Site, client_addresses, plan};
pub use service::{ServiceSection, plan_services};
pub use spec::{
    AdminCall, CLIENT_NAMES, ClientKind, ClientSection, DiskReader, Durability, LeaderClaim,
    MemberList, MemberSection, NODE_NAMES, NodeSection, ReadClaim, Ready, ReadyCheck, SystemClaims,
    SystemSpec, Timing, VERSION,
};
pub use spec_error::SpecError;
pub use states::{Said, StateProbe};
pub use version::VersionSection;
