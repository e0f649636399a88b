//! The workloads against a simulated store: closed-loop workers, random latencies, a leader, and answers that get lost.

#[cfg(test)]
mod append;
#[cfg(test)]
mod register;
#[cfg(test)]
mod store;
