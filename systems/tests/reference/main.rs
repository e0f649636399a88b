//! The reference's client against nodes that answer, keep silent, hang up and talk nonsense, and against the node itself.

#[cfg(test)]
mod client;
#[cfg(test)]
mod node;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod scripted;
