//! Reads the plan that `--schedule FILE` names: written by a person, or the `schedule.jsonl` of a run.
//!
//! The format is [`squall_history::schedule`]'s. What a run has added (who was hit, what came of it) is passed over. A
//! person makes mistakes, so each message names the line, what was expected there and, for a typo, the nearest word.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};
use squall_history::NodeName;
use squall_history::jsonl::Header;
use squall_history::schedule::{
    Condition, Ending, FORMAT, Fault, Pick, Planned, Shape, Target, Trigger, duration,
};

use crate::Family;
use crate::agenda::cause;
use crate::family::nearest;

/// A plan from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleFile {
    /// The faults, in the order of the file.
    pub plan: Vec<Planned>,
    /// The last line was cut off, is no plan, and has been left out.
    pub torn: Option<u32>,
}

/// Says what is wrong with a schedule, and where.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The file could not be read.
    #[error("failed to read the schedule {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{file}:{line}: {why}")]
    Line {
        /// Which file.
        file: String,
        /// Which line, counted from 1.
        line: u32,
        /// What is wrong, and what was expected.
        why: String,
    },
}

/// Reads a file for a cluster of these nodes, whose system has these versions.
pub fn load(
    path: &Path,
    nodes: &[NodeName],
    versions: &[String],
) -> Result<ScheduleFile, ScheduleError> {
    let name = path.display().to_string();
    let bytes =
        fs::read(path).map_err(|source| ScheduleError::Read { path: name.clone(), source })?;
    parse(&name, &String::from_utf8_lossy(&bytes), nodes, versions)
}

/// Reads the text of a file, whose name is for messages.
pub fn parse(
    file: &str,
    text: &str,
    nodes: &[NodeName],
    versions: &[String],
) -> Result<ScheduleFile, ScheduleError> {
    let at = |line, why| ScheduleError::Line { file: file.to_owned(), line, why };
    let mut lines = (1..).zip(text.split_inclusive('\n'));
    check_header(lines.next().map_or("", |(_, line)| line)).map_err(|why| at(1, why))?;
    let mut plan = Vec::new();
    let mut numbers = BTreeMap::new();
    let mut torn = None;
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(value) => {
                let Some(planned) = planned_line(&value, nodes).map_err(|why| at(number, why))?
                else {
                    continue;
                };
                check_versions(&planned, versions).map_err(|why| at(number, why))?;
                if let Some(first) = numbers.insert(planned.id, number) {
                    let why = format!("id {} stands on line {first} already", planned.id);
                    return Err(at(number, why));
                }
                plan.push(planned);
            }
            Err(_) if is_torn(line) => torn = Some(number),
            Err(error) => return Err(at(number, format!("expected a line of JSON: {error}"))),
        }
    }
    check_references(&plan).map_err(|(id, why)| at(numbers[&id], why))?;
    Ok(ScheduleFile { plan, torn })
}

/// A run that was cut off tears its last line, which tells what came of a fault. A torn plan would be another plan.
fn is_torn(line: &str) -> bool {
    !line.ends_with('\n') && !line.contains("\"plan\"")
}

fn check_header(line: &str) -> Result<(), String> {
    match serde_json::from_str::<Header>(line) {
        Ok(header) if header.squall == FORMAT => Ok(()),
        Ok(_) | Err(_) => {
            let found: String = line.trim().chars().take(80).collect();
            Err(format!("expected {{\"squall\":\"{FORMAT}\"}} in the first line, found {found:?}"))
        }
    }
}

/// Reads a line; none where it is of a run and not of a plan.
fn planned_line(value: &Value, nodes: &[NodeName]) -> Result<Option<Planned>, String> {
    let (key, inner) = single("a line such as {\"plan\":{…}}", value)?;
    known("line", key, &["plan", "resolved", "outcome"])?;
    if key != "plan" {
        return Ok(None);
    }
    let fields = inner.as_object().ok_or("expected an object after \"plan\"")?;
    check_fields(fields)?;
    let planned: Planned =
        serde_json::from_value(inner.clone()).map_err(|error| error.to_string())?;
    check_nodes(&planned, nodes)?;
    Ok(Some(planned))
}

const FIELDS: [&str; 16] = [
    "id", "at", "after", "delay", "fault", "shape", "version", "signal", "target", "to", "by",
    "jitter", "ramp", "for", "until", "note",
];

/// Every fault that a schedule may name: the families, and what directed recipes do to single links.
const FAULTS: [&str; 8] =
    ["kill", "pause", "partition", "upgrade", "member", "delay", "hold", "drop"];

/// Looks at each field by hand, because serde does not say what it expected of flattened ones.
fn check_fields(fields: &Map<String, Value>) -> Result<(), String> {
    for name in fields.keys() {
        known("field", name, &FIELDS)?;
    }
    let id = required(fields, "id", "1")?;
    if id.as_u64().is_none_or(|id| id == 0 || id > u64::from(u32::MAX)) {
        return Err(format!("expected a number from 1 on as \"id\", found {id}"));
    }
    check_trigger(fields)?;
    check_fault(fields)?;
    check_target(required(fields, "target", "\"leader\"")?)?;
    check_duration("for", required(fields, "for", "\"1s\"")?)?;
    if let Some(delay) = fields.get("delay") {
        check_duration("delay", delay)?;
    }
    if let Some(until) = fields.get("until") {
        check_condition("until", until)?;
    }
    Ok(())
}

fn required<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    example: &str,
) -> Result<&'a Value, String> {
    fields.get(name).ok_or_else(|| format!("expected a field such as \"{name}\":{example}"))
}

fn check_trigger(fields: &Map<String, Value>) -> Result<(), String> {
    match (fields.get("at"), fields.get("after")) {
        (Some(at), None) => check_duration("at", at),
        (None, Some(after)) => check_condition("after", after),
        (None, None) => Err("expected \"at\":\"2s\" or \"after\":{\"healed\":1}".to_owned()),
        (Some(_), Some(_)) => Err("expected either \"at\" or \"after\", found both".to_owned()),
    }
}

fn check_duration(name: &str, value: &Value) -> Result<(), String> {
    let text = value.as_str().ok_or_else(|| {
        format!("expected a duration such as \"{name}\":\"500ms\", found {value}")
    })?;
    duration::parse(text).map(|_| ()).map_err(|why| format!("\"{name}\": {why}"))
}

fn check_fault(fields: &Map<String, Value>) -> Result<(), String> {
    let fault = required(fields, "fault", "\"kill\"")?;
    let word = fault.as_str().ok_or_else(|| format!("expected a fault by name, found {fault}"))?;
    known("fault", word, &FAULTS)?;
    check_link(fields, word)?;
    check_upgrade(fields, word)?;
    match (word == Family::Partition.name(), fields.get("shape")) {
        (false, None) => Ok(()),
        (false, Some(_)) => Err(format!("\"shape\" is of partitions; a {word} has none")),
        (true, None) => Err("expected a field such as \"shape\":\"isolate\"".to_owned()),
        (true, Some(shape)) => {
            let word = shape.as_str().unwrap_or_default();
            known("shape", word, &Shape::ALL.map(Shape::name))
        }
    }
}

/// Looks at the fields of upgrades.
fn check_upgrade(fields: &Map<String, Value>, fault: &str) -> Result<(), String> {
    for name in ["version", "signal"] {
        let Some(value) = fields.get(name) else { continue };
        if fault != Family::Upgrade.name() {
            return Err(format!("\"{name}\" is of upgrades; a {fault} has none"));
        }
        let word = value
            .as_str()
            .ok_or_else(|| format!("expected a word as \"{name}\", found {value}"))?;
        if name == "signal" {
            known("signal", word, &Ending::ALL.map(Ending::name))?;
        }
    }
    Ok(())
}

/// Looks whether the system has the versions that an upgrade needs.
fn check_versions(planned: &Planned, versions: &[String]) -> Result<(), String> {
    let Fault::Upgrade { version, .. } = &planned.fault else { return Ok(()) };
    if versions.is_empty() {
        return Err("an upgrade needs a system whose page lists [node.versions]".to_owned());
    }
    let words: Vec<&str> = versions.iter().map(String::as_str).collect();
    version.as_deref().map_or(Ok(()), |version| known("version", version, &words))
}

/// Looks at the fields of faults of single links.
fn check_link(fields: &Map<String, Value>, fault: &str) -> Result<(), String> {
    let is_link = matches!(fault, "delay" | "hold" | "drop");
    if is_link {
        let to = required(fields, "to", "\"leader\"")?;
        check_target(to).map_err(|why| format!("\"to\": {why}"))?;
    }
    for name in ["by", "jitter", "ramp"] {
        match fields.get(name) {
            Some(_) if fault != "delay" => {
                return Err(format!("\"{name}\" is of delays; a {fault} has none"));
            }
            Some(value) => check_duration(name, value)?,
            None if name == "by" && fault == "delay" => {
                return Err("expected a field such as \"by\":\"300ms\"".to_owned());
            }
            None => {}
        }
    }
    match fields.get("to") {
        Some(_) if !is_link => {
            Err(format!("\"to\" is of delay, hold and drop; a {fault} has none"))
        }
        Some(_) | None => Ok(()),
    }
}

const TARGETS: [&str; 7] = ["one", "minority", "majority", "all", "leader", "random", "not-leader"];

fn check_target(target: &Value) -> Result<(), String> {
    if let Some(word) = target.as_str() {
        return known("target", word, &TARGETS);
    }
    let example = "a target such as \"leader\", {\"nodes\":[\"n1\"]} or {\"previous\":1}";
    let (key, inner) = single(example, target)?;
    known("target", key, &["nodes", "previous", "pick"])?;
    let read = serde_json::from_value::<Target>(target.clone());
    read.map(|_| ()).map_err(|error| format!("\"{key}\": found {inner}: {error}"))
}

const CONDITIONS: [&str; 7] = [
    "leader-elected",
    "leads",
    "acknowledged",
    "installed",
    "healed",
    "elected-after",
    "leads-after",
];

fn check_condition(name: &str, condition: &Value) -> Result<(), String> {
    let example = format!("a condition such as \"{name}\":{{\"healed\":1}}");
    let (key, inner) = single(&example, condition)?;
    known("condition", key, &CONDITIONS)?;
    let read = serde_json::from_value::<Condition>(condition.clone());
    read.map(|_| ()).map_err(|error| format!("\"{key}\": found {inner}: {error}"))
}

/// Returns the one entry of an object.
fn single<'a>(expected: &str, value: &'a Value) -> Result<(&'a str, &'a Value), String> {
    let object = value.as_object().filter(|object| object.len() == 1);
    let entry = object.and_then(|object| object.iter().next());
    entry
        .map(|(key, value)| (key.as_str(), value))
        .ok_or_else(|| format!("expected {expected}, found {value}"))
}

fn known(what: &str, word: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&word) {
        return Ok(());
    }
    let hint = nearest(word, words.iter().copied())
        .map(|name| format!("; did you mean {name:?}?"))
        .unwrap_or_default();
    Err(format!("unknown {what} {word:?}{hint}; expected one of {}", words.join(", ")))
}

fn check_nodes(planned: &Planned, nodes: &[NodeName]) -> Result<(), String> {
    let conditions = conditions(planned);
    let leads = conditions.iter().filter_map(|condition| match condition {
        Condition::Leads(node) => Some(node),
        Condition::LeaderElected(_)
        | Condition::Acknowledged(_)
        | Condition::Installed(_)
        | Condition::Healed(_)
        | Condition::ElectedAfter(_)
        | Condition::LeadsAfter(_) => None,
    });
    let mut named: Vec<&NodeName> = Vec::new();
    for target in targets(planned) {
        match target {
            Target::Nodes(none) if none.is_empty() => {
                return Err("expected at least one node in \"nodes\"".to_owned());
            }
            Target::Nodes(nodes) => named.extend(nodes),
            _ => {}
        }
    }
    let words: Vec<_> = nodes.iter().map(|node| &*node.0).collect();
    leads.chain(named).try_for_each(|node| known("node", &node.0, &words))
}

/// Returns whom a fault hits, and who is on the other end.
fn targets(planned: &Planned) -> impl Iterator<Item = &Target> {
    std::iter::once(&planned.target).chain(planned.fault.receivers())
}

fn conditions(planned: &Planned) -> Vec<&Condition> {
    let trigger = match &planned.trigger {
        Trigger::At(_) => None,
        Trigger::After(condition) => Some(condition),
    };
    trigger.into_iter().chain(&planned.until).collect()
}

/// Looks whether every fault that another one refers to exists, and whether each can begin at all.
fn check_references(plan: &[Planned]) -> Result<(), (u32, String)> {
    let by_id: BTreeMap<_, _> = plan.iter().map(|planned| (planned.id, planned)).collect();
    for planned in plan {
        for id in references(planned) {
            if !by_id.contains_key(&id) {
                return Err((planned.id, format!("there is no fault with id {id}")));
            }
        }
        if waits_for_itself(planned, &by_id) {
            let why = "the fault waits, by way of others, for itself".to_owned();
            return Err((planned.id, why));
        }
    }
    Ok(())
}

fn references(planned: &Planned) -> Vec<u32> {
    let mut ids: Vec<_> = conditions(planned).into_iter().filter_map(cause).collect();
    for target in targets(planned) {
        match target {
            Target::Previous(id) => ids.push(*id),
            Target::Pick(Pick { of, not, .. }) => ids.extend(of.iter().chain(not)),
            _ => {}
        }
    }
    ids
}

fn waits_for_itself(planned: &Planned, by_id: &BTreeMap<u32, &Planned>) -> bool {
    let mut next = waits_for(planned);
    for _ in 0..by_id.len() {
        match next {
            None => return false,
            Some(id) if id == planned.id => return true,
            Some(id) => next = by_id.get(&id).and_then(|planned| waits_for(planned)),
        }
    }
    false
}

fn waits_for(planned: &Planned) -> Option<u32> {
    match &planned.trigger {
        Trigger::At(_) => None,
        Trigger::After(condition) => cause(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<NodeName> {
        ["n1", "n2", "n3"].map(NodeName::from).to_vec()
    }

    fn versions() -> Vec<String> {
        ["1.0", "2.0"].map(str::to_owned).to_vec()
    }

    fn read(lines: &str) -> Result<ScheduleFile, String> {
        let text = format!("{{\"squall\":\"schedule/1\"}}\n{lines}");
        parse("f", &text, &nodes(), &versions()).map_err(|error| error.to_string())
    }

    fn complaint(line: &str) -> String {
        read(line).unwrap_err()
    }

    #[test]
    fn a_plan_is_read_and_what_a_run_added_is_passed_over() {
        let file = read(
            r#"{"plan":{"id":1,"at":"2s","fault":"kill","target":"leader","for":"1s"}}

{"plan":{"id":2,"after":{"healed":1},"delay":"5ms","fault":"partition","shape":"bridge","target":{"nodes":["n2"]},"for":"1s","until":{"leads":"n3"},"note":"why"}}
{"resolved":{"id":1,"time":2,"nodes":["n2"]}}
{"outcome":{"id":1,"phase":"install","time":3,"result":"installed"}}
"#,
        )
        .unwrap();

        assert_eq!(file.plan.len(), 2);
        assert_eq!(file.plan[1].note.as_deref(), Some("why"));
        assert_eq!(file.torn, None);
    }

    #[test]
    fn typos_get_the_nearest_word_and_the_line() {
        let typos = [
            ("\"fault\":\"kil\"", "unknown fault \"kil\"; did you mean \"kill\"?"),
            ("\"fault\":\"kill\",\"dealy\":\"1s\"", "did you mean \"delay\"?"),
        ];
        for (fault, expected) in typos {
            let line =
                format!(r#"{{"plan":{{"id":1,"at":"2s",{fault},"target":"one","for":"1s"}}}}"#);
            let error = complaint(&line);
            assert!(error.starts_with("f:2: ") && error.contains(expected), "{error}");
        }
        let error =
            complaint(r#"{"plan":{"id":1,"at":"2s","fault":"kill","target":"leadr","for":"1s"}}"#);
        assert!(error.contains("did you mean \"leader\"?"), "{error}");
        let error = complaint(
            r#"{"plan":{"id":1,"at":"2s","fault":"partition","shape":"isolat","target":"one","for":"1s"}}"#,
        );
        assert!(error.contains("did you mean \"isolate\"?"), "{error}");
        let error = complaint(
            r#"{"plan":{"id":1,"after":{"heald":1},"fault":"kill","target":"one","for":"1s"}}"#,
        );
        assert!(error.contains("did you mean \"healed\"?"), "{error}");
        let error = complaint(
            r#"{"plan":{"id":1,"at":"2s","fault":"kill","target":{"nodes":["n11"]},"for":"1s"}}"#,
        );
        assert!(error.contains("unknown node \"n11\"; did you mean"), "{error}");
        let error = complaint(r#"{"pln":{}}"#);
        assert!(error.contains("did you mean \"plan\"?"), "{error}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_an_example() {
        let wrong = [
            (r#""at":"2s","fault":"kill","target":"one","for":"1s""#, "such as \"id\":1"),
            (r#""id":1,"fault":"kill","target":"one","for":"1s""#, "expected \"at\":\"2s\" or"),
            (r#""id":1,"at":"2s","fault":"kill","target":"one""#, "such as \"for\":\"1s\""),
            (r#""id":1,"at":"2s","fault":"kill","for":"1s""#, "such as \"target\":\"leader\""),
            (r#""id":1,"at":2,"fault":"kill","target":"one","for":"1s""#, "\"at\":\"500ms\""),
            (r#""id":1,"at":"2","fault":"kill","target":"one","for":"1s""#, "30s or 500ms"),
            (r#""id":1,"at":"2s","fault":"partition","target":"one","for":"1s""#, "\"shape\""),
            (r#""id":0,"at":"2s","fault":"kill","target":"one","for":"1s""#, "from 1 on"),
            (r#""id":1,"after":{"healed":9},"fault":"kill","target":"one","for":"1s""#, "id 9"),
            (r#""id":1,"at":"2s","fault":"kill","target":{"pick":{"nto":[1]}},"for":"1s""#, "nto"),
            (r#""id":1,"after":{"healed":1},"fault":"kill","target":"one","for":"1s""#, "itself"),
        ];
        for (fields, expected) in wrong {
            let error = complaint(&format!("{{\"plan\":{{{fields}}}}}\n"));
            assert!(error.starts_with("f:2: ") && error.contains(expected), "{fields}: {error}");
        }
    }

    #[test]
    fn faults_of_single_links_say_who_hears_what_and_when() {
        let file = read(
            r#"{"plan":{"id":1,"at":"2s","fault":"delay","target":"not-leader","to":"leader","by":"3.25s","ramp":"8s","for":"9s"}}
{"plan":{"id":2,"after":{"installed":1},"fault":"hold","target":"leader","to":{"nodes":["n2"]},"for":"1s"}}
"#,
        )
        .unwrap();
        assert_eq!(file.plan.len(), 2);
        let again = serde_json::to_string(&file.plan[0]).unwrap();
        assert!(
            again.contains(r#""to":"leader","by":"3.250s""#) || again.contains(r#""by":"3.25s""#)
        );
        let wrong = [
            (r#""fault":"delay","to":"leader""#, "such as \"by\""),
            (r#""fault":"delay","by":"1s""#, "such as \"to\""),
            (r#""fault":"hold","to":"leadr""#, "did you mean \"leader\"?"),
            (r#""fault":"hold","to":{"nodes":["n9"]}"#, "unknown node \"n9\""),
            (r#""fault":"hold","to":"leader","by":"1s""#, "\"by\" is of delays"),
            (r#""fault":"kill","to":"leader""#, "\"to\" is of delay"),
        ];
        for (fault, expected) in wrong {
            let line =
                format!(r#"{{"plan":{{"id":1,"at":"2s",{fault},"target":"one","for":"1s"}}}}"#);
            let error = complaint(&line);
            assert!(error.starts_with("f:2: ") && error.contains(expected), "{fault}: {error}");
        }
    }

    #[test]
    fn upgrades_name_a_version_of_the_page_or_none() {
        let line = |fields: &str| {
            format!(r#"{{"plan":{{"id":1,"at":"2s",{fields},"target":"one","for":"1s"}}}}"#)
        };
        let plain = line(r#""fault":"upgrade""#);
        let full = line(r#""fault":"upgrade","version":"2.0","signal":"sigkill""#);
        for right in [&plain, &full] {
            let file = read(right).unwrap();
            let again = serde_json::to_string(&file.plan[0]).unwrap();
            assert_eq!(read(&format!("{{\"plan\":{again}}}")).unwrap(), file);
        }
        let wrong = [
            (r#""fault":"upgrade","version":"2.1""#, "did you mean \"2.0\"?"),
            (r#""fault":"upgrade","version":2"#, "expected a word as \"version\", found 2"),
            (r#""fault":"upgrade","signal":"sigkil""#, "did you mean \"sigkill\"?"),
            (r#""fault":"kill","signal":"sigkill""#, "\"signal\" is of upgrades; a kill has none"),
        ];
        for (fields, expected) in wrong {
            let error = complaint(&line(fields));
            assert!(error.starts_with("f:2: ") && error.contains(expected), "{fields}: {error}");
        }
        let text = format!("{{\"squall\":\"schedule/1\"}}\n{plain}\n");
        let error = parse("f", &text, &nodes(), &[]).unwrap_err().to_string();
        assert!(error.contains("needs a system whose page lists [node.versions]"), "{error}");
    }

    #[test]
    fn a_number_given_twice_is_refused() {
        let line = r#"{"plan":{"id":1,"at":"2s","fault":"kill","target":"one","for":"1s"}}"#;
        assert_eq!(complaint(&format!("{line}\n{line}\n")), "f:3: id 1 stands on line 2 already");
    }

    #[test]
    fn a_torn_outcome_is_left_out_and_a_torn_plan_refused() {
        let line = r#"{"plan":{"id":1,"at":"2s","fault":"kill","target":"one","for":"1s"}}"#;
        let file = read(&format!("{line}\n{{\"outcome\":{{\"id\":1,\"pha")).unwrap();
        assert_eq!((file.plan.len(), file.torn), (1, Some(3)));

        let error = complaint(&format!("{line}\n{}", &line[..40]));
        assert!(error.starts_with("f:3: expected a line of JSON"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_schedule_is_refused() {
        let error =
            parse("f", "{\"squall\":\"history/1\"}\n", &nodes(), &[]).unwrap_err().to_string();
        assert!(error.starts_with("f:1: expected {\"squall\":\"schedule/1\"}"), "{error}");
        assert!(parse("f", "", &nodes(), &[]).is_err());
    }
}
