//! Looking at one process: is it still the same, and does it run?

use lastbeat_wire::{ProcessIdentity, UtcNanos};
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

use crate::error::IdentityError;

/// What is seen of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It runs; its state and name, for people.
    Runs {
        /// `sleeping, "lastbeat-publis"`.
        detail: String,
    },
    /// It is there, and may not be looked at (EPERM).
    NotPermitted,
    /// It is stopped.
    Stopped,
    /// No such process.
    Gone,
    /// It has ended, and its parent has not taken note.
    Zombie,
    /// The PID belongs to a process with another start time.
    Reused {
        /// The start time found, in the unit of [`ProcessIdentity::start`].
        start: u64,
    },
}

/// When this host was started, to the second.
pub fn booted_at() -> Option<UtcNanos> {
    let seconds = System::boot_time().ok()?;
    Some(UtcNanos(i64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?))
}

/// Looks at a process of this host and PID namespace. Takes some ten microseconds; may block on the kernel.
///
/// # Errors
/// When the process table can't be read, or has another form than documented.
#[cfg(target_os = "linux")]
pub fn look(process: &ProcessIdentity) -> Result<Seen, IdentityError> {
    use crate::stat::Stat;
    use std::io::ErrorKind;

    let stat = match Stat::read(process.pid) {
        Ok(stat) => stat,
        Err(IdentityError::Read { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
                || source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            // Where /proc is mounted with hidepid a process of another user looks like none.
            return Ok(signalled(process.pid));
        }
        Err(error) => return Err(error),
    };
    Ok(match stat.state {
        _ if stat.start != process.start => Seen::Reused { start: stat.start },
        'Z' | 'X' | 'x' => Seen::Zombie,
        'T' | 't' => Seen::Stopped,
        _ => Seen::Runs { detail: describe(process.pid) },
    })
}

/// Whether there is a process, by the signal that does nothing (kill(2)).
#[cfg(target_os = "linux")]
fn signalled(pid: u32) -> Seen {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    match pid.map(rustix::process::test_kill_process) {
        Some(Ok(()) | Err(rustix::io::Errno::PERM)) => Seen::NotPermitted,
        _ => Seen::Gone,
    }
}

/// Looks at a process of this host. May block on the kernel.
///
/// # Errors
/// When the process table can't be read.
#[cfg(not(target_os = "linux"))]
pub fn look(process: &ProcessIdentity) -> Result<Seen, IdentityError> {
    Ok(with_process(process.pid, |found| match found.status() {
        _ if found.start_time() != process.start => Seen::Reused { start: found.start_time() },
        ProcessStatus::Zombie | ProcessStatus::Dead => Seen::Zombie,
        ProcessStatus::Stop | ProcessStatus::Tracing => Seen::Stopped,
        _ => Seen::Runs { detail: words(found) },
    })
    .unwrap_or(Seen::Gone))
}

#[cfg(target_os = "linux")]
fn describe(pid: u32) -> String {
    with_process(pid, words).unwrap_or_else(|| "ended while it was looked at".to_owned())
}

fn words(process: &Process) -> String {
    let status = match process.status() {
        ProcessStatus::Run => "running".to_owned(),
        ProcessStatus::Sleep => "sleeping".to_owned(),
        ProcessStatus::UninterruptibleDiskSleep => "waiting for a disk".to_owned(),
        other => other.to_string().to_lowercase(),
    };
    format!("{status}, {:?}, for {} s", process.name().to_string_lossy(), process.run_time())
}

fn with_process<T>(pid: u32, read: impl FnOnce(&Process) -> T) -> Option<T> {
    let mut system = System::new().ok()?;
    let pid = Pid::from_u32(pid);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    system.process(pid).map(read)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::Own;
    use std::process::{Child, Command, Stdio};

    fn child() -> (Child, ProcessIdentity) {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let start = crate::stat::Stat::read(child.id()).unwrap().start;
        let identity = ProcessIdentity { pid: child.id(), start, ..Own::read().unwrap().process };
        (child, identity)
    }

    #[test]
    fn a_running_process_runs_and_says_its_name() {
        let (mut child, identity) = child();
        let seen = look(&identity).unwrap();
        assert!(matches!(&seen, Seen::Runs { detail } if detail.contains("\"c")), "{seen:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn one_that_ended_is_a_zombie_and_once_reaped_gone() {
        let (mut child, identity) = child();
        let end = crate::Ending::of(&identity).unwrap().unwrap();
        child.kill().unwrap();
        end.wait_blocking().unwrap();
        assert_eq!(look(&identity).unwrap(), Seen::Zombie);
        child.wait().unwrap();
        assert_eq!(look(&identity).unwrap(), Seen::Gone);
        assert!(crate::Ending::of(&identity).unwrap().is_none(), "there is no end left to wait for");
    }

    #[test]
    fn one_with_another_start_time_is_another_process() {
        let (mut child, identity) = child();
        let old = ProcessIdentity { start: identity.start - 1, ..identity };
        assert_eq!(look(&old).unwrap(), Seen::Reused { start: identity.start });
        assert!(crate::Ending::of(&old).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_pid_beyond_all_pids_is_gone() {
        let identity = ProcessIdentity { pid: u32::MAX, ..Own::read().unwrap().process };
        assert_eq!(look(&identity).unwrap(), Seen::Gone);
    }

    #[test]
    fn this_host_was_started_in_the_past() {
        assert!(booted_at().unwrap() < crate::Clock.now().utc);
    }
}
