//! [`Own`]: which process on which boot of which host this is.

use std::fs;

use lastbeat_wire::{BootId, HostId, ProcessIdentity};

use crate::error::IdentityError;
#[cfg(target_os = "linux")]
use crate::error::{form, read};

/// This process, as it tells others of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// This process.
    pub process: ProcessIdentity,
    /// The name of this host, for people.
    pub host_name: String,
}

impl Own {
    /// Asks the operating system, once, when the program starts.
    pub fn read() -> Result<Self, IdentityError> {
        let host_name = sysinfo::System::host_name().unwrap_or_else(|_| "localhost".to_owned());
        Ok(Self { process: own_process(&host_name)?, host_name })
    }
}

/// Derives the id from the machine id, which itself should not leave the machine (machine-id(5)); a container without
/// one is told apart by its name.
fn host_id(host_name: &str) -> HostId {
    let machine = ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .into_iter()
        .find_map(|path| fs::read_to_string(path).ok().filter(|id| !id.trim().is_empty()));
    HostId(fnv1a(machine.as_deref().unwrap_or(host_name).trim().as_bytes()))
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): the id must be the same in every version of this program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(target_os = "linux")]
fn own_process(host_name: &str) -> Result<ProcessIdentity, IdentityError> {
    use std::os::unix::fs::MetadataExt;

    let boot_file = "/proc/sys/kernel/random/boot_id";
    let boot = read(boot_file)?;
    let namespace_file = "/proc/self/ns/pid";
    let namespace = fs::metadata(namespace_file)
        .map_err(|source| IdentityError::Read { path: namespace_file.to_owned(), source })?;
    Ok(ProcessIdentity {
        host: host_id(host_name),
        boot: boot.trim().parse::<BootId>().map_err(|_| form(boot_file, &boot))?,
        pid_namespace: namespace.ino(),
        pid: std::process::id(),
        start: crate::stat::Stat::read(std::process::id())?.start,
    })
}

#[cfg(not(target_os = "linux"))]
fn own_process(host_name: &str) -> Result<ProcessIdentity, IdentityError> {
    use sysinfo::{Pid, ProcessesToUpdate, System};

    let pid = std::process::id();
    let mut system = System::new().unwrap_or_default();
    system.refresh_processes(ProcessesToUpdate::Some(&[Pid::from_u32(pid)]), false);
    Ok(ProcessIdentity {
        host: host_id(host_name),
        boot: BootId(System::boot_time().unwrap_or_default().into()),
        pid_namespace: 0,
        pid,
        start: system.process(Pid::from_u32(pid)).map_or(0, sysinfo::Process::start_time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_twice_and_names_this_process() {
        let own = Own::read().unwrap();
        assert_eq!(own, Own::read().unwrap());
        assert_eq!(own.process.pid, std::process::id());
        assert!(own.process.start > 0 && own.process.boot.0 != 0 && !own.host_name.is_empty());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // Test vectors of the FNV draft, appendix C.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
