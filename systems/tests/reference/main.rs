//! The reference's client against nodes that answer, keep silent, hang up and talk nonsense.

#[cfg(test)]
mod client;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod scripted;
