//! `[member]` as it stands in a page, and what it means.

use serde::Deserialize;
use squall_cluster::Rejoin;
use toml::Spanned;

use crate::rest::JsonPath;
use crate::spec::{AdminCall, MemberList, MemberSection};
use crate::spec_error::SpecError;
use crate::spec_file::{Names, Validation, Words};

/// What the cluster calls a node, in `{target.member}`.
pub(crate) const ID: &str = "member";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMember {
    add: Option<Spanned<RawCall>>,
    remove: Option<Spanned<RawCall>>,
    transfer: Option<Spanned<RawCall>>,
    list: Option<RawList>,
    #[serde(default)]
    rejoin: RawRejoin,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawRejoin {
    #[default]
    Wipe,
    Keep,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCall {
    http: Option<Spanned<String>>,
    body: Option<Spanned<String>>,
    exec: Option<Words>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    http: Spanned<String>,
    body: Option<Spanned<String>>,
    each: Spanned<String>,
    at: Spanned<String>,
    is: Spanned<String>,
    id: Spanned<String>,
}

impl RawMember {
    /// Returns whether members are listed.
    pub(crate) fn lists(&self) -> bool {
        self.list.is_some()
    }
}

impl Validation<'_> {
    /// Returns how members are changed.
    pub(crate) fn member(&self, raw: RawMember) -> Result<MemberSection, SpecError> {
        Ok(MemberSection {
            add: raw.add.map(|call| self.call(call)).transpose()?,
            remove: raw.remove.map(|call| self.call(call)).transpose()?,
            transfer: raw.transfer.map(|call| self.call(call)).transpose()?,
            list: raw.list.map(|list| self.list(list)).transpose()?,
            rejoin: match raw.rejoin {
                RawRejoin::Wipe => Rejoin::Wipe,
                RawRejoin::Keep => Rejoin::Keep,
            },
        })
    }

    fn call(&self, raw: Spanned<RawCall>) -> Result<AdminCall, SpecError> {
        let span = raw.span();
        match raw.into_inner() {
            RawCall { http: Some(request), body, exec: None } => Ok(AdminCall::Http {
                request: self.request(request)?,
                body: body.map(|body| self.template(body, Names::Admin)).transpose()?,
            }),
            RawCall { http: None, body: None, exec: Some(command) } => {
                Ok(AdminCall::Exec(self.command(command, Names::Admin)?))
            }
            RawCall { .. } => {
                let why = "expected http, with or without a body, or exec".to_owned();
                Err(self.locator.at(span, why))
            }
        }
    }

    fn request(&self, text: Spanned<String>) -> Result<crate::template::Template, SpecError> {
        let is_whole = text.get_ref().split_once(" http://").is_some_and(|(method, _)| {
            !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase())
        });
        if !is_whole {
            let why = format!(
                "expected a method and a URL, such as POST http://{{leader.ip}}:2379/…, found {:?}",
                text.get_ref()
            );
            return Err(self.locator.at(text.span(), why));
        }
        self.template(text, Names::Admin)
    }

    fn list(&self, raw: RawList) -> Result<MemberList, SpecError> {
        Ok(MemberList {
            request: self.request(raw.http)?,
            body: raw.body.map(|body| self.template(body, Names::Admin)).transpose()?,
            each: self.json_path(raw.each)?,
            at: self.json_path(raw.at)?,
            is: self.template(raw.is, Names::Admin)?,
            id: self.json_path(raw.id)?,
        })
    }

    fn json_path(&self, text: Spanned<String>) -> Result<JsonPath, SpecError> {
        text.get_ref().parse().map_err(|why| self.locator.at(text.span(), why))
    }
}
