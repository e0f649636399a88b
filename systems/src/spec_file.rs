//! A system's page as it stands, and what it means: every mistake is answered with its place.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use squall_history::schedule::duration;
use toml::Spanned;

use crate::attach::AttachSection;
use crate::client_file::{RawClient, RawHttp, RawPlain, RawResp};
use crate::member_file::{ID, RawMember};
use crate::rest::OP_NAMES;
use crate::service::PREFIX;
use crate::service_file::{self, RawService};
use crate::spec::{
    ATTACHED_NAMES, CLIENT_NAMES, DiskReader, Durability, LeaderClaim, NODE_NAMES, NodeSection,
    Offer, ReadClaim, Ready, ReadyCheck, SystemClaims, SystemSpec, Timing, VERSION,
};
use crate::spec_error::{Locator, SpecError, nearest};
use crate::template::{Template, TemplateError};
use crate::version::VERSION_NAME;
use crate::version_file::RawVersions;

/// The two ends of a link.
const LINK_FROM: &str = "from";
const LINK_TO: &str = "to";
/// The page's directory, which is no node's.
const HOME: &str = "home";

/// The nodes that an admin call may be about.
const ADMIN_NODES: [&str; 3] = ["leader", "new", "target"];

/// Reads a page; `file` names it in errors.
pub(crate) fn parse(file: &str, text: &str) -> Result<SystemSpec, SpecError> {
    let locator = Locator { file, text };
    check_version(&locator)?;
    match client_kind(text).as_deref() {
        Some("http") => read::<RawHttp>(locator),
        Some("resp") => read::<RawResp>(locator),
        Some(_) | None => read::<RawPlain>(locator),
    }
}

fn read<C: RawClient>(locator: Locator<'_>) -> Result<SystemSpec, SpecError> {
    let raw: Raw<C> = toml::from_str(locator.text).map_err(|error| locator.of_toml(&error))?;
    let is_attached = raw.attach.is_some();
    let services = service_file::names(&raw.service);
    let has_versions = raw.node.as_ref().is_some_and(|node| node.versions.is_some());
    let peer_port = raw.net.peer_port;
    let lists_members = raw.member.lists();
    Validation { locator, peer_port, is_attached, services, has_versions, lists_members }.spec(raw)
}

/// Reads the kind of client before the rest, since each has keys of its own.
fn client_kind(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Page {
        client: Client,
    }
    #[derive(Deserialize)]
    struct Client {
        kind: String,
    }
    toml::from_str::<Page>(text).ok().map(|page| page.client.kind)
}

/// Reads the version before the rest, since another version may have other fields.
fn check_version(locator: &Locator<'_>) -> Result<(), SpecError> {
    #[derive(Deserialize)]
    struct Version {
        squall: Spanned<u32>,
    }
    let version: Version = toml::from_str(locator.text).map_err(|error| locator.of_toml(&error))?;
    let found = *version.squall.get_ref();
    if found == VERSION {
        return Ok(());
    }
    let why = format!("unknown version {found} of the schema; this squall reads {VERSION}");
    Err(locator.at(version.squall.span(), why))
}

/// The file as it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<C> {
    #[serde(rename = "squall")]
    _version: u32,
    system: RawSystem,
    node: Option<RawNode>,
    attach: Option<Spanned<RawAttach>>,
    #[serde(default)]
    service: Vec<Spanned<RawService>>,
    #[serde(default)]
    net: RawNet,
    client: C,
    #[serde(default)]
    claims: RawClaims,
    #[serde(default)]
    disk: RawDisk,
    #[serde(default)]
    member: RawMember,
    #[serde(default)]
    timing: RawTiming,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSystem {
    name: Spanned<String>,
    nodes: Option<Spanned<usize>>,
}

pub(crate) type Words = Spanned<Vec<Spanned<String>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    cmd: Words,
    #[serde(default)]
    env: BTreeMap<String, Spanned<String>>,
    ready: Spanned<RawReady>,
    #[serde(default, deserialize_with = "some_duration")]
    apart: Option<Duration>,
    versions: Option<RawVersions>,
    downgrade: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttach {
    nodes: Spanned<Vec<String>>,
    kill: Option<Words>,
    start: Option<Words>,
    pause: Option<Words>,
    resume: Option<Words>,
    cut: Option<Words>,
    heal: Option<Words>,
    alive: Option<Words>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReady {
    http: Option<Spanned<String>>,
    log: Option<String>,
    tcp: Option<u16>,
    exec: Option<Words>,
    #[serde(default, deserialize_with = "some_duration")]
    within: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNet {
    peer_port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaims {
    #[serde(default)]
    read: ReadClaim,
    write: Option<Spanned<bool>>,
    cas: Option<Spanned<bool>>,
    append: Option<Spanned<bool>>,
    dedup: Option<bool>,
    forwards: Option<bool>,
    #[serde(default)]
    leader: LeaderClaim,
    #[serde(default)]
    durable: Durability,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDisk {
    #[serde(default)]
    reader: DiskReader,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTiming {
    #[serde(default, deserialize_with = "some_range")]
    election: Option<(Duration, Duration)>,
}

fn some_duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    duration::parse(&text).map(Some).map_err(serde::de::Error::custom)
}

fn some_range<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<(Duration, Duration)>, D::Error> {
    let text = String::deserialize(from)?;
    parse_range(&text).map(Some).map_err(serde::de::Error::custom)
}

/// Reads `500ms..1s`, or one duration for both ends.
fn parse_range(text: &str) -> Result<(Duration, Duration), String> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let range = (duration::parse(low.trim())?, duration::parse(high.trim())?);
    if range.0 > range.1 {
        return Err(format!("expected a range such as 500ms..1s, found {text:?}"));
    }
    Ok(range)
}

/// The paper's election timeouts (§5.6 measures with them).
const ELECTION: (Duration, Duration) = (Duration::from_millis(150), Duration::from_millis(300));
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Nodes that begin in the same millisecond may wait for each other: each of five etcds asks all others whether the cluster
/// exists, is accepted by those that listen and do not serve yet, and gives each of them a second.
const APART: Duration = Duration::from_millis(20);
const NODES: usize = 5;

/// Turns the file as it stands into what it means, and says where it means nothing.
pub(crate) struct Validation<'a> {
    pub(crate) locator: Locator<'a>,
    peer_port: Option<u16>,
    /// The nodes are somebody else's, and have other names.
    pub(crate) is_attached: bool,
    /// The names of the services, in the order of the page.
    pub(crate) services: Vec<String>,
    /// The nodes may run several versions.
    has_versions: bool,
    /// The members are listed, with what the cluster calls each.
    lists_members: bool,
}

/// Which names a template may use.
#[derive(Clone, Copy)]
pub(crate) enum Names {
    Node,
    /// A node, and the version that it is started as.
    Started,
    Operation,
    Client,
    Admin,
    /// A link between two nodes: `{from.id}`, `{to.ip}`.
    Link,
    /// No node: where the page lies.
    Page,
    /// The service of this number, counted from 0.
    Service(usize),
}

impl Validation<'_> {
    fn spec<C: RawClient>(&self, raw: Raw<C>) -> Result<SystemSpec, SpecError> {
        let claims = raw.claims;
        // First: other sections name them.
        let services = self.services(raw.service)?;
        let client = raw.client.section(self)?;
        let [has_write, has_cas, has_append] = client.kind.offers();
        let attach = raw.attach.map(|attach| self.attach(attach)).transpose()?;
        let nodes = match &attach {
            Some(attach) => attach.nodes.len(),
            None => self.nodes(raw.system.nodes)?,
        };
        Ok(SystemSpec {
            name: self.name(raw.system.name)?,
            home: None,
            nodes,
            services,
            node: self.started(raw.node, attach.is_some())?,
            peer_port: raw.net.peer_port,
            client,
            claims: SystemClaims {
                read: claims.read,
                write: self.claim(claims.write, has_write, "write")?,
                cas: self.claim(claims.cas, has_cas, "cas")?,
                append: self.claim(claims.append, has_append, "append")?,
                dedup: claims.dedup.unwrap_or(false),
                forwards: claims.forwards.unwrap_or(true),
                leader: claims.leader,
                durable: claims.durable,
            },
            reader: raw.disk.reader,
            member: self.member(raw.member)?,
            timing: Timing { election: raw.timing.election.unwrap_or(ELECTION) },
            attach,
        })
    }

    /// Returns whether an operation is claimed: what a page does not say follows from its client.
    fn claim(
        &self,
        claimed: Option<Spanned<bool>>,
        offered: Offer,
        op: &str,
    ) -> Result<bool, SpecError> {
        match (claimed, offered) {
            (Some(claimed), Offer::No) if *claimed.get_ref() => {
                let why = format!("{op} is claimed, but [client] does not say how it is done");
                Err(self.locator.at(claimed.span(), why))
            }
            (Some(claimed), _) => Ok(claimed.into_inner()),
            (None, offered) => Ok(offered == Offer::Yes),
        }
    }

    /// The name becomes part of a directory's name.
    fn name(&self, name: Spanned<String>) -> Result<String, SpecError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let text = name.get_ref();
        if !text.is_empty() && !text.starts_with('.') && text.chars().all(fits) {
            return Ok(name.into_inner());
        }
        let why = format!("expected a name of letters, digits, dots and dashes, found {text:?}");
        Err(self.locator.at(name.span(), why))
    }

    fn nodes(&self, nodes: Option<Spanned<usize>>) -> Result<usize, SpecError> {
        match nodes {
            Some(nodes) if *nodes.get_ref() == 0 => {
                Err(self.locator.at(nodes.span(), "expected at least 1 node".to_owned()))
            }
            Some(nodes) => Ok(nodes.into_inner()),
            None => Ok(NODES),
        }
    }

    /// Returns how nodes are started; nobody starts those of somebody else.
    fn started(&self, raw: Option<RawNode>, attached: bool) -> Result<NodeSection, SpecError> {
        let whole = 0..self.locator.text.len().min(1);
        match (raw, attached) {
            (Some(raw), false) => self.node(raw),
            (None, true) => Ok(NodeSection {
                cmd: Vec::new(),
                env: BTreeMap::new(),
                ready: Ready { check: ReadyCheck::Log(String::new()), within: READY_WITHIN },
                apart: Duration::ZERO,
                versions: Vec::new(),
                downgrade: false,
            }),
            (Some(_), true) => {
                let why = "expected [node], of which squall starts some, or [attach], and not both";
                Err(self.locator.at(whole, why.to_owned()))
            }
            (None, false) => {
                let why = "expected [node], how a node is started; or [attach], where others run";
                Err(self.locator.at(whole, why.to_owned()))
            }
        }
    }

    fn attach(&self, raw: Spanned<RawAttach>) -> Result<AttachSection, SpecError> {
        let span = raw.span();
        let RawAttach { nodes, kill, start, pause, resume, cut, heal, alive } = raw.into_inner();
        if nodes.get_ref().is_empty() {
            return Err(self.locator.at(nodes.span(), "expected at least 1 node".to_owned()));
        }
        let pair = |one: Option<Words>, back: Option<Words>, names: [Names; 2], of: &str| match (
            one, back,
        ) {
            (Some(one), Some(back)) => {
                Ok(Some((self.command(one, names[0])?, self.command(back, names[1])?)))
            }
            (None, None) => Ok(None),
            _ => Err(self.locator.at(span.clone(), format!("expected {of} together, or neither"))),
        };
        Ok(AttachSection {
            nodes: nodes.into_inner(),
            kill: pair(kill, start, [Names::Node; 2], "kill and start")?,
            pause: pair(pause, resume, [Names::Node; 2], "pause and resume")?,
            cut: pair(cut, heal, [Names::Link, Names::Page], "cut and heal")?,
            alive: alive.map(|words| self.command(words, Names::Node)).transpose()?,
        })
    }

    fn node(&self, raw: RawNode) -> Result<NodeSection, SpecError> {
        let env = raw.env.into_iter();
        let env = env.map(|(name, value)| Ok((name, self.template(value, Names::Started)?)));
        let span = raw.versions.as_ref().map(Spanned::span).unwrap_or_default();
        let (versions, downgrade) = self.versions(raw.versions, raw.downgrade)?;
        let node = NodeSection {
            cmd: self.command(raw.cmd, Names::Started)?,
            env: env.collect::<Result<_, _>>()?,
            ready: self.ready(raw.ready, Names::Node)?,
            apart: raw.apart.unwrap_or(APART),
            versions,
            downgrade,
        };
        self.check_versions_differ(&node, span)?;
        Ok(node)
    }

    pub(crate) fn ready(&self, raw: Spanned<RawReady>, names: Names) -> Result<Ready, SpecError> {
        let span = raw.span();
        let RawReady { http, log, tcp, exec, within } = raw.into_inner();
        let check = match (http, log, tcp, exec) {
            (Some(url), None, None, None) => ReadyCheck::Http(self.template(url, names)?),
            (None, Some(pattern), None, None) => ReadyCheck::Log(pattern),
            (None, None, Some(port), None) => ReadyCheck::Tcp(port),
            (None, None, None, Some(command)) => ReadyCheck::Exec(self.command(command, names)?),
            _ => {
                let why = "expected exactly one of http, log, tcp and exec in ready".to_owned();
                return Err(self.locator.at(span, why));
            }
        };
        Ok(Ready { check, within: within.unwrap_or(READY_WITHIN) })
    }

    pub(crate) fn command(&self, words: Words, names: Names) -> Result<Vec<Template>, SpecError> {
        if words.get_ref().is_empty() {
            return Err(self.locator.at(words.span(), "expected a command".to_owned()));
        }
        words.into_inner().into_iter().map(|word| self.template(word, names)).collect()
    }

    /// Reads a template, in which every name stands for something.
    pub(crate) fn template(
        &self,
        text: Spanned<String>,
        names: Names,
    ) -> Result<Template, SpecError> {
        let span = text.span();
        let template: Template = text
            .get_ref()
            .parse()
            .map_err(|error: TemplateError| self.locator.at(span.clone(), error.to_string()))?;
        match self.check_names(&template, names) {
            Err(why) => Err(self.locator.at(span, why)),
            Ok(()) => Ok(template),
        }
    }

    fn check_names(&self, template: &Template, names: Names) -> Result<(), String> {
        let Names::Service(n) = names else {
            return template.names().into_iter().try_for_each(|name| self.check_name(name, names));
        };
        let own = template.own_names().into_iter();
        own.map(|name| self.check_name_in_service(n, name, false))
            .chain(
                template
                    .names_of_each_node()
                    .into_iter()
                    .map(|name| self.check_name_in_service(n, name, true)),
            )
            .collect()
    }

    pub(crate) fn check_name(&self, name: &str, names: Names) -> Result<(), String> {
        let of_node = match (names, name.split_once('.')) {
            (Names::Node | Names::Started | Names::Client | Names::Admin, Some(_))
                if name.starts_with(PREFIX) =>
            {
                return self.check_service(name, self.services.len());
            }
            (Names::Service(n), _) => return self.check_name_in_service(n, name, false),
            (Names::Admin, Some((node, ID))) if node != ADMIN_NODES[0] && self.lists_members => {
                return Ok(());
            }
            (Names::Admin, Some((node, ID))) if ADMIN_NODES.contains(&node) => {
                return Err(format!("{{{name}}} needs [member] list, which says what it is"));
            }
            (Names::Admin, Some((node, rest))) if ADMIN_NODES.contains(&node) => rest,
            (Names::Admin, Some((node, _))) => {
                return Err(format!(
                    "unknown placeholder {{{name}}}{}",
                    nearest(node, ADMIN_NODES)
                ));
            }
            (Names::Link, Some((LINK_FROM | LINK_TO, rest))) => rest,
            (Names::Link, _) if name == HOME => return Ok(()),
            (Names::Link, _) => {
                let near = "did you mean {from.id} or {to.id}?";
                return Err(format!("unknown placeholder {{{name}}}; {near}"));
            }
            (Names::Page, _) => return known(name, &[HOME]),
            (Names::Operation, _) => return known(name, &OP_NAMES),
            (Names::Client, _) => return known(name, &CLIENT_NAMES),
            (Names::Started, None) if name == VERSION_NAME && self.has_versions => return Ok(()),
            (_, None) if name == VERSION_NAME => {
                return Err(
                    "{version} stands in cmd and env of a [node] with versions alone".to_owned()
                );
            }
            (Names::Node | Names::Started, _) | (Names::Admin, None) => name,
        };
        if self.is_attached {
            return known(of_node, &ATTACHED_NAMES);
        }
        if !NODE_NAMES.contains(&of_node) {
            return Err(format!("unknown placeholder {{{name}}}{}", nearest(of_node, NODE_NAMES)));
        }
        if of_node == "peer" && self.peer_port.is_none() {
            return Err(format!("{{{name}}} needs [net] peer_port"));
        }
        Ok(())
    }
}

fn known(name: &str, names: &[&str]) -> Result<(), String> {
    if names.contains(&name) {
        return Ok(());
    }
    Err(format!("unknown placeholder {{{name}}}{}", nearest(name, names.iter().copied())))
}
