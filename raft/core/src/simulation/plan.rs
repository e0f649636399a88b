//! What one seed's world is like: how many servers, how bad the network, how fierce the storm.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Scenario;
use crate::Config;
use crate::types::{Membership, NodeId};

/// How long a tick lasts, in simulated microseconds and as the settings' unit.
pub(super) const TICK_US: u64 = 10_000;
const TICK: Duration = Duration::from_micros(TICK_US);

/// Who draws random numbers. Each has a stream of its own, so that one more number for one changes nothing for the
/// others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Plan,
    Network,
    Disk,
    Clients,
    Storm,
    Servers,
}

pub(super) fn stream(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream as u64);
    random
}

/// A world.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) servers: u64,
    pub(super) network: NetworkPlan,
    pub(super) disk: DiskPlan,
    pub(super) clients: ClientPlan,
    pub(super) storm: StormPlan,
    config: Config,
}

/// What the network does to messages. Times are in microseconds.
#[derive(Clone, Debug)]
pub(super) struct NetworkPlan {
    pub(super) loss: f64,
    pub(super) duplication: f64,
    pub(super) slow: f64,
    pub(super) delay_us: u64,
    pub(super) slow_us: u64,
    /// Messages of a link stay in order, as on one TCP connection.
    pub(super) ordered: bool,
    /// A cut link keeps its messages until it is healed, as TCP does, instead of dropping them.
    pub(super) held: bool,
}

/// How long a sync takes at most, in microseconds; 0 for at once.
#[derive(Clone, Debug)]
pub(super) struct DiskPlan {
    pub(super) sync_us: u64,
}

/// What clients do. Times are in microseconds.
#[derive(Clone, Debug)]
pub(super) struct ClientPlan {
    pub(super) pause_us: u64,
    pub(super) reads: f64,
    /// How many requests come at once at most.
    pub(super) burst: u32,
}

/// What goes wrong. Times are in microseconds.
#[derive(Clone, Debug)]
pub(super) struct StormPlan {
    pub(super) pause_us: u64,
    /// Weights of crash, pause, partition.
    pub(super) weights: [f64; 3],
    pub(super) lasts_us: u64,
    /// How often it strikes a leader just after it has committed something.
    pub(super) after_commit: f64,
    /// How often it strikes a leader just after its election.
    pub(super) after_election: f64,
}

impl Plan {
    /// Draws a world from the scenario's seed.
    pub(super) fn draw(scenario: &Scenario) -> Plan {
        let mut random = stream(scenario.seed, Stream::Plan);
        let drawn = *pick(&mut random, &[1, 2, 3, 3, 3, 4, 5, 5, 5, 5]);
        let servers = scenario.servers.unwrap_or(drawn);
        let drawn = *pick(&mut random, &[0, 0, 500, 3_000, 20_000]);
        Plan {
            servers,
            network: NetworkPlan::draw(&mut random),
            disk: DiskPlan { sync_us: if scenario.instant_disk { 0 } else { drawn } },
            clients: ClientPlan {
                pause_us: *pick(&mut random, &[5_000, 15_000, 40_000]),
                reads: *pick(&mut random, &[0.2, 0.5, 0.8]),
                burst: *pick(&mut random, &[1, 3, 12]),
            },
            storm: StormPlan::draw(&mut random),
            config: draw_config(&mut random, servers, &scenario.settings),
        }
    }

    /// Returns the configuration of one of the servers.
    pub(super) fn config(&self, id: NodeId) -> Config {
        Config { id, ..self.config.clone() }
    }
}

impl NetworkPlan {
    fn draw(random: &mut ChaCha8Rng) -> NetworkPlan {
        let ordered = random.random_bool(0.5);
        NetworkPlan {
            loss: if ordered { 0.0 } else { *pick(random, &[0.0, 0.02, 0.1]) },
            duplication: if ordered { 0.0 } else { *pick(random, &[0.0, 0.02, 0.1]) },
            slow: *pick(random, &[0.0, 0.01, 0.1]),
            delay_us: *pick(random, &[300, 2_000, 10_000, 30_000]),
            slow_us: *pick(random, &[20_000, 200_000, 800_000]),
            ordered,
            held: random.random_bool(0.5),
        }
    }
}

impl StormPlan {
    fn draw(random: &mut ChaCha8Rng) -> StormPlan {
        StormPlan {
            pause_us: *pick(random, &[80_000, 200_000, 500_000]),
            weights: [random.random(), random.random(), random.random()],
            lasts_us: *pick(random, &[100_000, 400_000, 900_000]),
            after_commit: *pick(random, &[0.0, 0.0, 0.1, 0.5]),
            after_election: *pick(random, &[0.0, 0.0, 0.3, 0.8]),
        }
    }
}

fn draw_config(random: &mut ChaCha8Rng, servers: u64, settings: &[(String, String)]) -> Config {
    let membership: Membership = (1..=servers).map(NodeId).collect();
    let mut config = Config::new(NodeId(1), membership, TICK);
    config.pre_vote = random.random_bool(0.6);
    config.check_quorum = random.random_bool(0.6);
    config.max_entries = *pick(random, &[1, 2, 64]);
    config.max_inflight = *pick(random, &[1, 2, 8]);
    for (name, value) in settings {
        config.set(name, value, TICK).expect("a scenario's settings are written in code");
    }
    config
}

pub(super) fn pick<'a, T>(random: &mut impl Rng, choices: &'a [T]) -> &'a T {
    &choices[random.random_range(0..choices.len())]
}
