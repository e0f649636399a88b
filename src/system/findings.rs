//! What a run shows of an adapter: what works, what is missing, and what that costs.

use std::collections::BTreeMap;

use squall_checker::{Verdict, replicas};
use squall_history::schedule::Timeline;
use squall_history::states::States;
use squall_history::{F, History, Manifest, Operation, Outcome};
use squall_systems::{ClientKind, DiskReader, SystemSpec};

use crate::exit_code::ExitCode;

/// How good one part of an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It works.
    Works,
    /// There is no such part, and none is needed.
    Absent,
    /// It should have shown, and did not.
    Missing,
    /// It does what it must not.
    Wrong,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) standing: Standing,
    pub(super) seen: String,
}

impl Finding {
    pub(super) fn new(what: &str, standing: Standing, seen: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), standing, seen: seen.into() }
    }
}

impl Standing {
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Works => "works",
            Standing::Absent => "absent",
            Standing::Missing => "MISSING",
            Standing::Wrong => "WRONG",
        }
    }
}

/// Returns what the whole table ends with, as far as it is not a verdict on the system.
pub(super) fn exit_code(findings: &[Finding]) -> ExitCode {
    let any = |standing| findings.iter().any(|finding| finding.standing == standing);
    if any(Standing::Wrong) {
        ExitCode::HarnessFailure
    } else if any(Standing::Missing) {
        ExitCode::Unknown
    } else {
        ExitCode::Valid
    }
}

/// The nodes' start.
pub(super) fn boot(system: &SystemSpec, manifest: &Manifest) -> Finding {
    let nodes = manifest.nodes.len();
    match manifest.moments.ready {
        Some(_) if system.attach.is_some() => {
            let seen = format!("{nodes} nodes were found; squall neither starts nor stops them");
            Finding::new("boot", Standing::Works, seen)
        }
        Some(at) => {
            let seen = format!("{nodes} nodes were ready after {:.0} ms", at.as_secs_f64() * 1e3);
            Finding::new("boot", Standing::Works, seen)
        }
        None => Finding::new("boot", Standing::Missing, "the nodes were never ready"),
    }
}

/// What runs beside the nodes, where the page names something. A run that loses it has no findings.
pub(super) fn services(system: &SystemSpec) -> Option<Finding> {
    let names: Vec<&str> = system.services.iter().map(|service| service.name.as_str()).collect();
    let seen = format!("ready before the nodes, and there until after them: {}", names.join(", "));
    (!names.is_empty()).then(|| Finding::new("services", Standing::Works, seen))
}

/// Each kind of operation that was tried.
pub(super) fn operations(history: &History) -> Vec<Finding> {
    let mut kinds: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history.operations() {
        kinds.entry(operation.op.f.name()).or_default().push(operation);
    }
    kinds.into_iter().map(|(name, operations)| kind(name, &operations)).collect()
}

/// Operations that the page does not claim.
pub(super) fn not_claimed(system: &SystemSpec) -> Vec<Finding> {
    let claims = &system.claims;
    let ops = [
        (F::Write, claims.write, "nothing is written"),
        (F::Cas, claims.cas, "--workload register cannot be used; read-write can"),
        (
            F::Append,
            claims.append && claims.dedup,
            "no exactly-once: --workload append cannot be used",
        ),
    ];
    let lacking = ops.into_iter().filter(|(_, claimed, _)| !claimed);
    lacking.map(|(f, _, cost)| Finding::new(f.name(), Standing::Absent, cost)).collect()
}

fn kind(name: &str, operations: &[&Operation]) -> Finding {
    let acknowledged =
        operations.iter().filter(|one| matches!(one.outcome, Outcome::Ok(_))).count();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in operations {
        match &operation.outcome {
            Outcome::Ok(_) => {}
            Outcome::Fail { error, .. } | Outcome::Info { error } => {
                *reasons.entry(&error.0).or_default() += 1;
            }
        }
    }
    // What a dead or paused node does to its clients says nothing of the adapter.
    let of_faults = ["refused", "timeout", "reset"];
    let often =
        reasons.into_iter().max_by_key(|(reason, count)| (!of_faults.contains(reason), *count));
    let mostly = often.map_or_else(String::new, |(reason, count)| format!(", {count} × {reason}"));
    let standing = if acknowledged > 0 { Standing::Works } else { Standing::Missing };
    let seen = format!("{acknowledged} of {} were acknowledged{mostly}", operations.len());
    Finding::new(name, standing, seen)
}

/// Each family of faults, and whether the system served afterwards.
pub(super) fn faults(
    system: &SystemSpec,
    manifest: &Manifest,
    timeline: &Timeline,
    history: &History,
) -> Vec<Finding> {
    let families = ["kill", "pause", "partition"];
    let missing = match system.attach {
        Some(_) if manifest.nodes.len() > 1 => "[attach] has no command for it",
        _ => "one node has no links to cut",
    };
    families.map(|family| fault((family, missing), manifest, timeline, history)).into()
}

fn fault(
    (family, missing): (&str, &str),
    manifest: &Manifest,
    timeline: &Timeline,
    history: &History,
) -> Finding {
    let what = match family {
        "kill" => "kill and restart",
        "upgrade" => "versions",
        "member" => "membership",
        other => other,
    };
    if let Some(why) = manifest.unavailable.get(family) {
        return Finding::new(what, Standing::Absent, format!("this machine cannot: {why}"));
    }
    if !manifest.nemesis.iter().any(|name| name == family) {
        return Finding::new(what, Standing::Absent, missing);
    }
    let installed: Vec<_> = timeline
        .faults
        .iter()
        .filter(|fault| fault.family == family && fault.is_installed())
        .collect();
    let served = installed.iter().filter_map(|fault| fault.to).any(|healed| {
        let later = |one: &&Operation| one.invoke_time >= healed;
        let ok = |one: &Operation| matches!(one.outcome, Outcome::Ok(_));
        history.operations().iter().filter(later).any(ok)
    });
    match (installed.len(), served) {
        (0, _) => Finding::new(what, Standing::Missing, "no such fault took hold"),
        (count, true) => {
            let seen =
                format!("took hold {count} times, and operations were acknowledged after it");
            Finding::new(what, Standing::Works, seen)
        }
        (_, false) => Finding::new(what, Standing::Missing, "nothing was acknowledged after it"),
    }
}

/// Whether members are changed while an adapter is looked at: then no files of nodes are read, and a page that names a
/// reader wants that seen.
pub(super) fn tries_members(system: &SystemSpec) -> bool {
    let can = system.attach.is_none() && system.changes_members();
    can && system.reader == DiskReader::None
}

/// Nodes that leave the cluster and come back, where the page says how.
pub(super) fn members(
    system: &SystemSpec,
    manifest: &Manifest,
    timeline: &Timeline,
    history: &History,
) -> Option<Finding> {
    let lost = manifest.settings.iter().find(|(name, _)| name.ends_with(" is no member"));
    match (system.changes_members(), lost) {
        (false, _) => None,
        (true, Some((_, why))) => Some(Finding::new("membership", Standing::Missing, why.clone())),
        (true, None) if !tries_members(system) => {
            let cost = "not tried here, where files of nodes are read: --nemesis member does";
            Some(Finding::new("membership", Standing::Absent, cost))
        }
        (true, None) if manifest.nodes.len() < 3 => {
            let cost = "of fewer than 3 nodes, none can be spared";
            Some(Finding::new("membership", Standing::Absent, cost))
        }
        (true, None) => {
            let missing = "no member was removed";
            Some(fault(("member", missing), manifest, timeline, history))
        }
    }
}

/// Nodes that come back as the next version, where the page has some.
pub(super) fn versions(
    system: &SystemSpec,
    manifest: &Manifest,
    timeline: &Timeline,
    history: &History,
) -> Option<Finding> {
    let names = system.node.version_names();
    let (first, last) = (names.first()?, names.last()?);
    let mut finding = fault(("upgrade", "no upgrade was tried"), manifest, timeline, history);
    finding.seen = format!("{first} to {last}: {}", finding.seen);
    Some(finding)
}

/// The setting in which a run writes down who led before its final reads.
pub(crate) const LEADER: &str = "leader before the final reads";

/// Who leads.
pub(super) fn leader(system: &SystemSpec, manifest: &Manifest) -> Finding {
    let what = "leader probe";
    if !system.tells_its_leader() {
        let cost = "faults aimed at the leader hit nobody; kind http can say leader = { … }";
        return Finding::new(what, Standing::Absent, cost);
    }
    match manifest.settings.get(LEADER) {
        Some(leader) => Finding::new(what, Standing::Works, format!("{leader} led at the end")),
        None => Finding::new(what, Standing::Missing, "nobody said that it leads"),
    }
}

/// What nodes say of their states, and whether it would be noticed if one were in another.
pub(super) fn states(system: &SystemSpec, said: Option<&States>) -> Finding {
    let what = "state digests";
    let Some(said) = said else {
        let cost = match system.client.kind {
            ClientKind::Http(_) => "replicas are not compared; kind http can say digest = { … }",
            ClientKind::Squall | ClientKind::Etcd | ClientKind::Resp(_) | ClientKind::Exec(_) => {
                "replicas are not compared while they live"
            }
        };
        return Finding::new(what, Standing::Absent, cost);
    };
    if said.answers.len() < 2 {
        return Finding::new(what, Standing::Absent, "one node has no replicas");
    }
    let row = replicas::judge(said, None);
    match row.verdict {
        Verdict::Valid if is_found_out(said) => {
            let seen = format!("{}; found out: one that was changed", row.summary);
            Finding::new(what, Standing::Works, seen)
        }
        Verdict::Valid => {
            Finding::new(what, Standing::Wrong, "NOT found out: one that was changed")
        }
        Verdict::Invalid => Finding::new(what, Standing::Works, row.summary),
        Verdict::NotJudged | Verdict::Unknown => {
            let why = row.not_judged.first().unwrap_or(&row.summary);
            Finding::new(what, Standing::Missing, why)
        }
    }
}

/// Changes the state of one node, and returns whether that is noticed. A node that is alone with its position proves nothing.
fn is_found_out(said: &States) -> bool {
    (0..said.answers.len()).any(|at| {
        let mut damaged = said.clone();
        if let Ok(state) = &mut damaged.answers[at].state {
            state.digest.push('!');
        }
        replicas::judge(&damaged, None).verdict == Verdict::Invalid
    })
}

/// What nodes say of themselves.
pub(super) fn trace(files: usize) -> Finding {
    if files > 0 {
        return Finding::new("trace", Standing::Works, format!("{files} files, one a boot"));
    }
    let cost =
        "Raft's own properties are not judged; docs/trace.md says what to write to $SQUALL_TRACE";
    Finding::new("trace", Standing::Absent, cost)
}
