//! A run as it may be made smaller: the faults of its plan, and the flags of its command.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use squall_history::RunDir;
use squall_history::schedule::{self, Line, Planned, Trigger, duration};

/// What is tried.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The faults.
    pub(super) plan: Vec<Planned>,
    pub(super) flags: Vec<(String, Option<String>)>,
}

impl Candidate {
    /// Returns a recorded run: its plan, whoever made it, and its command.
    pub(super) fn of(run: &RunDir) -> anyhow::Result<Candidate> {
        let manifest = run.read_manifest()?;
        let path = run.schedule();
        let file = std::fs::File::open(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let read = schedule::read(std::io::BufReader::new(file))
            .with_context(|| format!("failed to read {}", path.display()))?;
        let plan = read.lines.into_iter().filter_map(|line| match line {
            Line::Plan(planned) => Some(planned),
            Line::Resolved(_) | Line::Outcome(_) => None,
        });
        let words = manifest.replay.iter().skip(1).map(String::as_str);
        let mut words = words.peekable();
        if words.next() != Some("test") {
            anyhow::bail!("{} does not say how to run it again", run.manifest().display());
        }
        let mut flags = Vec::new();
        while let Some(word) = words.next() {
            let name = word.trim_start_matches("--");
            match name.split_once('=') {
                Some((name, value)) => flags.push((name.to_owned(), Some(value.to_owned()))),
                None => {
                    let value = words.next_if(|next| !next.starts_with("--"));
                    flags.push((name.to_owned(), value.map(str::to_owned)));
                }
            }
        }
        // The plan is a file from now on.
        flags.retain(|(name, _)| {
            !["nemesis", "nemesis-interval", "schedule", "test-count"].contains(&name.as_str())
        });
        Ok(Candidate { plan: plan.collect(), flags })
    }

    /// Returns the value of a flag.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        let found = self.flags.iter().rev().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_deref())
    }

    /// Whether a value is less than the one in force, where both are numbers.
    pub(super) fn lowers(&self, name: &str, value: &str) -> bool {
        let default = match name {
            "nodes" => "5",
            "concurrency" => "10",
            "rate" => "1000",
            _ => "8",
        };
        let number = |text: &str| text.parse::<u64>().ok();
        match (number(self.flag(name).unwrap_or(default)), number(value)) {
            // A rate of 0 is as fast as it goes.
            (Some(0), _) => name == "rate",
            (Some(now), Some(new)) => new < now,
            _ => true,
        }
    }

    /// Sets a flag.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.flags.retain(|(known, _)| known != name);
        self.flags.push((name.to_owned(), Some(value.to_owned())));
    }

    /// Ends the load earlier, and drops the faults that would come later.
    pub(super) fn shorten(&mut self, limit: Duration) {
        let now = self.flag("time-limit").and_then(|text| duration::parse(text).ok());
        if now.is_some_and(|now| now <= limit) {
            return;
        }
        self.set("time-limit", &duration::print(limit));
        self.plan.retain(|planned| match planned.trigger {
            Trigger::At(at) => at < limit,
            Trigger::After(_) => true,
        });
    }

    /// Returns the plan as a file that a person can read and `--schedule` runs.
    pub(super) fn schedule(&self) -> String {
        let mut text = format!("{{\"squall\":\"{}\"}}\n", schedule::FORMAT);
        for planned in &self.plan {
            let line = Line::Plan(planned.clone());
            text.push_str(&serde_json::to_string(&line).expect("a plan is plain data"));
            text.push('\n');
        }
        text
    }

    /// Returns the arguments behind `squall`.
    pub(super) fn args(&self, schedule: &Path) -> Vec<String> {
        let mut args = vec!["test".to_owned()];
        args.extend(self.flags.iter().map(|(name, value)| match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        }));
        if self.plan.is_empty() {
            args.push("--nemesis=none".to_owned());
        } else {
            args.push(format!("--schedule={}", schedule.display()));
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::schedule::{Fault, Target};

    fn candidate() -> Candidate {
        let planned = |id, ms| {
            let at = Trigger::At(Duration::from_millis(ms));
            Planned::new(id, at, Fault::Kill, Target::All, Duration::from_millis(100))
        };
        let flags =
            vec![("time-limit".to_owned(), Some("10s".to_owned())), ("keep-data".to_owned(), None)];
        Candidate { plan: vec![planned(1, 500), planned(2, 4000)], flags }
    }

    #[test]
    fn a_shorter_run_loses_the_faults_that_it_would_not_reach() {
        let mut shorter = candidate();
        shorter.shorten(Duration::from_secs(3));
        assert_eq!(shorter.plan.len(), 1);
        let args = shorter.args(Path::new("s.jsonl"));
        assert_eq!(args, ["test", "--keep-data", "--time-limit=3s", "--schedule=s.jsonl"]);
        let mut same = candidate();
        same.shorten(Duration::from_secs(30));
        assert_eq!(same, candidate());
    }

    #[test]
    fn without_faults_there_is_no_schedule_and_no_other_nemesis_either() {
        let mut calm = candidate();
        calm.plan.clear();
        assert!(calm.args(Path::new("s.jsonl")).contains(&"--nemesis=none".to_owned()));
    }

    #[test]
    fn only_less_is_tried() {
        let candidate = candidate();
        assert!(candidate.lowers("nodes", "3") && !candidate.lowers("nodes", "7"));
        assert!(candidate.lowers("keys", "1"));
    }

    #[test]
    fn its_schedule_is_one_that_can_be_run() {
        let text = candidate().schedule();
        let nodes = ["n1".into(), "n2".into(), "n3".into()];
        let parsed = squall_nemesis::schedule_file::parse("s", &text, &nodes, &[]).expect("right");
        assert_eq!(parsed.plan, candidate().plan);
    }
}
