//! Where a system's binaries lie, and which one was tested: its hash goes into run.json.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::service::ServiceSection;
use crate::spec::SystemSpec;
use crate::template::{Scope, Template};
use crate::version::VersionSection;

/// Says that the binary of a system is not there, and how to get it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}the binary of {system} is missing: {}{}",
    at.as_deref().map(|at| format!("{at}: ")).unwrap_or_default(),
    path.display(),
    hint(fetch.as_deref())
)]
pub struct MissingBinary {
    /// The system, or its service.
    pub system: String,
    /// Where in the page it is named, if that is known.
    pub at: Option<String>,
    /// Where it should be.
    pub path: PathBuf,
    /// The command that gets it, where there is one.
    pub fetch: Option<String>,
}

fn hint(fetch: Option<&str>) -> String {
    fetch.map(|command| format!("; get it with {command}")).unwrap_or_default()
}

impl SystemSpec {
    /// Returns where its binaries lie, unless the run says otherwise: in `bin/<name>` beside its page.
    pub fn bin(&self) -> Option<PathBuf> {
        Some(self.dir()?.join("bin").join(&self.name))
    }

    /// Returns the directory of its page. Nodes have a working directory of their own, so it is absolute.
    pub fn dir(&self) -> Option<PathBuf> {
        std::path::absolute(self.home.as_deref()?.join(".")).ok()
    }

    /// Checks that the binary which its page starts lies beside it, where the page says `{bin}`.
    pub fn check_binary(&self) -> Result<(), MissingBinary> {
        let Some(bin) = self.bin() else { return Ok(()) };
        if self.node.versions.is_empty() {
            self.node.cmd.first().map_or(Ok(()), |program| self.check_program(&bin, program))?;
        }
        self.node.versions.iter().try_for_each(|version| self.check_version(&bin, version))?;
        self.services.iter().try_for_each(|service| self.check_service_binary(&bin, service))
    }

    /// A version's program is looked for below the page's directory, where only `{bin}`, `{home}` and `{version}` say which
    /// it is.
    fn check_version(&self, bin: &Path, version: &VersionSection) -> Result<(), MissingBinary> {
        let home = self.dir().unwrap_or_default();
        let bin = self.bin_of(version).unwrap_or(bin.to_owned());
        let path = |path: &Path| path.display().to_string();
        let values =
            [("bin", path(&bin)), ("home", path(&home)), ("version", version.name.clone())];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        let cmd = self.node.cmd_of(version);
        let program = cmd.first().and_then(|program| {
            program.expand(&Scope { values, ..Scope::default() }).ok().flatten()
        });
        let Some(program) = program.map(PathBuf::from) else { return Ok(()) };
        if !program.is_absolute() || program.is_file() {
            return Ok(());
        }
        let below = program.strip_prefix(home.join("bin")).ok();
        let name = below.and_then(|below| below.iter().next()).and_then(|name| name.to_str());
        Err(MissingBinary {
            system: format!("version {} of {}", version.name, self.name),
            at: None,
            fetch: name.and_then(|name| self.fetch(name)),
            path: program,
        })
    }

    /// Returns the command that gets a binary, where the page's directory has one.
    fn fetch(&self, name: &str) -> Option<String> {
        let script = self.home.as_deref()?.join("fetch");
        script.is_file().then(|| format!("{} {name}", command(&script)))
    }

    /// The program of a service is looked for wherever it should be: nobody has tried it before.
    fn check_service_binary(
        &self,
        bin: &Path,
        service: &ServiceSection,
    ) -> Result<(), MissingBinary> {
        let values = [("bin", Some(bin.to_owned())), ("home", self.dir())];
        let values = values
            .into_iter()
            .filter_map(|(name, path)| Some((name.to_owned(), path?.display().to_string())));
        let scope = Scope { values: values.collect(), ..Scope::default() };
        let program = service.cmd.first().and_then(|program| program.expand(&scope).ok().flatten());
        match program {
            Some(program) if !binary_path(&program).is_some_and(|path| path.is_file()) => {
                Err(MissingBinary {
                    system: format!("service {}", service.name),
                    at: Some(service.cmd_at.clone()),
                    path: program.into(),
                    fetch: None,
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_program(&self, bin: &Path, program: &Template) -> Result<(), MissingBinary> {
        let values = [("bin".to_owned(), bin.display().to_string())].into();
        let filled = program.expand(&Scope { values, ..Scope::default() });
        // What needs other names than {bin} is not ours to look for.
        let Ok(Some(path)) = filled else { return Ok(()) };
        if program.names() != ["bin"] || Path::new(&path).is_file() {
            return Ok(());
        }
        let fetch = self.fetch(&self.name);
        Err(MissingBinary { system: self.name.clone(), at: None, path: path.into(), fetch })
    }
}

/// Returns a path as a shell takes it for a command.
fn command(script: &Path) -> String {
    let text = script.display();
    if script.is_absolute() || script.starts_with(".") || script.starts_with("..") {
        text.to_string()
    } else {
        format!("./{text}")
    }
}

/// Returns the SHA-256 of a file, in hexadecimal digits.
pub fn binary_hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns the file that a program's name means: itself where it is a path, else the first of that name in `PATH`.
pub fn binary_path(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_sha256sum_prints() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("binary");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(binary_hash(&path).unwrap(), abc);
        std::fs::write(&path, vec![b'a'; 1_000_000]).unwrap();
        // Appendix B.3: more than one buffer.
        let many = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(binary_hash(&path).unwrap(), many);
    }

    #[test]
    fn a_bare_name_is_looked_up_and_a_path_is_itself() {
        assert!(binary_path("sh").unwrap().is_absolute());
        assert_eq!(binary_path("./mine"), Some("./mine".into()));
        assert_eq!(binary_path("no-such-program-anywhere"), None);
    }

    /// A directory with the page of a system of its own.
    fn beside(program: &str) -> (tempfile::TempDir, SystemSpec) {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("mine.toml");
        let text = include_str!("../tests/etcd.toml").replace("{bin}/etcd", program);
        std::fs::write(&page, text).unwrap();
        let spec = SystemSpec::read(&page).unwrap();
        (dir, spec)
    }

    #[test]
    fn a_missing_binary_is_answered_with_the_command_that_gets_it() {
        let (dir, spec) = beside("{bin}/etcd");
        let at = dir.path().display();
        let missing = format!("the binary of etcd-3.5.1 is missing: {at}/bin/etcd-3.5.1/etcd");
        assert_eq!(spec.check_binary().unwrap_err().to_string(), missing);
        std::fs::write(dir.path().join("fetch"), "").unwrap();
        let hint = format!("{missing}; get it with {at}/fetch etcd-3.5.1");
        assert_eq!(spec.check_binary().unwrap_err().to_string(), hint);
        let bin = dir.path().join("bin/etcd-3.5.1");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("etcd"), "").unwrap();
        assert_eq!(spec.check_binary(), Ok(()));
        assert_eq!(spec.bin(), Some(bin));
    }

    #[test]
    fn a_program_that_does_not_lie_beside_the_page_is_not_looked_for() {
        assert_eq!(beside("/no/such/etcd").1.check_binary(), Ok(()));
        assert_eq!(beside("etcd").1.check_binary(), Ok(()));
        assert_eq!(SystemSpec::reference().check_binary(), Ok(()));
        assert_eq!(SystemSpec::reference().bin(), None);
    }

    #[test]
    fn a_service_whose_program_is_missing_is_named_with_its_place() {
        let program = |program: &str| {
            let dir = tempfile::tempdir().unwrap();
            let page = dir.path().join("mine.toml");
            let service = format!(
                "[[service]]\nname = \"front\"\ncmd = [\"{program}\"]\nready = {{ tcp = 1 }}\n"
            );
            let text = include_str!("../tests/etcd.toml").replace("{bin}/etcd", "etcd");
            std::fs::write(&page, text.replace("[node]", &format!("{service}[node]"))).unwrap();
            let spec = SystemSpec::read(&page).unwrap();
            let checked = spec.check_binary().map_err(|error| error.to_string());
            checked.map_err(|text| text.replace(&dir.path().display().to_string(), "DIR"))
        };
        let missing = |path: &str| {
            Err(format!("DIR/mine.toml:7:7: the binary of service front is missing: {path}"))
        };
        assert_eq!(program("{bin}/front"), missing("DIR/bin/etcd-3.5.1/front"));
        assert_eq!(program("{home}/front"), missing("DIR/front"));
        assert_eq!(program("no-such-program-anywhere"), missing("no-such-program-anywhere"));
        assert_eq!(program("sh"), Ok(()));
        assert_eq!(program("{squall}"), Ok(()));
    }

    #[test]
    fn the_binary_of_each_version_is_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("mine.toml");
        let versions =
            "versions = { one = {}, two = { bin = \"bin/second\", cmd = [\"{bin}/mine\"] } }";
        let text = include_str!("../tests/etcd.toml")
            .replace("{bin}/etcd", "{home}/bin/mine-{version}/mine")
            .replace("ready = {", &format!("{versions}\nready = {{"));
        std::fs::write(&page, text).unwrap();
        std::fs::write(dir.path().join("fetch"), "").unwrap();
        let spec = SystemSpec::read(&page).unwrap();
        let at = dir.path().display().to_string();
        let told = || spec.check_binary().map_err(|error| error.to_string().replace(&at, "DIR"));
        let put = |name: &str| {
            let bin = dir.path().join("bin").join(name);
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("mine"), "").unwrap();
        };
        let missing = "the binary of version one of etcd-3.5.1 is missing: DIR/bin/mine-one/mine; \
                       get it with DIR/fetch mine-one";
        assert_eq!(told(), Err(missing.to_owned()));
        put("mine-one");
        let missing = "the binary of version two of etcd-3.5.1 is missing: DIR/bin/second/mine; \
                       get it with DIR/fetch second";
        assert_eq!(told(), Err(missing.to_owned()));
        put("second");
        assert_eq!(told(), Ok(()));
    }

    #[test]
    fn a_script_is_named_as_a_shell_takes_it() {
        assert_eq!(command(Path::new("systems/fetch")), "./systems/fetch");
        assert_eq!(command(Path::new("fetch")), "./fetch");
        assert_eq!(command(Path::new("../fetch")), "../fetch");
        assert_eq!(command(Path::new("/opt/fetch")), "/opt/fetch");
    }

    #[test]
    fn a_missing_file_is_an_error() {
        assert!(binary_hash(Path::new("/no/such/file")).is_err());
    }
}
