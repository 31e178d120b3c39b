//! [`Ending`]: a pidfd, which the kernel makes readable when the process ends.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use lastbeat_wire::ProcessIdentity;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};

use crate::error::IdentityError;
use crate::stat::Stat;

/// Becomes readable when one process ends (`pidfd_open(2)`). Holds a file descriptor.
#[derive(Debug)]
pub struct Ending(OwnedFd);

impl Ending {
    /// The end of this very process; `None` if it has ended already.
    ///
    /// # Errors
    /// When the kernel has no pidfd (before Linux 5.3), or no file descriptor is left.
    pub fn of(process: &ProcessIdentity) -> Result<Option<Self>, IdentityError> {
        let failed = |source: io::Error| IdentityError::Read { path: format!("pidfd of {}", process.pid), source };
        let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let descriptor = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        // Only now that the descriptor holds on to a process is its start time that of the process held.
        match Stat::read(process.pid) {
            Ok(stat) if stat.start == process.start => Ok(Some(Self(descriptor))),
            Ok(_) => Ok(None),
            Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the end on a thread that may block.
    ///
    /// # Errors
    /// What poll(2) refuses.
    pub fn wait_blocking(&self) -> io::Result<()> {
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        loop {
            match rustix::event::poll(&mut polled, None) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Ending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Ending {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
