//! Runs in which the cluster's members change: what that takes, and what it costs in checks.

use squall_history::schedule::Planned;
use squall_history::{Claim, Manifest};
use squall_nemesis::Family;
use squall_systems::{DiskReader, SystemSpec};

use crate::failure::Failure;

/// What is judged by what clients saw and living nodes say, whoever the members were.
const BY_CLIENTS: [Claim; 4] =
    [Claim::Linearizable, Claim::Positions, Claim::ReplicaStates, Claim::Exercised];

/// Refuses changes of members where the page does not say how, or the nodes are somebody else's.
pub(crate) fn check(families: &[Family], system: &SystemSpec) -> Result<(), Failure> {
    if !families.contains(&Family::Member) {
        return Ok(());
    }
    let why = match (system.changes_members(), &system.attach) {
        (true, None) => return Ok(()),
        (false, _) => "has no [member] add and remove",
        (true, Some(_)) => {
            "is of nodes that somebody else started, whose data squall does not wipe"
        }
    };
    let error = anyhow::anyhow!("member faults cannot be had: the page of {} {why}", system.name);
    Err(Failure::bad_input(error).hint("docs/adapters.md says what a page needs for them"))
}

/// Returns whether members change in a plan.
pub(crate) fn change_in(plan: &[Planned]) -> bool {
    plan.iter().any(|planned| planned.fault.family() == Family::Member.name())
}

/// Leaves clients as the only judges. Checks of logs, votes and quorums know one set of members, whose disks nobody
/// wiped; a node that comes back empty under its old name would look like one that has forgotten what it promised.
pub(crate) fn leave_to_clients(system: &mut SystemSpec, manifest: &mut Manifest) {
    system.reader = DiskReader::None;
    manifest.claims.retain(|claim| BY_CLIENTS.contains(claim));
    let told = "members change, so that only what clients saw is judged";
    manifest.settings.insert("members".to_owned(), told.to_owned());
}
