//! `[node.versions]` as it stands in a page, and what it means.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::spec::NodeSection;
use crate::spec_error::SpecError;
use crate::spec_file::{Names, Validation, Words};
use crate::template::Template;
use crate::version::{VERSION_NAME, VersionSection};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawVersion {
    bin: Option<String>,
    cmd: Option<Words>,
    #[serde(default)]
    args: Vec<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<String, Spanned<String>>,
}

/// By name; the order is that of the page.
pub(crate) type RawVersions = Spanned<BTreeMap<Spanned<String>, RawVersion>>;

impl Validation<'_> {
    /// Returns the versions in the order of the page, and whether nodes may go back.
    pub(crate) fn versions(
        &self,
        raw: Option<RawVersions>,
        downgrade: Option<Spanned<bool>>,
    ) -> Result<(Vec<VersionSection>, bool), SpecError> {
        let Some(raw) = raw else {
            return match downgrade {
                Some(word) => {
                    let why = "downgrade is about [node.versions], of which there are none";
                    Err(self.locator.at(word.span(), why.to_owned()))
                }
                None => Ok((Vec::new(), false)),
            };
        };
        let span = raw.span();
        let mut named: Vec<_> = raw.into_inner().into_iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);
        if named.len() < 2 {
            let why = "expected at least 2 versions, the oldest first";
            return Err(self.locator.at(span, why.to_owned()));
        }
        let versions = named.into_iter().map(|(name, version)| self.version(name, version));
        let versions = versions.collect::<Result<_, _>>()?;
        Ok((versions, downgrade.is_some_and(Spanned::into_inner)))
    }

    fn version(&self, name: Spanned<String>, raw: RawVersion) -> Result<VersionSection, SpecError> {
        let text = name.get_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            let why =
                format!("expected a version of letters, digits, dots and dashes, found {text:?}");
            return Err(self.locator.at(name.span(), why));
        }
        let template = |text| self.template(text, Names::Started);
        let env = raw.env.into_iter().map(|(name, value)| Ok((name, template(value)?)));
        Ok(VersionSection {
            env: env.collect::<Result<_, _>>()?,
            cmd: raw.cmd.map(|cmd| self.command(cmd, Names::Started)).transpose()?,
            args: raw.args.into_iter().map(template).collect::<Result<_, _>>()?,
            bin: raw.bin.map(Into::into),
            name: name.into_inner(),
        })
    }

    /// Two versions that are started alike are one.
    pub(crate) fn check_versions_differ(
        &self,
        node: &NodeSection,
        span: std::ops::Range<usize>,
    ) -> Result<(), SpecError> {
        let says = |template: &&Template| template.names().contains(&VERSION_NAME);
        for (n, version) in node.versions.iter().enumerate() {
            let cmd = node.cmd_of(version);
            if cmd
                .iter()
                .copied()
                .chain(node.env.values())
                .chain(version.env.values())
                .any(|it| says(&it))
            {
                continue;
            }
            let same = |earlier: &&VersionSection| {
                let started = |one: &VersionSection| (one.bin.clone(), one.env.clone());
                node.cmd_of(earlier) == cmd && started(earlier) == started(version)
            };
            if let Some(earlier) = node.versions[..n].iter().find(same) {
                let why = format!(
                    "version {:?} is started as {:?} is; say bin, cmd, args or env, or {{version}} in cmd",
                    version.name, earlier.name
                );
                return Err(self.locator.at(span, why));
            }
        }
        Ok(())
    }
}
