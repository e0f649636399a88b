//! The versions of a system in one run: which node starts as which, which faults change that, and what was run.

use std::collections::BTreeMap;

use squall_cluster::{NodePlan, Sandboxed};
use squall_history::{Manifest, NodeName};
use squall_nemesis::{Family, Versions};
use squall_systems::{SystemSpec, binary_hash, binary_path};

use crate::failure::Failure;

/// Returns the versions that nodes roll through.
pub(crate) fn of(system: &SystemSpec) -> Versions {
    Versions { names: system.node.version_names(), downgrade: system.node.downgrade }
}

/// Reads `--versions n1=3.4.23,n2=3.5.35`. Nodes that are not named start as the first version.
pub(crate) fn initial(
    text: Option<&str>,
    system: &SystemSpec,
    nodes: usize,
) -> Result<BTreeMap<NodeName, String>, Failure> {
    let Some(text) = text else { return Ok(BTreeMap::new()) };
    let known = system.node.version_names();
    if known.is_empty() {
        let error = anyhow::anyhow!("--versions {text}: {} has no [node.versions]", system.name);
        return Err(Failure::bad_input(error));
    }
    let names: Vec<String> = (1..=nodes).map(|n| format!("n{n}")).collect();
    let mut initial = BTreeMap::new();
    for pair in text.split(',').map(str::trim) {
        let Some((node, version)) = pair.split_once('=') else {
            let error = anyhow::anyhow!(
                "--versions {pair}: expected NODE=VERSION, such as n1={}",
                known[0]
            );
            return Err(Failure::bad_input(error));
        };
        if !names.iter().any(|name| name == node) {
            return Err(Failure::unknown("node", node, names.iter().map(String::as_str)));
        }
        if !known.iter().any(|name| name == version) {
            return Err(Failure::unknown("version", version, known.iter().map(String::as_str)));
        }
        initial.insert(NodeName::from(node), version.to_owned());
    }
    Ok(initial)
}

/// Adds upgrades to `all` where the page has versions, and refuses them where it has none.
pub(crate) fn families(
    text: &str,
    mut families: Vec<Family>,
    system: &SystemSpec,
) -> Result<Vec<Family>, Failure> {
    let has_versions = !system.node.versions.is_empty();
    if families.contains(&Family::Upgrade) && !has_versions {
        let error = anyhow::anyhow!(
            "--nemesis {text}: upgrade needs versions, and the page of {} has no [node.versions]",
            system.name
        );
        return Err(Failure::bad_input(error).hint("docs/adapters.md says how to write one"));
    }
    let is_all = text.split(',').any(|word| word.trim() == "all");
    if is_all && has_versions && !families.contains(&Family::Upgrade) {
        families.push(Family::Upgrade);
    }
    Ok(families)
}

/// Writes down which binary each version is.
pub(crate) fn note_binaries(plans: &[NodePlan], manifest: &mut Manifest) {
    for version in plans.first().into_iter().flat_map(|plan| &plan.versions) {
        let path = version.argv.first().and_then(|program| binary_path(program));
        let hash = path.and_then(|path| binary_hash(&path).ok()).unwrap_or_default();
        manifest.system.versions.insert(version.name.clone(), hash);
    }
}

/// Writes down which version each boot ran so far.
pub(crate) fn note_boots(cluster: &Sandboxed, manifest: &mut Manifest) {
    manifest.system.boots = cluster.versions_run();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd() -> SystemSpec {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/systems/etcd-upgrade.toml");
        SystemSpec::read(page.as_ref()).expect("the page is right")
    }

    #[test]
    fn nodes_start_as_the_versions_that_the_flag_gives_them() {
        let read = |text: &str| initial(Some(text), &etcd(), 3);
        let given = read("n1=3.5.35, n3=3.4.23").expect("both are known");
        assert_eq!(given.len(), 2);
        assert_eq!(given[&"n1".into()], "3.5.35");
        for wrong in ["n1", "n4=3.5.35", "n1=3.6", ""] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert!(initial(Some("n1=a"), &SystemSpec::reference(), 3).is_err());
        assert!(initial(None, &SystemSpec::reference(), 3).is_ok_and(|all| all.is_empty()));
    }

    #[test]
    fn upgrades_are_part_of_all_where_there_are_versions_and_refused_where_there_are_none() {
        let common = Family::COMMON.to_vec();
        let all = families("all", common.clone(), &etcd()).expect("versions");
        assert!(all.contains(&Family::Upgrade));
        let named = families("kill,pause", common.clone(), &etcd()).expect("versions");
        assert_eq!(named, common);
        let reference = SystemSpec::reference();
        assert_eq!(families("all", common.clone(), &reference).expect("no upgrades"), common);
        assert!(families("upgrade", vec![Family::Upgrade], &reference).is_err());
    }
}
