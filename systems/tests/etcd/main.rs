//! etcd's client against nodes that answer, keep silent, hang up and talk nonsense, and against etcd itself.

#[cfg(test)]
mod client;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod real;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod states;
