//! What a system's TOML may say, and how mistakes in it are answered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use squall_systems::{
    Addresses, AdminCall, ClientKind, DiskReader, Durability, LeaderClaim, ReadClaim, ReadyCheck,
    SystemSpec,
};

/// The smallest file that is right.
const SMALL: &str = r#"squall = 1
[system]
name = "mine"
[node]
cmd = ["{bin}/mine", "--id", "{id}"]
ready = { tcp = 80 }
[client]
kind = "etcd"
addr = "{ip}:80"
"#;

fn parse(text: &str) -> SystemSpec {
    SystemSpec::parse("system.toml", text).expect("the file is right")
}

#[test]
fn every_page_of_the_project_is_right_and_is_called_as_its_system() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |path: &PathBuf| {
        path.extension().is_some_and(|it| it == "toml") && !path.ends_with("Cargo.toml")
    };
    let pages: Vec<_> = entries.filter(is_page).collect();
    assert!(pages.len() >= 10, "found only {pages:?}");
    for page in pages {
        let spec = SystemSpec::read(&page).unwrap_or_else(|error| panic!("{error}"));
        assert!(spec.connect(Addresses::new()).is_ok(), "{page:?} has no client");
        let name = page.file_stem().unwrap().to_string_lossy();
        let own = name == spec.name || spec.name == "squall-raft";
        assert!(own, "{page:?} calls itself {}, which fetch does not know", spec.name);
    }
}

/// Puts a mistake into the small file and returns the answer.
fn error(right: &str, wrong: &str) -> String {
    assert!(SMALL.contains(right), "{right:?} is not in the small file");
    error_of(&SMALL.replacen(right, wrong, 1))
}

fn error_of(text: &str) -> String {
    SystemSpec::parse("system.toml", text).expect_err("a mistake").to_string()
}

#[test]
fn the_documented_example_is_read_whole() {
    let etcd = parse(include_str!("etcd.toml"));
    assert_eq!((etcd.name.as_str(), etcd.nodes), ("etcd-3.5.1", 3));
    assert_eq!(etcd.node.cmd[0].source(), "{bin}/etcd");
    assert_eq!(etcd.node.cmd.len(), 21);
    assert_eq!(etcd.node.ready.within, Duration::from_secs(20));
    assert!(matches!(etcd.node.ready.check, ReadyCheck::Http(_)));
    assert_eq!(etcd.node.apart, Duration::from_millis(20));
    assert_eq!(etcd.peer_port, Some(2380));
    assert_eq!(etcd.client.kind, ClientKind::Etcd);
    assert_eq!(etcd.claims.read, ReadClaim::Linearizable);
    assert_eq!(etcd.claims.leader, LeaderClaim::OnePerTerm);
    assert_eq!(etcd.claims.durable, Durability::Fsync);
    assert_eq!(etcd.reader, DiskReader::EtcdWal);
    let Some(AdminCall::Http { body: Some(body), .. }) = etcd.member.add else {
        panic!("members are added by HTTP with a body");
    };
    assert_eq!(body.names(), ["new.peer"]);
    assert_eq!(etcd.timing.election, (Duration::from_millis(500), Duration::from_secs(1)));
}

#[test]
fn what_is_left_out_has_a_default() {
    let small = parse(SMALL);
    assert_eq!(small.nodes, 5);
    assert_eq!(small.node.ready.within, Duration::from_secs(20));
    assert!(small.claims.write && small.claims.cas);
    assert!(!small.claims.append && !small.claims.dedup, "nothing is held against a silent file");
    assert_eq!(small.reader, DiskReader::None);
    assert_eq!(small.timing.election.0, Duration::from_millis(150));
}

#[test]
fn every_form_of_readiness_and_client_is_read() {
    for (ready, right) in [
        ("{ http = \"http://{ip}/\" }", true),
        ("{ log = \"serving\" }", true),
        ("{ exec = [\"nc\", \"-z\", \"{ip}\", \"80\"], within = \"500ms\" }", true),
        ("{ tcp = 80, log = \"serving\" }", false),
        ("{ within = \"5s\" }", false),
    ] {
        let text = SMALL.replace("{ tcp = 80 }", ready);
        let read = SystemSpec::parse("system.toml", &text);
        assert_eq!(read.is_ok(), right, "{ready}: {read:?}");
    }
    let exec = SMALL.replace("kind = \"etcd\"", "exec = [\"python3\", \"client.py\"]");
    assert!(matches!(parse(&exec).client.kind, ClientKind::Exec(command) if command.len() == 2));
}

#[test]
fn mistakes_are_answered_with_the_place_and_the_nearest_word() {
    let answers = [
        error("name =", "nam ="),
        error("[system]", "[sytem]"),
        error("tcp = 80", "tpc = 80"),
        error("kind = \"etcd\"", "kind = \"htpp\""),
        error("kind = \"etcd\"", "kind = \"etcd\"\nexec = [\"x\"]"),
        error("kind = \"etcd\"\n", ""),
        error("{id}", "{idd}"),
        error("{id}", "{peer}"),
        error("{id}", "{id"),
        error("{id}", "{nodes:id}"),
        error("{ip}", "{leader.ip}"),
        error("\"{bin}/mine\", \"--id\", \"{id}\"", ""),
        error("tcp = 80", "tcp = 80000"),
        error("tcp = 80", "tcp = 80, within = \"soon\""),
        error("tcp = 80", "tcp = 80, log = \"x\""),
        error("[node]", "[node]\napart = \"soon\""),
        error("\"mine\"", "\"my system\""),
        error("\"mine\"", "\"mine\"\nnodes = 0"),
        error("squall = 1", "squall = 2"),
        error("squall = 1", ""),
        error("[node]", "[claims]\nread = \"linearisable\"\n[node]"),
        error("[node]", "[timing]\nelection = \"1s..500ms\"\n[node]"),
        error("[node]", "[member]\nadd = { body = \"x\" }\n[node]"),
        error("[node]", "[member]\nadd = { http = \"POST http://{leadr.ip}\" }\n[node]"),
        error("[node]", "[node"),
        error("name = \"mine\"", ""),
        error_of("squall = 1\n"),
        error_of(""),
    ]
    .join("\n");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(answers) });
}

#[test]
fn columns_count_characters() {
    let text = SMALL.replace("\"--id\"", "\"--größe\", \"{größe}\"");
    let column = "cmd = [\"{bin}/mine\", \"--größe\", ".chars().count() + 1;
    let error = error_of(&text);
    assert!(error.starts_with(&format!("system.toml:5:{column}: ")), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = SystemSpec::read(Path::new("no/such.toml")).unwrap_err();
    assert_eq!(error.to_string(), "failed to read the system's file no/such.toml");
}

/// The smallest page of a system that speaks HTTP.
const HTTP: &str = r#"squall = 1
[system]
name = "mine"
[node]
cmd = ["mine"]
ready = { tcp = 80 }
[client]
kind = "http"
addr = "{ip}:80"
fail = [{ status = 421, not_leader = true }]
read = { http = "GET /kv/{key}", ok = [{ status = 200, value = "$.v" }, { status = 404, absent = true }] }
write = { http = "PUT /kv/{key}", body = '{"v":{value}}', ok = { status = 200 } }
"#;

#[test]
fn what_a_client_cannot_do_is_not_claimed() {
    let claims = |text: &str| {
        let claims = parse(text).claims;
        [claims.write, claims.cas, claims.append]
    };
    assert_eq!(claims(HTTP), [true, false, false]);
    assert_eq!(claims(SMALL), [true, true, false]);
    assert_eq!(claims(&SMALL.replace("\"etcd\"", "\"resp\"")), [true, false, false]);
    let cas = "\"resp\"\ncas = [\"CAS\", \"{key}\", \"{old}\", \"{value}\"]";
    assert_eq!(claims(&SMALL.replace("\"etcd\"", cas)), [true, true, false]);
}

#[test]
fn mistakes_in_operations_are_answered_with_the_place() {
    let error = |right: &str, wrong: &str| {
        assert!(HTTP.contains(right), "{right:?} is not in the page");
        error_of(&HTTP.replacen(right, wrong, 1))
    };
    let answers = [
        error("GET /kv", "GET http://{ip}/kv"),
        error("GET /kv/{key}", "GET /kv/{kee}"),
        error("GET /kv/{key}", "GET /kv"),
        error("{\"v\":{value}}", "5"),
        error(", value = \"$.v\"", ""),
        error("\"$.v\"", "\"v\""),
        error("status = 404, absent = true", "absent = true"),
        error("status = 404, absent", "staus = 404, absent"),
        error("ok = { status = 200 }", "ok = []"),
        error("ok = { status = 200 }", "ok = 200"),
        error("ok = { status = 200 }", "ok = { status = 200, value = \"$\" }"),
        error("ok = { status = 200 }", "precondition = { status = 409 }, ok = { status = 200 }"),
        error("status = 421", "status = 500"),
        error("{ status = 421, not_leader = true }", "{ not_leader = true }"),
        error("fail =", "fial ="),
        error("[client]", "[claims]\ncas = true\n[client]"),
        error("fail =", "digest = { http = \"GET /digest\", value = \"$.digest\" }\nfail ="),
        error_of(&SMALL.replace("\"etcd\"", "\"resp\"\nwrite = [\"SET\", \"{key}\"]")),
    ]
    .join("\n");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(answers) });
}

/// A cluster that somebody else started, and all that may be said of it.
const ATTACHED: &str = r#"squall = 1
[system]
name = "theirs"
[attach]
nodes = ["127.0.0.1:2379", "localhost:22379", "127.0.0.1:32379"]
kill = ["docker", "compose", "kill", "etcd-{n}"]
start = ["docker", "compose", "start", "etcd-{n}"]
cut = ["{home}/cut", "{from.ip}", "{to.id}"]
heal = ["{home}/heal"]
alive = ["nc", "-z", "{address}"]
[client]
kind = "etcd"
addr = "{address}"
"#;

#[test]
fn a_cluster_of_somebody_else_is_planned_with_the_users_commands() {
    let spec = parse(ATTACHED);
    assert_eq!(spec.nodes, 3);
    let attach = spec.attach.clone().expect("it is somebody else's");
    let plan = attach.plan(&SystemSpec { home: Some("/pages".into()), ..spec }).expect("a plan");
    let [_, n2, _] = &plan.nodes[..] else { panic!("three nodes") };
    assert_eq!(n2.address.port(), 22379);
    let words = |text: &str| Some(text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(n2.kill, words("docker compose kill etcd-2"));
    assert_eq!(n2.start, words("docker compose start etcd-2"));
    assert_eq!(n2.alive, words("nc -z localhost:22379"));
    assert_eq!((&n2.pause, &n2.resume), (&None, &None));
    assert_eq!(plan.heal, words("/pages/heal"));
    assert_eq!(plan.cut.len(), 6);
    let pair = ("n1".into(), "n3".into());
    assert_eq!(plan.cut.get(&pair).cloned(), words("/pages/cut 127.0.0.1 n3"));
}

#[test]
fn mistakes_about_somebody_elses_cluster_are_answered_with_their_place() {
    let error = |from: &str, to: &str| error_of(&ATTACHED.replace(from, to));
    let cases = [
        (
            error("start = [\"docker\", \"compose\", \"start\", \"etcd-{n}\"]\n", ""),
            "kill and start together",
        ),
        (error("{from.ip}", "{form.ip}"), "did you mean {from.id}"),
        (error("\"etcd-{n}\"", "\"{data}\""), "unknown placeholder {data}"),
        (error("{home}/heal", "{id}/heal"), "system.toml:9:9: unknown placeholder {id}"),
        (error("[client]", "[node]\ncmd = [\"x\"]\nready = { tcp = 1 }\n[client]"), "and not both"),
        (
            error_of(
                "squall = 1\n[system]\nname = \"x\"\n[client]\nkind = \"etcd\"\naddr = \"{ip}:1\"\n",
            ),
            "or [attach]",
        ),
        (
            error("[\"127.0.0.1:2379\", \"localhost:22379\", \"127.0.0.1:32379\"]", "[]"),
            "system.toml:5:9: expected at least 1 node",
        ),
    ];
    for (error, part) in cases {
        assert!(error.starts_with("system.toml:") && error.contains(part), "{part} in {error}");
    }
    let nowhere = parse(&ATTACHED.replace("localhost:22379", "nowhere.invalid:1"));
    let attach = nowhere.attach.clone().expect("it is somebody else's");
    let error = attach.plan(&nowhere).expect_err("there is no such host").to_string();
    assert!(error.contains("nowhere.invalid:1"), "{error}");
}

/// A page with two services, of which the second knows the first.
const SERVED: &str = r#"squall = 1
[system]
name = "mine"
[[service]]
name = "clock"
cmd = ["/bin/sh", "{data}"]
ready = { tcp = 70 }
[[service]]
name = "front-2"
cmd = ["/bin/sh", "{service.clock.ip}", "{nodes:,:{id}={peer}}"]
env = { ME = "{id}@{ip}" }
ready = { http = "http://{ip}:90/", within = "3s" }
[node]
cmd = ["mine", "{service.front-2.ip}:90"]
ready = { tcp = 80 }
[net]
peer_port = 60
[client]
exec = ["client", "{service.clock.ip}"]
addr = "{service.front-2.ip}:80"
"#;

#[test]
fn services_are_read_in_the_order_in_which_they_are_started() {
    let spec = parse(SERVED);
    let names: Vec<&str> = spec.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["clock", "front-2"]);
    assert_eq!(spec.services[1].ready.within, Duration::from_secs(3));
    assert_eq!(spec.services[0].cmd_at, "system.toml:6:7");
    assert!(spec.connect(Addresses::new()).is_ok(), "clients may know services");
}

#[test]
fn mistakes_about_services_are_answered_with_their_place() {
    let error = |from: &str, to: &str| {
        assert!(SERVED.contains(from), "{from:?} is not in the page");
        error_of(&SERVED.replacen(from, to, 1))
    };
    let attached = SERVED.replace(
        "[node]\ncmd = [\"mine\", \"{service.front-2.ip}:90\"]\nready = { tcp = 80 }",
        "[attach]\nnodes = [\"127.0.0.1:1\"]",
    );
    let answers = [
        error("{service.front-2.ip}:90", "{service.frnt-2.ip}:90"),
        error("client\", \"{service.clock.ip}", "client\", \"{service.clok.ip}"),
        error("{service.front-2.ip}:80", "{service.front-2.port}:80"),
        error("\"{data}\"", "\"{service.front-2.ip}\""),
        error("\"{data}\"", "\"{service.clock.ip}\""),
        error("\"{data}\"", "\"{n}\""),
        error("\"{data}\"", "\"{dtaa}\""),
        error("{id}={peer}", "{idd}={peer}"),
        error("\"front-2\"", "\"clock\""),
        error("\"front-2\"", "\"n2\""),
        error("\"front-2\"", "\"Front\""),
        error("name = \"clock\"\n", ""),
        error("ready = { tcp = 70 }", "ready = { tcp = 70, log = \"x\" }"),
        error("ready = { tcp = 70 }", "redy = { tcp = 70 }"),
        error("cmd = [\"/bin/sh\", \"{data}\"]", "cmd = []"),
        error_of(&attached),
        error_of(&SMALL.replace("{ip}:80", "{service.x.ip}:80")),
    ]
    .join("\n");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(answers) });
}

/// A page with versions, of which the newer one takes another flag.
const VERSIONED: &str = r#"squall = 1
[system]
name = "mine"
[node]
cmd = ["{bin}/mine", "--is", "{version}"]
ready = { tcp = 80 }
downgrade = true
[node.versions]
"2.1" = {}
"10.0" = { bin = "bin/ten", args = ["--new"], env = { V = "v{version}" } }
"9.0" = { cmd = ["nine", "{id}"] }
[client]
kind = "etcd"
addr = "{ip}:80"
"#;

#[test]
fn versions_are_read_in_the_order_of_the_page() {
    let node = parse(VERSIONED).node;
    assert_eq!(node.version_names(), ["2.1", "10.0", "9.0"]);
    assert!(node.downgrade);
    assert_eq!(node.versions[1].bin, Some("bin/ten".into()));
    assert!(parse(SMALL).node.version_names().is_empty());
}

#[test]
fn mistakes_about_versions_are_answered_with_their_place() {
    let error = |from: &str, to: &str| {
        assert!(VERSIONED.contains(from), "{from:?} is not in the page");
        error_of(&VERSIONED.replacen(from, to, 1))
    };
    let answers = [
        error("bin = \"bin/ten\"", "bni = \"bin/ten\""),
        error("{id}", "{idd}"),
        error("v{version}", "v{vresion}"),
        error("\"9.0\"", "\"10.0\""),
        error("\"9.0\"", "\"9 0\""),
        error_of(
            &VERSIONED
                .replace("\"2.1\" = {}\n", "")
                .replace("\"9.0\" = { cmd = [\"nine\", \"{id}\"] }\n", ""),
        ),
        error("cmd = [\"nine\", \"{id}\"]", "cmd = []"),
        error_of(&VERSIONED.replace("\"{version}\"", "\"1\"").replace(
            "{ bin = \"bin/ten\", args = [\"--new\"], env = { V = \"v{version}\" } }",
            "{}",
        )),
        error("downgrade = true", "downgrade = 1"),
        error_of(&SMALL.replace("ready", "downgrade = true\nready")),
        error_of(&SMALL.replace("{id}", "{version}")),
        error("{ip}:80", "{version}:80"),
    ]
    .join("\n");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(answers) });
}

#[test]
fn changes_of_members_are_read_and_mistakes_in_them_answered_with_their_place() {
    let page = include_str!("../etcd-member.toml");
    let spec = parse(page);
    assert!(spec.changes_members());
    assert!(spec.member.list.is_some());
    assert!(!parse(include_str!("etcd.toml")).changes_members(), "nobody says how one leaves");
    let error = |from: &str, to: &str| {
        assert!(page.contains(from), "{from:?} is not in the page");
        error_of(&page.replacen(from, to, 1))
    };
    let answers = [
        error("POST http://{leader.ip}:2379/v3/cluster/member/add", "http://{leader.ip}:2379/add"),
        error("{target.member}", "{leader.member}"),
        error("{target.member}", "{target.membr}"),
        error("{target.peer}", "{traget.peer}"),
        error("\"$.ID\"", "\"ID\""),
        error("each = \"$.members\"\n", ""),
        error("rejoin = \"wipe\"", "rejoin = \"whipe\""),
        error_of(page.split("[member.list]").next().unwrap_or_default()),
    ]
    .join("\n");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(answers) });
}
