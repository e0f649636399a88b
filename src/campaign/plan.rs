//! What each storm of a campaign is: a pure function of the file, the campaign's seed and the storm's number.
//!
//! So a campaign that was killed goes on where it stopped, and shards of it never do the same storm twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_systems::{ReadClaim, SystemSpec};

use super::file::{CampaignFile, Choice, NemesisChoice, Pick, Topology};
use crate::exam;
use crate::failure::Failure;

/// Seeds that people can type.
const SEEDS: u64 = 1_000_000_007;

/// One combination of the axes.
#[derive(Clone, Debug)]
struct Cell {
    system: Option<PathBuf>,
    workload: String,
    nemesis: NemesisChoice,
    topology: Topology,
    weight: u64,
}

/// One storm: the arguments of `squall test`, and what it is in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storm {
    /// The combination that it was drawn from.
    pub label: String,
    /// Flags with their values, without dashes. Later ones of one name have been merged.
    pub flags: Vec<(String, String)>,
}

impl Storm {
    /// Returns the command line behind `squall`.
    pub(crate) fn args(&self) -> Vec<String> {
        let flags = self.flags.iter().map(|(name, value)| format!("--{name}={value}"));
        std::iter::once("test".to_owned()).chain(flags).collect()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.flags.retain(|(known, _)| known != name);
        self.flags.push((name.to_owned(), value.to_owned()));
    }
}

/// Every combination of a campaign.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    cells: Vec<Cell>,
    pick: Pick,
    seed: u64,
    run: BTreeMap<String, String>,
    bug: Option<String>,
    /// Systems in which no bug can be planted, and that claim to be linearizable.
    pub foreign: Vec<String>,
    /// Combinations that make no sense, each with the reason.
    pub left_out: Vec<String>,
    /// A cluster of somebody else's is among the systems. There is one of it, so storms come one after the other.
    pub attached: bool,
}

impl Product {
    /// Builds the product. `bug` is planted in every storm of the reference.
    pub(crate) fn of(
        file: &CampaignFile,
        seed: u64,
        bug: Option<&str>,
    ) -> Result<Product, Failure> {
        let mut product = Product {
            cells: Vec::new(),
            pick: file.pick,
            seed,
            run: file.run.clone(),
            bug: bug.map(str::to_owned),
            foreign: Vec::new(),
            left_out: Vec::new(),
            attached: false,
        };
        for system in &file.systems {
            let spec = match &system.what {
                Some(file) => SystemSpec::read(file).map_err(Failure::bad_input)?,
                None => SystemSpec::reference(),
            };
            if system.what.is_some() && spec.claims.read == ReadClaim::Linearizable {
                product.foreign.push(system_name(system.what.as_deref()));
            }
            product.attached |= spec.attach.is_some();
            for workload in &file.workloads {
                match lacking(&spec, &workload.what) {
                    None => product.add(file, &spec, system, workload),
                    Some(why) => product.left_out.push(why),
                }
            }
        }
        if product.cells.is_empty() {
            let why = product.left_out.join("; ");
            let error = anyhow::anyhow!("no combination of the campaign can run: {why}");
            return Err(Failure::bad_input(error));
        }
        Ok(product)
    }

    fn add(
        &mut self,
        file: &CampaignFile,
        spec: &SystemSpec,
        system: &Choice<Option<PathBuf>>,
        workload: &Choice<String>,
    ) {
        for nemesis in &file.nemeses {
            for topology in &file.topologies {
                let nodes = topology.what.nodes;
                if spec.attach.is_some() && nodes != spec.nodes {
                    let (name, has) = (&spec.name, spec.nodes);
                    self.left_out
                        .push(format!("{name} runs already, with {has} nodes and not {nodes}"));
                    continue;
                }
                let weights = [system.weight, workload.weight, nemesis.weight, topology.weight];
                self.cells.push(Cell {
                    system: system.what.clone(),
                    workload: workload.what.clone(),
                    nemesis: nemesis.what.clone(),
                    topology: topology.what.clone(),
                    weight: weights.into_iter().map(u64::from).product(),
                });
            }
        }
    }

    /// Returns how many combinations there are.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns a storm by its number.
    pub(crate) fn storm(&self, number: u64) -> Storm {
        let mut rng = self.stream(0, number);
        match self.pick {
            Pick::Weighted => {
                let cell = self.draw(&mut rng, |_| true).expect("a product is not empty");
                self.at(cell, rng.random_range(0..SEEDS))
            }
            Pick::Exhaustive => {
                let cells = self.cells.len() as u64;
                let cell = &self.cells[(number % cells) as usize];
                self.at(cell, self.stream(1, number / cells).random_range(0..SEEDS))
            }
        }
    }

    /// Returns a try of a canary: a storm of the reference like any other, with the bug, and the load that it needs.
    pub(crate) fn canary(&self, bug: &str, attempt: u32) -> Storm {
        let stream = u64::from(crc32c::crc32c(bug.as_bytes()));
        let mut rng = self.stream(2 + stream, u64::from(attempt));
        let plain = |cell: &Cell| cell.system.is_none() && cell.topology.nodes >= 3;
        let fallback = reference();
        let cell = self.draw(&mut rng, plain).unwrap_or(&fallback);
        let mut storm = self.at(cell, rng.random_range(0..SEEDS));
        for (name, value) in pairs(exam::flags(bug)) {
            // A canary is found by the campaign's own storms, not by a recipe made for it.
            if name != "schedule" && name != "time-limit" {
                storm.set(name, value);
            }
        }
        storm.set("bug", bug);
        storm
    }

    fn stream(&self, stream: u64, number: u64) -> ChaCha8Rng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&stream.to_le_bytes());
        seed[16..24].copy_from_slice(&number.to_le_bytes());
        ChaCha8Rng::from_seed(seed)
    }

    fn draw(&self, rng: &mut ChaCha8Rng, wanted: impl Fn(&Cell) -> bool) -> Option<&Cell> {
        let total: u64 =
            self.cells.iter().filter(|cell| wanted(cell)).map(|cell| cell.weight).sum();
        if total == 0 {
            return None;
        }
        let mut at = rng.random_range(0..total);
        self.cells.iter().filter(|cell| wanted(cell)).find(|cell| {
            let here = at < cell.weight;
            at = at.saturating_sub(cell.weight);
            here
        })
    }

    fn at(&self, cell: &Cell, seed: u64) -> Storm {
        let mut storm = Storm { label: label(cell), flags: Vec::new() };
        for (name, value) in &self.run {
            storm.set(name, value);
        }
        if let Some(system) = &cell.system {
            storm.set("system", &system.display().to_string());
        }
        storm.set("workload", &cell.workload);
        storm.set("nemesis", &cell.nemesis.families);
        if let Some(interval) = &cell.nemesis.interval {
            storm.set("nemesis-interval", interval);
        }
        storm.set("nodes", &cell.topology.nodes.to_string());
        for setting in &cell.topology.set {
            storm.flags.push(("set".to_owned(), setting.clone()));
        }
        if let (Some(bug), None) = (&self.bug, &cell.system) {
            storm.set("bug", bug);
        }
        storm.set("seed", &seed.to_string());
        storm
    }
}

/// Says what a system lacks for a workload.
fn lacking(system: &SystemSpec, workload: &str) -> Option<String> {
    let catalog = squall_workloads::catalog();
    let workload = catalog.iter().find(|known| known.name == workload)?;
    let lacks = system.lacks(workload);
    (!lacks.is_empty()).then(|| {
        format!("{} with {}: it does not claim {}", system.name, workload.name, lacks.join(", "))
    })
}

/// Where canaries live in a campaign that is about other systems only.
fn reference() -> Cell {
    Cell {
        system: None,
        workload: "register".to_owned(),
        nemesis: NemesisChoice { families: "kill,pause,partition".to_owned(), interval: None },
        topology: Topology { nodes: 5, set: Vec::new() },
        weight: 1,
    }
}

/// Returns a system's name in labels: of two pages of one system, the file tells them apart.
fn system_name(page: Option<&Path>) -> String {
    let stem = page.and_then(Path::file_stem);
    stem.map_or("reference".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn label(cell: &Cell) -> String {
    let system = system_name(cell.system.as_deref());
    let set = match cell.topology.set.as_slice() {
        [] => String::new(),
        set => format!(" {}", set.join(" ")),
    };
    let Cell { workload, nemesis, topology, .. } = cell;
    format!("{system}, {workload}, {}, {} nodes{set}", nemesis.families, topology.nodes)
}

/// Reads `--name value --name value`.
fn pairs(flags: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut words = flags.split_whitespace();
    std::iter::from_fn(move || Some((words.next()?.trim_start_matches('-'), words.next()?)))
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    fn product(pick: &str, bug: Option<&str>) -> Product {
        let text = format!(
            "squall = 1\nname = \"p\"\npick = \"{pick}\"\nbudget = {{ runs = 9 }}\n\
             [run]\ntime-limit = \"3s\"\n[[system]]\n[[workload]]\nname = \"register\"\nweight = 3\n\
             [[workload]]\nname = \"append\"\n[[nemesis]]\nfamilies = \"kill\"\n\
             [[topology]]\nnodes = 5\n[[topology]]\nnodes = 3\nset = [\"pre-vote=false\"]\n"
        );
        let file = parse("p.toml", &text).expect("right");
        Product::of(&file, 7, bug).expect("not empty")
    }

    #[test]
    fn a_storm_is_a_function_of_seed_and_number() {
        let (one, other) = (product("weighted", None), product("weighted", None));
        for number in 0..20 {
            assert_eq!(one.storm(number), other.storm(number));
        }
        assert_ne!(one.storm(0), one.storm(1));
    }

    #[test]
    fn weights_are_kept_and_every_combination_comes() {
        let product = product("weighted", None);
        let labels: Vec<String> = (0..400).map(|n| product.storm(n).label).collect();
        let registers = labels.iter().filter(|label| label.contains("register")).count();
        assert!((250..350).contains(&registers), "{registers} of 400, wanted 300");
        let distinct: std::collections::BTreeSet<_> = labels.iter().collect();
        assert_eq!(distinct.len(), product.len());
    }

    #[test]
    fn an_exhaustive_campaign_takes_each_combination_with_a_seed_before_the_next_seed() {
        let product = product("exhaustive", None);
        let seeds = |range: std::ops::Range<u64>| -> std::collections::BTreeSet<String> {
            range.map(|n| product.storm(n).args().pop().expect("a seed")).collect()
        };
        assert_eq!(product.len(), 4);
        assert_eq!(seeds(0..4).len(), 1);
        assert_eq!(seeds(0..8).len(), 2);
    }

    #[test]
    fn a_canary_keeps_the_campaigns_storm_and_adds_the_load_that_its_bug_needs() {
        let product = product("weighted", None);
        let args = product.canary("no-dedup", 1).args();
        let has = |arg: &str| args.iter().any(|known| known == arg);
        assert!(has("--bug=no-dedup") && has("--workload=append"), "{args:?}");
        assert!(has("--client-timeout=100ms") && has("--time-limit=3s"), "{args:?}");
        assert_ne!(args, product.canary("no-dedup", 2).args());
    }

    #[test]
    fn a_cluster_of_somebody_elses_has_the_nodes_that_it_has() {
        let dir = tempfile::tempdir().expect("a directory");
        let page = dir.path().join("theirs.toml");
        let text = "squall = 1\n[system]\nname = \"theirs\"\n[attach]\nnodes = [\"127.0.0.1:1\", \"127.0.0.1:2\", \
                    \"127.0.0.1:3\"]\n[client]\nkind = \"etcd\"\naddr = \"{address}\"\n";
        std::fs::write(&page, text).expect("written");
        let text = format!(
            "squall = 1\nname = \"p\"\nbudget = {{ runs = 9 }}\njobs = 4\n[[system]]\nfile = {page:?}\n\
             [[workload]]\nname = \"register\"\n[[nemesis]]\nfamilies = \"kill\"\n\
             [[topology]]\nnodes = 5\n[[topology]]\nnodes = 3\n"
        );
        let file = parse("p.toml", &text).expect("right");
        let product = Product::of(&file, 7, None).expect("not empty");
        assert!(product.attached && !self::product("weighted", None).attached);
        assert_eq!(product.len(), 1);
        assert_eq!(product.left_out, ["theirs runs already, with 3 nodes and not 5"]);
    }

    #[test]
    fn a_bug_for_the_whole_campaign_is_in_every_storm() {
        let product = product("weighted", Some("figure8"));
        assert!((0..9).all(|n| product.storm(n).args().contains(&"--bug=figure8".to_owned())));
    }
}
