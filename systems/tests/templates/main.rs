//! Clients that a page describes, against nodes that answer, keep silent, hang up and talk nonsense.

#[cfg(test)]
mod exec;
#[cfg(test)]
mod http;
#[cfg(test)]
mod members;
#[cfg(test)]
mod resp;
#[cfg(test)]
#[path = "../etcd/scripted.rs"]
mod scripted;

#[cfg(test)]
use std::{net::SocketAddr, time::Duration};

#[cfg(test)]
use squall_history::Op;
#[cfg(test)]
use squall_systems::SystemSpec;
#[cfg(test)]
use squall_workloads::{Client, Invocation};

/// Long enough for an answer on a busy machine.
#[cfg(test)]
const LONG: Duration = Duration::from_secs(10);

/// Returns the system whose `[client]` goes on like this.
#[cfg(test)]
fn system(client: &str) -> SystemSpec {
    let text = format!(
        "squall = 1\n[system]\nname = \"mine\"\n[node]\ncmd = [\"mine\"]\nready = {{ tcp = 80 }}\n\
         [client]\naddr = \"{{ip}}:80\"\n{client}"
    );
    SystemSpec::parse("mine.toml", &text).unwrap()
}

#[cfg(test)]
async fn dial(system: &SystemSpec, address: SocketAddr) -> Box<dyn Client> {
    let connector = system.connect([("n1".into(), address)].into()).unwrap();
    connector.connect(&"n1".into(), LONG).await.unwrap()
}

#[cfg(test)]
fn asking(op: &Op) -> Invocation {
    Invocation { op: op.clone(), node: "n1".into(), request: None }
}
