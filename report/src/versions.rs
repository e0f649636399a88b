//! Which versions the nodes of a run ran, for systems that have several.

use squall_history::SystemInfo;

/// Returns a line for each version's binary, and one for each node: what its boots ran, from the first on.
pub(crate) fn versions(system: &SystemInfo) -> Vec<(String, String)> {
    let binaries = system.versions.iter();
    let mut lines: Vec<(String, String)> = binaries
        .map(|(version, hash)| (format!("binary sha256 of {version}"), hash.clone()))
        .collect();
    let boots = system.boots.iter();
    lines.extend(boots.map(|(node, ran)| (format!("{node} ran"), in_a_row(ran))));
    lines
}

/// Prints `3.4.23 (2 boots), 3.5.35`.
fn in_a_row(ran: &[String]) -> String {
    let runs = ran.chunk_by(|earlier, later| earlier == later);
    let each: Vec<String> = runs
        .filter_map(|run| match run {
            [] => None,
            [once] => Some(once.clone()),
            [first, ..] => Some(format!("{first} ({} boots)", run.len())),
        })
        .collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_of_one_version_in_a_row_are_told_together() {
        let boots = ["a", "a", "b", "a"].map(str::to_owned).to_vec();
        let system = SystemInfo {
            versions: [("a".to_owned(), "17".to_owned())].into(),
            boots: [("n1".into(), boots)].into(),
            ..SystemInfo::default()
        };
        let lines = versions(&system);
        assert_eq!(lines[0], ("binary sha256 of a".to_owned(), "17".to_owned()));
        assert_eq!(lines[1], ("n1 ran".to_owned(), "a (2 boots), b, a".to_owned()));
        assert!(versions(&SystemInfo::default()).is_empty());
    }
}
