//! The workloads by name, with what each needs and finds.

use squall_history::{Claim, Key, NodeName};

use crate::Generator;
use crate::append::{self, Append};
use crate::register::{self, Register};

/// A generator that knows which objects it has touched, so that the final reads can cover them.
pub trait Load: Generator {
    /// Returns the keys that were used so far.
    fn keys(&self) -> Vec<Key>;
}

/// What a run asks of its workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadSpec {
    /// The nodes, in the order of their names.
    pub nodes: Vec<NodeName>,
    /// How many workers there are.
    pub concurrency: usize,
    /// How many keys are in use at a time; the workload's own number where nothing is said.
    pub keys: Option<usize>,
    /// Values run from 0 to below this number, again and again; unique where nothing is said.
    pub value_range: Option<u64>,
    /// The seed of the run.
    pub seed: u64,
}

/// One entry of the catalog: what clients may do, and what that lets us check.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// What clients do, in a few words.
    pub summary: &'static str,
    /// What the system must offer, in the words of `[claims]` in its TOML.
    pub needs: &'static [&'static str],
    /// Which mistakes it finds.
    pub finds: &'static str,
    /// The sequential specification of each of its keys, by the checker's name.
    pub model: &'static str,
    /// What the histories that it makes can be held to.
    pub claims: &'static [Claim],
    /// How many keys are in use at a time, at least, unless the user says otherwise.
    pub fewest_keys: usize,
    /// Whether its values may repeat (`--value-range`).
    pub repeats_values: bool,
    make: fn(&WorkloadSpec, usize) -> Box<dyn Load>,
}

const CLAIMS: &[Claim] = &[
    Claim::Linearizable,
    Claim::Positions,
    Claim::AcknowledgedSurvive,
    Claim::ReadIndex,
    Claim::LogWitness,
    Claim::LinearizableSettled,
    Claim::Exercised,
];

static CATALOG: [Workload; 4] = [
    Workload {
        name: "register",
        summary: "read, write and cas of a few keys, with unique values",
        needs: &["read", "write", "cas"],
        finds: "stale reads, lost writes, writes that come back, two leaders that both answer",
        model: "cas-register",
        claims: CLAIMS,
        fewest_keys: register::KEYS,
        repeats_values: true,
        make: |spec, keys| Box::new(Register::new(spec, keys)),
    },
    Workload {
        name: "append",
        summary: "append to lists and read them; doubtful appends are sent again under the same request",
        needs: &["read", "append", "dedup"],
        finds: "an element twice (exactly-once broken), lost and reordered elements, stale reads",
        model: "list-append",
        claims: CLAIMS,
        fewest_keys: append::KEYS,
        repeats_values: false,
        make: |spec, keys| Box::new(Append::new(spec, keys)),
    },
    Workload {
        name: "read-write",
        summary: "read and write a few keys, with unique values: for systems that have no more",
        needs: &["read", "write"],
        finds: "stale reads, lost writes, writes that come back",
        model: "register",
        claims: CLAIMS,
        fewest_keys: register::KEYS,
        repeats_values: true,
        make: |spec, keys| Box::new(Register::without_cas(spec, keys)),
    },
    Workload {
        name: "wide",
        summary: "register over hundreds of keys, each mutation in a transaction that looks at all of them",
        needs: &["read", "write", "cas", WIDE],
        finds: "states that differ after a crash between applying and recording that (etcd#13766)",
        model: "cas-register",
        claims: CLAIMS,
        fewest_keys: 500,
        repeats_values: true,
        make: |spec, keys| Box::new(Register::new(spec, keys)),
    },
];

/// What a system must offer for `wide`: transactions that compare a range of keys. Only etcd's clients know how to ask for it.
pub const WIDE: &str = "wide";

/// Returns every workload, in the order in which they are listed.
pub fn catalog() -> &'static [Workload] {
    &CATALOG
}

/// Returns the workload of this name.
pub fn find(name: &str) -> Option<&'static Workload> {
    CATALOG.iter().find(|workload| workload.name == name)
}

impl Workload {
    /// Whether mutations are to look at every key.
    pub fn is_wide(&self) -> bool {
        self.needs.contains(&WIDE)
    }

    /// Makes the load of a run: a function of the seed and of the completions that it will be told.
    pub fn load(&self, spec: &WorkloadSpec) -> Result<Box<dyn Load>, WorkloadError> {
        self.validate(spec)?;
        Ok((self.make)(spec, self.keys(spec)))
    }

    /// Returns how many keys are in use at a time.
    ///
    /// With more clients there are more keys, one for two clients: else hardly a cas would find the value that it expects.
    pub fn keys(&self, spec: &WorkloadSpec) -> usize {
        spec.keys.unwrap_or(self.fewest_keys.max(spec.concurrency / 2))
    }

    fn validate(&self, spec: &WorkloadSpec) -> Result<(), WorkloadError> {
        let none = |what| Err(WorkloadError::None { what });
        if spec.nodes.is_empty() {
            return none("node");
        }
        if spec.concurrency == 0 {
            return none("client");
        }
        if spec.keys == Some(0) {
            return none("key");
        }
        match spec.value_range {
            Some(_) if !self.repeats_values => {
                Err(WorkloadError::NeedsUniqueValues { workload: self.name })
            }
            Some(range) if range < 2 => Err(WorkloadError::RangeTooSmall { range }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Says why a workload cannot be run as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// A number that must not be zero is.
    #[error("a workload needs at least one {what}")]
    None {
        /// Of what there is none.
        what: &'static str,
    },
    /// `--value-range` for a workload whose values must be unique.
    #[error("workload {workload} needs unique values; leave --value-range out")]
    NeedsUniqueValues {
        /// Which workload.
        workload: &'static str,
    },
    /// `--value-range` leaves nothing to tell values apart by.
    #[error("--value-range {range} is too small; expected at least 2")]
    RangeTooSmall {
        /// What was asked for.
        range: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> WorkloadSpec {
        let nodes = vec!["n1".into()];
        WorkloadSpec { nodes, concurrency: 1, keys: None, value_range: None, seed: 0 }
    }

    #[test]
    fn names_are_unique_and_found() {
        for workload in catalog() {
            assert!(std::ptr::eq(find(workload.name).unwrap(), workload), "{}", workload.name);
        }
        assert!(find("registre").is_none());
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_reason() {
        let register = find("register").unwrap();
        let cases = [
            (WorkloadSpec { nodes: vec![], ..spec() }, "a workload needs at least one node"),
            (WorkloadSpec { concurrency: 0, ..spec() }, "a workload needs at least one client"),
            (WorkloadSpec { keys: Some(0), ..spec() }, "a workload needs at least one key"),
            (
                WorkloadSpec { value_range: Some(1), ..spec() },
                "--value-range 1 is too small; expected at least 2",
            ),
        ];
        for (spec, why) in cases {
            assert_eq!(register.load(&spec).err().unwrap().to_string(), why);
        }
        let ranged = WorkloadSpec { value_range: Some(5), ..spec() };
        let refused = find("append").unwrap().load(&ranged).err();
        assert_eq!(refused, Some(WorkloadError::NeedsUniqueValues { workload: "append" }));
    }

    #[test]
    fn more_clients_get_more_keys_unless_the_user_says_otherwise() {
        let register = find("register").unwrap();
        assert_eq!(register.keys(&WorkloadSpec { concurrency: 10, ..spec() }), 8);
        assert_eq!(register.keys(&WorkloadSpec { concurrency: 100, ..spec() }), 50);
        assert_eq!(register.keys(&WorkloadSpec { keys: Some(2), concurrency: 100, ..spec() }), 2);
    }
}
