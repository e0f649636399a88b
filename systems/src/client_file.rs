//! `[client]` of a system's page: each kind of client has keys of its own.

use std::fmt;
use std::marker::PhantomData;

use hyper::Method;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::resp::RespCommands;
use crate::rest::{
    DigestQuestion, FailRule, Fits, HttpCall, HttpCalls, JsonPath, LeaderQuestion, OkRule, SeenRule,
};
use crate::spec::{ClientKind, ClientSection};
use crate::spec_error::{SpecError, nearest};
use crate::spec_file::{Names, Validation, Words};

/// The kinds that are built in.
pub(crate) const KINDS: [&str; 4] = ["squall", "etcd", "http", "resp"];

/// A `[client]` as it stands.
pub(crate) trait RawClient: DeserializeOwned {
    /// Returns what it means.
    fn section(self, check: &Validation<'_>) -> Result<ClientSection, SpecError>;
}

/// A client that needs no more words than its name, or a command.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPlain {
    kind: Option<Spanned<String>>,
    exec: Option<Words>,
    addr: Spanned<String>,
}

impl RawClient for RawPlain {
    fn section(self, check: &Validation<'_>) -> Result<ClientSection, SpecError> {
        let span = self.addr.span();
        let kind = match (self.kind, self.exec) {
            (Some(kind), None) => plain_kind(&kind, check)?,
            (None, Some(command)) => ClientKind::Exec(check.command(command, Names::Client)?),
            (Some(_), Some(command)) => {
                let why = "a client has a kind or a command, not both".to_owned();
                return Err(check.locator.at(command.span(), why));
            }
            (None, None) => {
                let why = "[client] says neither kind nor exec".to_owned();
                return Err(check.locator.at(span, why));
            }
        };
        Ok(ClientSection { kind, addr: check.template(self.addr, Names::Node)? })
    }
}

fn plain_kind(kind: &Spanned<String>, check: &Validation<'_>) -> Result<ClientKind, SpecError> {
    match kind.get_ref().as_str() {
        "squall" => Ok(ClientKind::Squall),
        "etcd" => Ok(ClientKind::Etcd),
        other => {
            let why = format!("unknown client {other:?}{}", nearest(other, KINDS));
            Err(check.locator.at(kind.span(), why))
        }
    }
}

/// One rule or several. Not serde's untagged enum, which cannot say what is wrong in which rule.
struct OneOrMany<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Rules<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Rules<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule such as { status = 200 }, or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMany)
            }
        }

        from.deserialize_any(Rules(PhantomData))
    }
}

/// `kind = "http"`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHttp {
    #[serde(rename = "kind")]
    _kind: String,
    addr: Spanned<String>,
    #[serde(default)]
    fail: Vec<Spanned<RawFail>>,
    read: Spanned<RawCall>,
    write: Option<Spanned<RawCall>>,
    cas: Option<Spanned<RawCall>>,
    append: Option<Spanned<RawCall>>,
    leader: Option<Spanned<RawLeader>>,
    digest: Option<Spanned<RawDigest>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCall {
    http: Spanned<String>,
    body: Option<Spanned<String>>,
    ok: Spanned<OneOrMany<RawOk>>,
    precondition: Option<Spanned<RawSeen>>,
    #[serde(default)]
    fail: Vec<Spanned<RawFail>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOk {
    status: Option<u16>,
    body: Option<String>,
    value: Option<Spanned<String>>,
    #[serde(default)]
    absent: bool,
    pos: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeen {
    status: Option<u16>,
    body: Option<String>,
    seen: Option<Spanned<String>>,
    pos: Option<Spanned<String>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFail {
    status: Option<u16>,
    body: Option<String>,
    #[serde(default)]
    not_leader: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLeader {
    http: Spanned<String>,
    at: Spanned<String>,
    is: String,
    term: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDigest {
    http: Spanned<String>,
    value: Spanned<String>,
    at: Spanned<String>,
}

/// What an operation must say for it to be that operation.
const NEEDS: [(&str, &[&str]); 4] = [
    ("read", &["key"]),
    ("write", &["key", "value"]),
    ("cas", &["key", "old", "value"]),
    ("append", &["key", "value"]),
];

fn needs(op: &str) -> &'static [&'static str] {
    NEEDS.iter().find(|(name, _)| *name == op).map_or(&[], |(_, needs)| needs)
}

impl RawClient for RawHttp {
    fn section(self, check: &Validation<'_>) -> Result<ClientSection, SpecError> {
        let common = &self.fail;
        let call = |op: &str, raw: Option<Spanned<RawCall>>| {
            raw.map(|raw| http_call(op, raw, common, check)).transpose()
        };
        let calls = HttpCalls {
            read: call("read", Some(self.read))?,
            write: call("write", self.write)?,
            cas: call("cas", self.cas)?,
            append: call("append", self.append)?,
            leader: self.leader.map(|raw| leader(raw, check)).transpose()?,
            digest: self.digest.map(|raw| digest(raw, check)).transpose()?,
        };
        let addr = check.template(self.addr, Names::Node)?;
        Ok(ClientSection { kind: ClientKind::Http(Box::new(calls)), addr })
    }
}

fn http_call(
    op: &str,
    raw: Spanned<RawCall>,
    common: &[Spanned<RawFail>],
    check: &Validation<'_>,
) -> Result<HttpCall, SpecError> {
    let span = raw.span();
    let raw = raw.into_inner();
    let (method, path) = request(&raw.http, check)?;
    let path = check.template(Spanned::new(raw.http.span(), path), Names::Operation)?;
    let body = raw.body.map(|body| check.template(body, Names::Operation)).transpose()?;
    let said = path.names().into_iter().chain(body.iter().flat_map(|body| body.names()));
    let said: Vec<&str> = said.collect();
    if let Some(missing) = needs(op).iter().find(|name| !said.contains(*name)) {
        let why = format!("{op} says {{{missing}}} nowhere, neither in http nor in body");
        return Err(check.locator.at(span, why));
    }
    let ok_span = raw.ok.span();
    let ok = raw.ok.into_inner().0;
    if ok.is_empty() {
        return Err(check.locator.at(ok_span, "expected a rule, such as { status = 200 }".into()));
    }
    let ok = ok.into_iter().map(|raw| ok_rule(op, raw, ok_span.clone(), check));
    let ok = ok.collect::<Result<_, _>>()?;
    let fail = raw.fail.iter().chain(common).map(|raw| fail_rule(raw, check));
    let fail = fail.collect::<Result<_, _>>()?;
    let precondition = raw.precondition.map(|raw| seen_rule(op, raw, check)).transpose()?;
    Ok(HttpCall { method, path, body, fail, precondition, ok })
}

/// Splits `PUT /kv/{key}`.
fn request(text: &Spanned<String>, check: &Validation<'_>) -> Result<(Method, String), SpecError> {
    let split = text.get_ref().split_once(' ');
    let split = split.filter(|(_, path)| path.starts_with('/'));
    let split = split.and_then(|(method, path)| Some((method.parse().ok()?, path.to_owned())));
    split.ok_or_else(|| {
        let why = format!(
            "expected a method and a path such as \"GET /kv/{{key}}\", found {:?}; the address is in addr",
            text.get_ref()
        );
        check.locator.at(text.span(), why)
    })
}

fn ok_rule(
    op: &str,
    raw: RawOk,
    span: std::ops::Range<usize>,
    check: &Validation<'_>,
) -> Result<OkRule, SpecError> {
    let wrong = |why: &str| Err(check.locator.at(span.clone(), why.to_owned()));
    match (op, &raw.value, raw.absent) {
        ("read", None, false) => {
            return wrong(
                "where does the value stand? say value = \"$.value\", or absent = true where this \
                 answer means that there is no such key",
            );
        }
        ("read", Some(_), true) => return wrong("a value cannot be absent too"),
        ("read", _, _) | (_, None, false) => {}
        (_, _, _) => return wrong("only the answer to a read has a value"),
    }
    if raw.status.is_none() && raw.body.is_none() {
        return wrong("a rule needs a status or a body, such as { status = 200 }");
    }
    Ok(OkRule {
        fits: Fits { status: raw.status, body: raw.body },
        value: raw.value.map(|path| json_path(&path, check)).transpose()?,
        pos: raw.pos.map(|path| json_path(&path, check)).transpose()?,
    })
}

/// Answers that nobody can take for certain by their status alone.
const DOUBTFUL: [u16; 3] = [500, 502, 504];

fn fail_rule(raw: &Spanned<RawFail>, check: &Validation<'_>) -> Result<FailRule, SpecError> {
    let RawFail { status, body, not_leader } = raw.get_ref().clone();
    if status.is_none() && body.is_none() {
        let why = "a rule needs a status or a body, such as { status = 409 }".to_owned();
        return Err(check.locator.at(raw.span(), why));
    }
    if body.is_none() && status.is_some_and(|status| DOUBTFUL.contains(&status)) {
        let why =
            "such a status does not say that nothing was done; add the body that does".to_owned();
        return Err(check.locator.at(raw.span(), why));
    }
    Ok(FailRule { fits: Fits { status, body }, not_leader })
}

fn seen_rule(
    op: &str,
    raw: Spanned<RawSeen>,
    check: &Validation<'_>,
) -> Result<SeenRule, SpecError> {
    let span = raw.span();
    let RawSeen { status, body, seen, pos } = raw.into_inner();
    let why = match op {
        "cas" if status.is_some() || body.is_some() => None,
        "cas" => Some("a rule needs a status or a body, such as { status = 409 }"),
        _ => Some("only a cas has a precondition"),
    };
    if let Some(why) = why {
        return Err(check.locator.at(span, why.to_owned()));
    }
    Ok(SeenRule {
        fits: Fits { status, body },
        seen: seen.map(|path| json_path(&path, check)).transpose()?,
        pos: pos.map(|path| json_path(&path, check)).transpose()?,
    })
}

fn leader(raw: Spanned<RawLeader>, check: &Validation<'_>) -> Result<LeaderQuestion, SpecError> {
    let RawLeader { http, at, is, term } = raw.into_inner();
    let (method, path) = request(&http, check)?;
    Ok(LeaderQuestion {
        method,
        path,
        at: json_path(&at, check)?,
        is,
        term: term.map(|path| json_path(&path, check)).transpose()?,
    })
}

fn digest(raw: Spanned<RawDigest>, check: &Validation<'_>) -> Result<DigestQuestion, SpecError> {
    let RawDigest { http, value, at } = raw.into_inner();
    let (method, path) = request(&http, check)?;
    let (value, at) = (json_path(&value, check)?, json_path(&at, check)?);
    Ok(DigestQuestion { method, path, value, at })
}

fn json_path(text: &Spanned<String>, check: &Validation<'_>) -> Result<JsonPath, SpecError> {
    text.get_ref().parse().map_err(|why| check.locator.at(text.span(), why))
}

/// `kind = "resp"`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawResp {
    #[serde(rename = "kind")]
    _kind: String,
    addr: Spanned<String>,
    #[serde(default)]
    fail: Vec<String>,
    read: Option<Words>,
    write: Option<Words>,
    cas: Option<Words>,
    append: Option<Words>,
}

impl RawClient for RawResp {
    fn section(self, check: &Validation<'_>) -> Result<ClientSection, SpecError> {
        let command = |op: &str, words: Option<Words>| {
            words.map(|words| resp_command(op, words, check)).transpose()
        };
        let plain = |words: &[&str]| {
            words.iter().map(|word| word.parse().expect("our own template is right")).collect()
        };
        let commands = RespCommands {
            read: command("read", self.read)?.unwrap_or_else(|| plain(&["GET", "{key}"])),
            write: command("write", self.write)?
                .unwrap_or_else(|| plain(&["SET", "{key}", "{value}"])),
            cas: command("cas", self.cas)?,
            append: command("append", self.append)?,
            fail: self.fail,
        };
        let addr = check.template(self.addr, Names::Node)?;
        Ok(ClientSection { kind: ClientKind::Resp(Box::new(commands)), addr })
    }
}

fn resp_command(
    op: &str,
    words: Words,
    check: &Validation<'_>,
) -> Result<Vec<crate::template::Template>, SpecError> {
    let span = words.span();
    let command = check.command(words, Names::Operation)?;
    let said: Vec<&str> = command.iter().flat_map(|word| word.names()).collect();
    match needs(op).iter().find(|name| !said.contains(*name)) {
        Some(missing) => Err(check.locator.at(span, format!("{op} says {{{missing}}} nowhere"))),
        None => Ok(command),
    }
}
