//! How clients talk to the guests, and to every other system that takes the trouble to speak the same: a key, a value and a
//! cas, in JSON over HTTP/1.1. `systems/guests/API.md` is the page.

mod client;
mod probe;
mod wire;

pub use client::GuestConnect;
pub use probe::GuestProbe;
