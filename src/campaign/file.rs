//! A campaign's file: what it may say, and every mistake with its line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use squall_history::nearest;
use squall_history::schedule::duration;
use squall_nemesis::parse_families;
use squall_systems::SystemSpec;
use toml::Spanned;

use crate::failure::Failure;

/// The version of the schema.
const VERSION: u32 = 1;
/// The flags of `squall test` that `[run]` may set for every run.
const FLAGS: [&str; 13] = [
    "client-timeout",
    "concurrency",
    "data-dir",
    "deadline",
    "firewall",
    "keys",
    "memory",
    "nemesis-interval",
    "network",
    "rate",
    "tcp",
    "time-limit",
    "value-range",
];

/// A hard canary is run where the budget is so many times the median time to find it.
const MEDIANS: u32 = 5;

/// How runs are drawn from the product of the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pick {
    /// By weight, from the campaign's seed.
    #[default]
    Weighted,
    /// Each combination in turn, then again with the next seed.
    Exhaustive,
}

/// What ends a campaign: whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CampaignBudget {
    /// Time on the clock of the campaign, over all its sessions.
    pub time: Option<Duration>,
    /// Runs, canaries and repetitions apart.
    pub runs: Option<u64>,
}

/// Below these a campaign means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floors {
    /// Storms that booted and were judged.
    #[serde(default)]
    pub runs: u64,
    /// Operations that were acknowledged.
    #[serde(default)]
    pub acknowledged: u64,
    /// Leaders that were elected, by the nodes' traces.
    #[serde(default)]
    pub elections: u64,
    /// Faults that took hold while operations ran, by family.
    #[serde(default)]
    pub faults: BTreeMap<String, u64>,
}

/// Planted bugs that must be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Canaries {
    /// Their names.
    pub bugs: Vec<String>,
    /// How many storms each is given.
    pub tries: u32,
    /// Bugs that take longer, with the median time in which storms like these find each.
    pub hard: Vec<(String, Duration)>,
    /// Those of them for which there is no time, in words.
    pub left_out: Vec<String>,
}

impl Canaries {
    /// Takes in the hard ones for which a budget is long enough: to miss one shall mean something.
    fn within(&mut self, time: Option<Duration>) {
        for (bug, median) in std::mem::take(&mut self.hard) {
            let needed = median * MEDIANS;
            if time.is_none_or(|time| time >= needed) {
                self.bugs.push(bug);
            } else {
                let needed = duration::print(needed);
                self.left_out.push(format!("the canary {bug}: it takes a budget of {needed}"));
            }
        }
    }
}

/// One choice of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice<T> {
    /// What is chosen.
    pub what: T,
    /// How often, relative to the others of its axis.
    pub weight: u32,
}

/// The faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NemesisChoice {
    /// `--nemesis`.
    pub families: String,
    /// `--nemesis-interval`, where it differs from that of `[run]`.
    pub interval: Option<String>,
}

/// The shape of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    /// `--nodes`.
    pub nodes: usize,
    /// `--set`, for the reference.
    pub set: Vec<String>,
}

/// A campaign as its file asks for it, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CampaignFile {
    pub name: String,
    pub seed: Option<u64>,
    pub pick: Pick,
    pub jobs: Option<usize>,
    pub budget: CampaignBudget,
    /// Flags of every run, without dashes, with their values.
    pub run: BTreeMap<String, String>,
    /// None is the reference.
    pub systems: Vec<Choice<Option<PathBuf>>>,
    pub workloads: Vec<Choice<String>>,
    pub nemeses: Vec<Choice<NemesisChoice>>,
    pub topologies: Vec<Choice<Topology>>,
    pub floors: Floors,
    pub canaries: Canaries,
}

impl CampaignFile {
    /// Makes it the campaign of one shard of so many, of less time or more than the file says.
    ///
    /// Floors are those of the whole file. Of less time, or of a part of its runs, a share of them can be asked.
    pub(crate) fn part(&mut self, time: Option<Duration>, of: u64) {
        self.canaries.within(time.or(self.budget.time));
        let mut share = 1.0;
        if let Some(time) = time {
            if let Some(whole) = self.budget.time.filter(|whole| *whole > time) {
                share *= time.as_secs_f64() / whole.as_secs_f64();
            }
            self.budget.time = Some(time);
        }
        if self.budget.runs.is_some() {
            share /= of as f64;
        }
        let of_floor = |floor: &mut u64| *floor = (*floor as f64 * share).floor() as u64;
        let Floors { runs, acknowledged, elections, faults } = &mut self.floors;
        [runs, acknowledged, elections].into_iter().chain(faults.values_mut()).for_each(of_floor);
    }
}

/// Reads a campaign's file.
pub(crate) fn read(path: &Path) -> Result<CampaignFile, Failure> {
    parse(&path.display().to_string(), &text(path)?)
}

/// Returns what a campaign's file holds.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let error = anyhow::Error::new(error)
            .context(format!("failed to read the campaign's file {}", path.display()));
        Failure::bad_input(error).hint("squall campaign --init prints a commented one")
    })
}

/// Reads a campaign's text; `file` names it in errors.
pub(crate) fn parse(file: &str, text: &str) -> Result<CampaignFile, Failure> {
    let reader = Reader { file, text };
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        reader.wrong(span, error.message().to_owned())
    })?;
    reader.campaign(raw)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    squall: Spanned<u32>,
    name: Spanned<String>,
    seed: Option<u64>,
    #[serde(default)]
    pick: Pick,
    jobs: Option<Spanned<usize>>,
    budget: Spanned<RawBudget>,
    #[serde(default)]
    run: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    system: Vec<RawSystem>,
    workload: Vec<RawWorkload>,
    nemesis: Vec<RawNemesis>,
    topology: Vec<RawTopology>,
    floors: Option<Spanned<Floors>>,
    #[serde(default)]
    canaries: RawCanaries,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    time: Option<Spanned<String>>,
    runs: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSystem {
    file: Option<Spanned<PathBuf>>,
    weight: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWorkload {
    name: Spanned<String>,
    weight: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNemesis {
    families: Spanned<String>,
    interval: Option<Spanned<String>>,
    weight: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTopology {
    nodes: Spanned<usize>,
    #[serde(default)]
    set: Vec<Spanned<String>>,
    weight: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCanaries {
    #[serde(default)]
    bugs: Vec<Spanned<String>>,
    #[serde(default)]
    hard: BTreeMap<Spanned<String>, Spanned<String>>,
    tries: Option<Spanned<u32>>,
}

/// Turns the file as it stands into what it means.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, span: Range<usize>, why: String) -> Failure {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        Failure::bad_input(anyhow::anyhow!("{}:{line}: {why}", self.file))
    }

    fn unknown<'a>(
        &self,
        what: &str,
        name: &Spanned<String>,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Failure {
        let known: Vec<&str> = known.into_iter().collect();
        let found = name.get_ref();
        let failure = self.wrong(name.span(), format!("unknown {what} {found:?}"));
        failure.hint(match nearest(found, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known: {}", known.join(", ")),
        })
    }

    fn campaign(&self, raw: Raw) -> Result<CampaignFile, Failure> {
        if *raw.squall.get_ref() != VERSION {
            let why =
                format!("unknown version {}; this squall reads {VERSION}", raw.squall.get_ref());
            return Err(self.wrong(raw.squall.span(), why));
        }
        let floors = self.floors(raw.floors, &raw.nemesis)?;
        let campaign = CampaignFile {
            name: self.name(&raw.name)?,
            seed: raw.seed,
            pick: raw.pick,
            jobs: raw.jobs.map(|jobs| self.at_least_one("jobs", jobs)).transpose()?,
            budget: self.budget(&raw.budget)?,
            run: self.flags(raw.run)?,
            systems: self.axis("system", raw.system, |system| {
                Ok((self.system(system.file)?, system.weight))
            })?,
            workloads: self.axis("workload", raw.workload, |workload| {
                Ok((self.workload(&workload.name)?, workload.weight))
            })?,
            nemeses: self.axis("nemesis", raw.nemesis, |nemesis| {
                let weight = nemesis.weight.clone();
                Ok((self.nemesis(nemesis)?, weight))
            })?,
            topologies: self.axis("topology", raw.topology, |topology| {
                let weight = topology.weight.clone();
                Ok((self.topology(topology)?, weight))
            })?,
            floors,
            canaries: self.canaries(raw.canaries)?,
        };
        self.not_for_foreign(&campaign)?;
        Ok(campaign)
    }

    fn name(&self, name: &Spanned<String>) -> Result<String, Failure> {
        let text = name.get_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || !text.chars().all(plain) {
            let why = format!("name {text:?}: expected letters, digits, - and _");
            return Err(self.wrong(name.span(), why));
        }
        Ok(text.clone())
    }

    fn at_least_one(&self, what: &str, number: Spanned<usize>) -> Result<usize, Failure> {
        match *number.get_ref() {
            0 => Err(self.wrong(number.span(), format!("{what} = 0: expected at least 1"))),
            some => Ok(some),
        }
    }

    fn duration(&self, text: &Spanned<String>) -> Result<Duration, Failure> {
        duration::parse(text.get_ref()).map_err(|why| self.wrong(text.span(), why))
    }

    fn budget(&self, raw: &Spanned<RawBudget>) -> Result<CampaignBudget, Failure> {
        let RawBudget { time, runs } = raw.get_ref();
        let time = time.as_ref().map(|text| self.duration(text)).transpose()?;
        let budget = CampaignBudget { time, runs: *runs };
        if budget == CampaignBudget::default() || budget.runs == Some(0) {
            let why = "the budget is empty: expected time = \"2m\", runs = 100, or both";
            return Err(self.wrong(raw.span(), why.to_owned()));
        }
        Ok(budget)
    }

    fn flags(
        &self,
        raw: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut flags = BTreeMap::new();
        for (name, value) in raw {
            if !FLAGS.contains(&name.get_ref().as_str()) {
                return Err(self.unknown("flag", &name, FLAGS));
            }
            let text = match value.get_ref() {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                other => {
                    let why = format!("expected text or a number, found {}", other.type_str());
                    return Err(self.wrong(value.span(), why));
                }
            };
            flags.insert(name.into_inner(), text);
        }
        Ok(flags)
    }

    fn axis<R, T>(
        &self,
        name: &str,
        raw: Vec<R>,
        read: impl Fn(R) -> Result<(T, Option<Spanned<u32>>), Failure>,
    ) -> Result<Vec<Choice<T>>, Failure> {
        if raw.is_empty() {
            return Err(self.wrong(0..0, format!("no [[{name}]]: expected at least one")));
        }
        let choice = |raw| {
            let (what, weight) = read(raw)?;
            match weight {
                Some(zero) if *zero.get_ref() == 0 => {
                    Err(self.wrong(zero.span(), "weight = 0: leave the entry out instead".into()))
                }
                weight => Ok(Choice { what, weight: weight.map_or(1, Spanned::into_inner) }),
            }
        };
        raw.into_iter().map(choice).collect()
    }

    fn system(&self, file: Option<Spanned<PathBuf>>) -> Result<Option<PathBuf>, Failure> {
        let Some(file) = file else { return Ok(None) };
        match SystemSpec::read(file.get_ref()) {
            Ok(_) => Ok(Some(file.into_inner())),
            Err(error) => Err(self.wrong(file.span(), format!("{:#}", anyhow::Error::new(error)))),
        }
    }

    fn workload(&self, name: &Spanned<String>) -> Result<String, Failure> {
        let known = || squall_workloads::catalog().iter().map(|workload| workload.name);
        match known().find(|known| known == name.get_ref()) {
            Some(known) => Ok(known.to_owned()),
            None => Err(self.unknown("workload", name, known())),
        }
    }

    fn nemesis(&self, raw: RawNemesis) -> Result<NemesisChoice, Failure> {
        if let Err(error) = parse_families(raw.families.get_ref()) {
            return Err(self.wrong(raw.families.span(), error.to_string()));
        }
        if let Some(interval) = &raw.interval {
            self.duration(interval)?;
        }
        let interval = raw.interval.map(Spanned::into_inner);
        Ok(NemesisChoice { families: raw.families.into_inner(), interval })
    }

    fn topology(&self, raw: RawTopology) -> Result<Topology, Failure> {
        for setting in &raw.set {
            if !setting.get_ref().contains('=') {
                let why = format!("{:?}: expected NAME=VALUE", setting.get_ref());
                return Err(self.wrong(setting.span(), why));
            }
        }
        let set = raw.set.into_iter().map(Spanned::into_inner).collect();
        Ok(Topology { nodes: self.at_least_one("nodes", raw.nodes)?, set })
    }

    /// A floor on a fault that no run injects could never be met.
    fn floors(
        &self,
        raw: Option<Spanned<Floors>>,
        nemeses: &[RawNemesis],
    ) -> Result<Floors, Failure> {
        let Some(raw) = raw else { return Ok(Floors::default()) };
        let injected: Vec<&str> = nemeses
            .iter()
            .filter_map(|nemesis| parse_families(nemesis.families.get_ref()).ok())
            .flatten()
            .map(|family| family.name())
            .collect();
        let (span, floors) = (raw.span(), raw.into_inner());
        match floors.faults.keys().find(|family| !injected.contains(&family.as_str())) {
            Some(family) => {
                let why = format!("a floor on {family}, which no [[nemesis]] injects");
                Err(self.wrong(span, why))
            }
            None => Ok(floors),
        }
    }

    fn canaries(&self, raw: RawCanaries) -> Result<Canaries, Failure> {
        let known = || squall_raft_node::planted::all().iter().map(|bug| bug.name);
        let mut named = raw.bugs.iter().chain(raw.hard.keys());
        if let Some(name) = named.find(|name| known().all(|bug| bug != name.get_ref())) {
            return Err(self.unknown("bug", name, known()));
        }
        let tries = match raw.tries {
            Some(zero) if *zero.get_ref() == 0 => {
                return Err(self.wrong(zero.span(), "tries = 0: expected at least 1".to_owned()));
            }
            tries => tries.map_or(4, Spanned::into_inner),
        };
        let hard = raw.hard.into_iter().map(|(bug, median)| {
            let time = duration::parse(median.get_ref());
            let time = time.map_err(|why| self.wrong(median.span(), why))?;
            Ok((bug.into_inner(), time))
        });
        Ok(Canaries {
            bugs: raw.bugs.into_iter().map(Spanned::into_inner).collect(),
            tries,
            hard: hard.collect::<Result<_, Failure>>()?,
            left_out: Vec::new(),
        })
    }

    /// Settings are the reference's.
    fn not_for_foreign(&self, campaign: &CampaignFile) -> Result<(), Failure> {
        let foreign = campaign.systems.iter().any(|system| system.what.is_some());
        let set = campaign.topologies.iter().any(|topology| !topology.what.set.is_empty());
        if foreign && set {
            let at = self.text.find("set").unwrap_or(0);
            let why = "set is for the reference, and a [[system]] here has a file of its own";
            return Err(self.wrong(at..at, why.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_canary_is_run_where_there_is_time_to_find_it() {
        let text =
            format!("{SMALL}[canaries]\nbugs = [\"no-dedup\"]\nhard = {{ figure8 = \"7s\" }}\n");
        let bugs = |time: u64| {
            let mut file = parse("c.toml", &text).expect("right");
            file.budget.time = None;
            file.part(Some(Duration::from_secs(time)), 1);
            (file.canaries.bugs, file.canaries.left_out)
        };
        assert_eq!(bugs(35).0, ["no-dedup", "figure8"]);
        let (bugs, left_out) = bugs(34);
        assert_eq!(bugs, ["no-dedup"]);
        assert_eq!(left_out, ["the canary figure8: it takes a budget of 35s"]);
        let told = error(&format!("{SMALL}[canaries]\nhard = {{ figure8 = \"soon\" }}\n"));
        assert!(told.contains("soon"), "{told}");
        let told = error(&format!("{SMALL}[canaries]\nhard = {{ figure9 = \"7s\" }}\n"));
        assert!(told.contains("figure9"), "{told}");
    }

    #[test]
    fn of_a_part_of_a_campaign_a_part_of_the_floors_is_asked() {
        let text = SMALL.replace("[[system]]", "[floors]\nruns = 80\n[[system]]");
        let file = |time: Option<u64>, of: u64| {
            let mut file = parse("c.toml", &text).expect("right");
            file.budget = CampaignBudget { time: Some(Duration::from_secs(800)), runs: None };
            file.part(time.map(Duration::from_secs), of);
            (file.floors.runs, file.budget.time)
        };
        assert_eq!(file(None, 4), (80, Some(Duration::from_secs(800))));
        assert_eq!(file(Some(100), 4), (10, Some(Duration::from_secs(100))));
        assert_eq!(file(Some(8000), 1), (80, Some(Duration::from_secs(8000))));
        let mut by_runs = parse("c.toml", &text).expect("right");
        by_runs.budget = CampaignBudget { time: None, runs: Some(100) };
        by_runs.part(None, 4);
        assert_eq!(by_runs.floors.runs, 20);
    }

    const SMALL: &str = r#"squall = 1
name = "small"
budget = { runs = 4 }
[[system]]
[[workload]]
name = "register"
[[nemesis]]
families = "kill"
[[topology]]
nodes = 3
"#;

    fn error(text: &str) -> String {
        let failure = parse("c.toml", text).expect_err("a mistake");
        format!("{:#} | {}", failure.error, failure.hint.unwrap_or_default())
    }

    #[test]
    fn a_small_file_means_what_it_says_and_the_rest_has_defaults() {
        let campaign = parse("c.toml", SMALL).expect("right");
        assert_eq!(campaign.budget, CampaignBudget { time: None, runs: Some(4) });
        assert_eq!(campaign.workloads[0], Choice { what: "register".to_owned(), weight: 1 });
        assert_eq!(campaign.pick, Pick::Weighted);
        assert_eq!(campaign.floors, Floors::default());
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_was_meant() {
        let told = error(&SMALL.replace("\"register\"", "\"regster\""));
        assert_eq!(told, "c.toml:6: unknown workload \"regster\" | did you mean register?");
        let told = error(&SMALL.replace("families = \"kill\"", "families = \"kil\""));
        assert!(told.starts_with("c.toml:8: ") && told.contains("kill"), "{told}");
        let told = error(&SMALL.replace("nodes = 3", "nodes = 0"));
        assert!(told.starts_with("c.toml:10: nodes = 0"), "{told}");
        let told = error(&SMALL.replace("{ runs = 4 }", "{ time = \"soon\" }"));
        assert!(told.starts_with("c.toml:3: expected a duration"), "{told}");
        let told = error(&SMALL.replace("[[topology]]", "[run]\nrat = 5\n[[topology]]"));
        assert_eq!(told, "c.toml:10: unknown flag \"rat\" | did you mean rate?");
        let told = error(&SMALL.replace("name = \"small\"", "nam = \"small\""));
        assert!(told.starts_with("c.toml:2: unknown field `nam`"), "{told}");
    }

    #[test]
    fn an_empty_product_an_empty_budget_and_a_floor_that_cannot_be_met_are_refused() {
        let told = error(&SMALL.replace("[[system]]\n", "system = []\n"));
        assert!(told.contains("no [[system]]: expected at least one"), "{told}");
        let told = error(&SMALL.replace("{ runs = 4 }", "{}"));
        assert!(told.starts_with("c.toml:3: the budget is empty"), "{told}");
        let told = error(&format!("{SMALL}[floors]\nfaults = {{ pause = 3 }}\n"));
        assert!(told.contains("a floor on pause, which no [[nemesis]] injects"), "{told}");
        let told = error(&format!("{SMALL}[canaries]\nbugs = [\"figure9\"]\n"));
        assert_eq!(told, "c.toml:12: unknown bug \"figure9\" | did you mean figure8?");
    }
}
