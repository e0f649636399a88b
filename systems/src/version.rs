//! `[node.versions]`: the versions of a system that its nodes may run, for clusters in the middle of an upgrade.

use std::collections::BTreeMap;
use std::path::PathBuf;

use squall_cluster::VersionPlan;

use crate::plan::{self, PlanError};
use crate::spec::{NodeSection, SystemSpec};
use crate::template::{Scope, Template};

/// One version, and what of `[node]` is different in it.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionSection {
    /// Its name: `{version}`.
    pub name: String,
    /// Where its binaries lie, `{bin}`: below the page's directory, unless it is an absolute path.
    pub bin: Option<PathBuf>,
    /// The command, in place of the node's.
    pub cmd: Option<Vec<Template>>,
    /// Arguments after those of the command.
    pub args: Vec<Template>,
    /// Variables, beside the node's or in place of them.
    pub env: BTreeMap<String, Template>,
}

/// The placeholder for the version's name, in `[node]` alone.
pub(crate) const VERSION_NAME: &str = "version";

impl NodeSection {
    /// Returns the names of the versions, the oldest first; nothing where there is one only.
    pub fn version_names(&self) -> Vec<String> {
        self.versions.iter().map(|version| version.name.clone()).collect()
    }

    /// Returns the command of a version.
    pub(crate) fn cmd_of<'a>(&'a self, version: &'a VersionSection) -> Vec<&'a Template> {
        version.cmd.as_ref().unwrap_or(&self.cmd).iter().chain(&version.args).collect()
    }
}

impl SystemSpec {
    /// Returns where the binaries of a version lie, if the page says so.
    pub(crate) fn bin_of(&self, version: &VersionSection) -> Option<PathBuf> {
        Some(self.dir()?.join(version.bin.as_ref()?))
    }

    /// Returns how a node is started as each version, given what its names stand for otherwise.
    pub(crate) fn version_plans(
        &self,
        scope: &Scope,
        common_env: &[(String, String)],
        settings: &[String],
    ) -> Result<Vec<VersionPlan>, PlanError> {
        let versions = self.node.versions.iter();
        versions.map(|version| self.version_plan(version, scope, common_env, settings)).collect()
    }

    fn version_plan(
        &self,
        version: &VersionSection,
        scope: &Scope,
        common_env: &[(String, String)],
        settings: &[String],
    ) -> Result<VersionPlan, PlanError> {
        let mut scope = scope.clone();
        scope.values.insert(VERSION_NAME.to_owned(), version.name.clone());
        let bin = self.bin_of(version).map(|bin| ("bin".to_owned(), bin.display().to_string()));
        scope.values.extend(bin);
        let mut argv = plan::words(self.node.cmd_of(version), &scope)?;
        argv.extend_from_slice(settings);
        let mut templates: BTreeMap<&String, &Template> = self.node.env.iter().collect();
        templates.extend(&version.env);
        let mut env = common_env.to_vec();
        for (name, template) in templates {
            env.extend(plan::filled(template, &scope)?.map(|value| (name.clone(), value)));
        }
        Ok(VersionPlan { name: version.name.clone(), argv, env })
    }
}
