//! The mounts of the sandbox, all private to it.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use nix::mount::{MsFlags, mount};

use super::error::{self, SandboxError, Step};
use super::{DATA, path_of, plain};

/// What of `/run` is ours alone: the lock of iptables, and names of network namespaces.
const OWN: [&str; 3] = ["netns", "squall", "xtables.lock"];

/// Mounts everything.
pub(super) fn all() -> Result<(), SandboxError> {
    private_root().map_err(error::io(Step::PrivateRoot))?;
    proc().map_err(error::io(Step::MountProc))?;
    sys();
    run().map_err(error::io(Step::MountRun))?;
    data().map_err(error::io(Step::MountData))
}

fn call(kind: Option<&str>, on: &Path, flags: MsFlags, data: Option<&str>) -> io::Result<()> {
    mount(kind, on, kind, flags, data).map_err(plain)
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(plain)
}

/// No mount of ours reaches the host.
fn private_root() -> io::Result<()> {
    call(None, Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
}

/// The old one shows the host's processes under the host's ids.
fn proc() -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    call(Some("proc"), Path::new("/proc"), flags, None)
}

/// Shows the links of our network namespace instead of the host's. Nothing of ours reads it, so it may fail, as it does
/// in containers.
fn sys() {
    let Ok(old) = hold(Path::new("/sys/fs/cgroup")) else { return };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if call(Some("sysfs"), Path::new("/sys"), flags, None).is_ok() {
        // Runtimes size themselves by the limits of their cgroup.
        let _ = bind(&path_of(&old), Path::new("/sys/fs/cgroup"));
    }
}

/// A `/run` of our own, with what was there: a results directory or a tool may be below it.
fn run() -> io::Result<()> {
    let old = hold(Path::new("/run"))?;
    let old = path_of(&old);
    let entries: Vec<DirEntry> = fs::read_dir(&old)?.filter_map(Result::ok).collect();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    call(Some("tmpfs"), Path::new("/run"), flags, Some("mode=755"))?;
    for entry in entries {
        if !OWN.iter().any(|own| entry.file_name() == *own) {
            // What cannot be carried over (it has just vanished, say) is absent.
            let _ = carry(&entry);
        }
    }
    fs::create_dir_all("/run/netns")
}

/// Brings one thing of the old `/run` into the new one.
fn carry(entry: &DirEntry) -> io::Result<()> {
    let to = Path::new("/run").join(entry.file_name());
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(entry.path())?, to);
    }
    if kind.is_dir() {
        fs::create_dir(&to)?;
    } else {
        File::create(&to)?;
    }
    bind(&entry.path(), &to)
}

/// Memory for nodes' data: at most half of the machine's, the kernel's default.
fn data() -> io::Result<()> {
    fs::create_dir_all(DATA)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    call(Some("tmpfs"), Path::new(DATA), flags, Some("mode=755"))
}

/// Keeps a directory in reach after something was mounted over it.
fn hold(dir: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(dir)
}
