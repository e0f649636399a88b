//! What a page becomes in a run: commands, environment, readiness, addresses.

use std::path::PathBuf;

use squall_cluster::{NodePlan, ReadyCheck};
use squall_systems::{Setup, Site, SystemSpec, client_addresses, plan, plan_services};

fn sites(nodes: u8) -> Vec<Site> {
    let site = |n: u8| Site {
        name: format!("n{n}").as_str().into(),
        ip: [10, 77, 0, n].into(),
        peer_ip: [10, 77, 0, n].into(),
        data: PathBuf::from(format!("/data/n{n}")),
    };
    (1..=nodes).map(site).collect()
}

fn setup() -> Setup {
    Setup {
        squall: "/usr/bin/squall".into(),
        bin: Some("/opt/etcd".into()),
        seed: 7,
        traces: "/run/trace".into(),
        ..Setup::default()
    }
}

fn etcd() -> SystemSpec {
    SystemSpec::parse("etcd.toml", include_str!("etcd.toml")).expect("the example is right")
}

fn reference(setup: &Setup) -> Vec<NodePlan> {
    plan(&SystemSpec::reference(), &sites(3), setup).expect("the reference can be planned")
}

#[test]
fn the_reference_is_started_as_its_page_says() {
    let second = &reference(&setup())[1];
    let seed = second.argv.iter().skip_while(|arg| *arg != "--seed").nth(1).unwrap();
    let command = second.argv.join(" ").replace(seed.as_str(), "SEED");
    assert_eq!(
        command,
        "/usr/bin/squall node --id n2 --peers n1=10.77.0.1:7000,n2=10.77.0.2:7000,n3=10.77.0.3:7000 \
         --listen 10.77.0.2:7000 --client 10.77.0.2:8000 --data /data/n2 --seed SEED"
    );
    assert_eq!(second.ready.check, ReadyCheck::Tcp("10.77.0.2:8000".parse().unwrap()));
    assert_eq!(second.data, PathBuf::from("/data/n2"));
}

#[test]
fn each_boot_gets_a_trace_of_its_own() {
    let first = &reference(&setup())[0];
    let env = first.for_boot(3).env;
    assert_eq!(env, [("SQUALL_TRACE".to_owned(), "/run/trace/n1.3.jsonl".to_owned())]);
}

#[test]
fn bug_and_settings_are_arguments_only_where_there_are_any() {
    let bug = Setup {
        bug: Some("figure8".into()),
        settings: vec![("pre-vote".into(), "false".into()), ("batch".into(), "1".into())],
        ..setup()
    };
    let argv = &reference(&bug)[0].argv;
    assert_eq!(
        argv[argv.len() - 5..],
        ["--bug=figure8", "--set", "pre-vote=false", "--set", "batch=1"]
    );
    assert!(!reference(&setup())[0].argv.iter().any(|arg| arg.starts_with("--bug")));
}

#[test]
fn nodes_draw_from_seeds_of_their_own_that_follow_from_the_runs() {
    let seeds = |seed| -> Vec<String> {
        let plans = reference(&Setup { seed, ..setup() });
        let seed_of =
            |plan: &NodePlan| plan.argv.iter().skip_while(|arg| *arg != "--seed").nth(1).cloned();
        plans.iter().filter_map(seed_of).collect()
    };
    let (first, again, other) = (seeds(7), seeds(7), seeds(8));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first[0] != first[1] && first[1] != first[2], "{first:?}");
}

#[test]
fn the_documented_example_becomes_etcds_command_line() {
    let plans = plan(&etcd(), &sites(3), &setup()).unwrap();
    assert_eq!(plans[0].argv[0], "/opt/etcd/etcd");
    let cluster = "n1=http://10.77.0.1:2380,n2=http://10.77.0.2:2380,n3=http://10.77.0.3:2380";
    assert!(plans[2].argv.iter().any(|arg| arg == cluster), "{:?}", plans[2].argv);
    assert!(plans[2].argv.iter().any(|arg| arg == "new"), "the first nodes found the cluster");
    let addr = "10.77.0.3:2379".parse().unwrap();
    assert_eq!(plans[2].ready.check, ReadyCheck::Http { addr, path: "/health".into() });
}

#[test]
fn behind_proxies_a_node_listens_at_its_own_address_and_is_dialled_at_another() {
    let mut sites = sites(2);
    for site in &mut sites {
        let [a, b, c, d] = site.ip.octets();
        site.peer_ip = [a, b, c, 100 + d].into();
    }
    let plans = plan(&SystemSpec::reference(), &sites, &setup()).unwrap();
    let line = plans[0].argv.join(" ");
    assert!(line.contains("--peers n1=10.77.0.101:7000,n2=10.77.0.102:7000"), "{line}");
    assert!(line.contains("--listen 10.77.0.1:7000"), "{line}");
}

#[test]
fn clients_dial_the_address_of_the_page() {
    let addresses = client_addresses(&SystemSpec::reference(), &sites(2), &setup()).unwrap();
    assert_eq!(addresses[&"n2".into()], "10.77.0.2:8000".parse().unwrap());
    assert_eq!(addresses.len(), 2);
}

#[test]
fn what_cannot_be_filled_in_is_named() {
    let error = plan(&etcd(), &sites(1), &Setup { bin: None, ..setup() }).unwrap_err();
    assert_eq!(error.to_string(), "failed to fill in \"{bin}/etcd\"");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("the placeholder {bin} stands for nothing here"));

    let mut spec = etcd();
    spec.client.addr = "{ip}".parse().unwrap();
    let error = client_addresses(&spec, &sites(1), &setup()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected an address such as 10.77.0.1:8000, found \"10.77.0.1\""
    );
}

#[test]
fn services_and_nodes_know_each_others_addresses() {
    let page = r#"squall = 1
[system]
name = "mine"
[[service]]
name = "clock"
cmd = ["clock", "{ip}", "{data}"]
ready = { tcp = 70 }
[[service]]
name = "front"
cmd = ["front", "--id={id}", "{service.clock.ip}", "{nodes:,:{id}={peer}}"]
env = { CLOCK = "{service.clock.ip}:70" }
ready = { http = "http://{ip}:90/up" }
[node]
cmd = ["mine", "{service.front.ip}:90", "{peer}"]
ready = { tcp = 80 }
[net]
peer_port = 60
[client]
kind = "etcd"
addr = "{service.front.ip}:80"
"#;
    let mut spec = SystemSpec::parse("page.toml", page).expect("the page is right");
    spec.place_services([[10, 77, 0, 201].into(), [10, 77, 0, 202].into()]);
    let mut sites = sites(2);
    for site in &mut sites {
        let [a, b, c, d] = site.ip.octets();
        site.peer_ip = [a, b, c, 100 + d].into();
    }
    let services = plan_services(&spec, &sites, &setup(), |name| format!("/data/{name}").into());
    let [clock, front] = &services.expect("services can be planned")[..] else {
        panic!("two services")
    };
    assert_eq!(clock.argv, ["clock", "10.77.0.201", "/data/clock"]);
    // Past the proxies, which let nodes alone pass.
    let nodes = "n1=10.77.0.1:60,n2=10.77.0.2:60";
    assert_eq!(front.argv, ["front", "--id=front", "10.77.0.201", nodes]);
    assert_eq!(front.env, [("CLOCK".to_owned(), "10.77.0.201:70".to_owned())]);
    let addr = "10.77.0.202:90".parse().unwrap();
    assert_eq!(front.ready.check, ReadyCheck::Http { addr, path: "/up".into() });
    let nodes = plan(&spec, &sites, &setup()).expect("nodes can be planned");
    assert_eq!(nodes[1].argv, ["mine", "10.77.0.202:90", "10.77.0.102:60"]);
    let clients = client_addresses(&spec, &sites, &setup()).expect("clients too");
    assert!(clients.values().all(|addr| addr.to_string() == "10.77.0.202:80"), "{clients:?}");
}

#[test]
fn a_node_is_started_as_each_version_in_its_own_way() {
    let page = r#"squall = 1
[system]
name = "mine"
[node]
cmd = ["{bin}/mine", "--is", "{version}", "--boot={boot}"]
env = { A = "a", B = "b" }
ready = { tcp = 80 }
[node.versions]
"2.1" = {}
"10.0" = { bin = "bin/ten", args = ["--id={id}"], env = { B = "v{version}" } }
"11.0" = { bin = "/opt/eleven", cmd = ["{bin}/mine", "{n}"] }
[client]
kind = "etcd"
addr = "{ip}:80"
"#;
    let spec = SystemSpec::parse("page.toml", page).expect("the page is right");
    let spec = SystemSpec { home: Some("/pages".into()), ..spec };
    let chosen = [("n2".into(), "10.0".to_owned())].into();
    let plans = plan(&spec, &sites(2), &Setup { versions: chosen, ..setup() }).expect("a plan");
    let [n1, n2] = &plans[..] else { panic!("two nodes") };
    let argv: Vec<String> = n2.versions.iter().map(|it| it.for_boot(3).argv.join(" ")).collect();
    assert_eq!(
        argv,
        [
            "/opt/etcd/mine --is 2.1 --boot=3",
            "/pages/bin/ten/mine --is 10.0 --boot=3 --id=n2",
            "/opt/eleven/mine 2",
        ]
    );
    let env =
        |n: usize| n2.versions[n].env.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>();
    assert_eq!(env(0)[1..], ["a", "b"]);
    assert_eq!(env(1)[1..], ["a", "v10.0"]);
    assert_eq!(n1.first_version().map(|version| version.name.as_str()), Some("2.1"));
    assert_eq!(n2.first_version().map(|version| version.name.as_str()), Some("10.0"));
    assert_eq!(n2.argv, n2.versions[1].argv);
}
