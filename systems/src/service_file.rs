//! `[[service]]` as it stands in a page, and what it means.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;
use toml::Spanned;

use crate::service::{PREFIX, SERVICE_NAMES, ServiceSection};
use crate::spec::NODE_NAMES;
use crate::spec_error::{SpecError, nearest};
use crate::spec_file::{Names, RawReady, Validation, Words};

/// More than any run has addresses for in its network.
const MOST: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawService {
    name: Spanned<String>,
    cmd: Words,
    #[serde(default)]
    env: BTreeMap<String, Spanned<String>>,
    ready: Spanned<RawReady>,
}

/// Returns the names of all services, in the order of the page.
pub(crate) fn names(services: &[Spanned<RawService>]) -> Vec<String> {
    services.iter().map(|service| service.get_ref().name.get_ref().clone()).collect()
}

impl Validation<'_> {
    /// Returns what runs beside the nodes.
    pub(crate) fn services(
        &self,
        raw: Vec<Spanned<RawService>>,
    ) -> Result<Vec<ServiceSection>, SpecError> {
        if let Some(first) = raw.first().filter(|_| self.is_attached) {
            let why = "squall starts nothing beside a cluster that runs already: [[service]] goes with [node], and \
                       not with [attach]";
            return Err(self.locator.at(first.span(), why.to_owned()));
        }
        if let Some(one) = raw.get(MOST) {
            let why = format!("expected at most {MOST} services");
            return Err(self.locator.at(one.span(), why));
        }
        let services = raw.into_iter().enumerate();
        services.map(|(n, service)| self.service(n, service.into_inner())).collect()
    }

    fn service(&self, n: usize, raw: RawService) -> Result<ServiceSection, SpecError> {
        self.check_service_name(n, &raw.name)?;
        let names = Names::Service(n);
        let cmd_at = self.locator.place(raw.cmd.span());
        let env = raw.env.into_iter();
        let env = env.map(|(name, value)| Ok((name, self.template(value, names)?)));
        Ok(ServiceSection {
            name: raw.name.into_inner(),
            env: env.collect::<Result<_, _>>()?,
            cmd: self.command(raw.cmd, names)?,
            ready: self.ready(raw.ready, names)?,
            ip: Ipv4Addr::UNSPECIFIED,
            cmd_at,
        })
    }

    /// The name becomes part of a directory's name and of a placeholder's, and stands beside the nodes'.
    fn check_service_name(&self, n: usize, name: &Spanned<String>) -> Result<(), SpecError> {
        let text = name.get_ref().as_str();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let why = if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(fits)
        {
            format!("expected a name of lower-case letters, digits and dashes, found {text:?}")
        } else if text.strip_prefix('n').is_some_and(is_number) {
            format!("nodes are called n1, n2 and so on; a service cannot be {text:?} too")
        } else if self.services[..n].iter().any(|earlier| earlier == text) {
            format!("there is a service {text:?} already")
        } else {
            return Ok(());
        };
        Err(self.locator.at(name.span(), why))
    }

    /// Looks at a name in a template of the n-th service.
    pub(crate) fn check_name_in_service(
        &self,
        n: usize,
        name: &str,
        of_each_node: bool,
    ) -> Result<(), String> {
        if name.starts_with(PREFIX) {
            return self.check_service(name, n);
        }
        if of_each_node {
            return self.check_name(name, Names::Node);
        }
        if SERVICE_NAMES.contains(&name) {
            return Ok(());
        }
        if NODE_NAMES.contains(&name) {
            let own = SERVICE_NAMES.join(", ");
            return Err(format!(
                "{{{name}}} is a node's; a service has {own}, and nodes stand inside {{nodes:,:{{{name}}}}}"
            ));
        }
        Err(format!("unknown placeholder {{{name}}}{}", nearest(name, SERVICE_NAMES)))
    }

    /// Looks at `service.NAME.ip`, where the first so many services are known.
    pub(crate) fn check_service(&self, name: &str, known: usize) -> Result<(), String> {
        let rest = name.strip_prefix(PREFIX).unwrap_or(name);
        let (service, field) = rest.split_once('.').unwrap_or((rest, ""));
        match self.services.iter().position(|one| one == service) {
            None if self.services.is_empty() => {
                Err(format!("unknown service {service:?}: the page has no [[service]]"))
            }
            None => {
                let names = self.services.iter().map(String::as_str);
                Err(format!("unknown service {service:?}{}", nearest(service, names)))
            }
            Some(_) if field != "ip" => {
                Err(format!("of a service there is {{service.{service}.ip}}, and no {{{name}}}"))
            }
            Some(at) if at >= known => {
                Err(format!("service {service:?} is not started before this one"))
            }
            Some(_) => Ok(()),
        }
    }
}
