//! [`Systemd`]: tells the service manager that this program watches, by `sd_notify(3)`. Never waits for it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::Monotonic;
use sd_notify::NotifyState;

use crate::board::{Board, Figures};

/// How often the line that `systemctl status` shows is renewed, if it has changed.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// The way to the service manager, if there is one. Belongs to the loop that judges: who else could say that it turns?
#[derive(Debug)]
pub struct Systemd {
    socket: Option<UnixDatagram>,
    /// It wants a sign of life so often.
    every: Option<Duration>,
    at: Monotonic,
}

impl Systemd {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn from_env(now: Monotonic) -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|path| match connect(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!("NOTIFY_SOCKET {} can't be reached: {error}", path.display());
                None
            }
        });
        Self::new(socket, sd_notify::watchdog_enabled(), now)
    }

    fn new(socket: Option<UnixDatagram>, limit: Option<Duration>, now: Monotonic) -> Self {
        let every = limit.filter(|_| socket.is_some()).map(|limit| limit / 2);
        Self { socket, every, at: now }
    }

    /// Whether there is somebody to tell.
    pub fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// The loop has turned for the first time.
    pub fn ready(&self) {
        self.tell(&NotifyState::Ready);
    }

    /// The loop has ended.
    pub fn stopping(&self) {
        self.tell(&NotifyState::Stopping);
    }

    /// When [`due`](Self::due) has something to do.
    pub fn next(&self) -> Option<Monotonic> {
        self.every.map(|_| self.at)
    }

    /// The sign of life, if it is time for it. To be called by the loop at each of its turns, and by nobody else.
    pub fn due(&mut self, now: Monotonic) {
        if let Some(every) = self.every.filter(|_| now >= self.at) {
            self.at = now.plus(every);
            self.tell(&NotifyState::Watchdog);
        }
    }

    fn tell(&self, state: &NotifyState<'_>) {
        if let Some(socket) = &self.socket {
            tell(socket, state);
        }
    }

    /// Keeps the status line fresh, until it is dropped.
    pub fn tell_status(&self, board: Board) -> Option<tokio::task::JoinHandle<()>> {
        let socket = self.socket.as_ref()?.try_clone().ok()?;
        Some(tokio::spawn(async move {
            let mut told = String::new();
            loop {
                let line = status(&board.figures());
                if line != told {
                    tell(&socket, &NotifyState::Status(&line));
                    told = line;
                }
                let next = Clock.instant(Clock.now().monotonic.plus(STATUS_EVERY));
                tokio::time::sleep_until(next.into()).await;
            }
        }))
    }
}

/// A full queue at the other end must hold nobody up: then this is left out, and the next one says the same.
fn tell(socket: &UnixDatagram, state: &NotifyState<'_>) {
    if let Err(error) = socket.send(format!("{state}\n").as_bytes()) {
        tracing::debug!("systemd was not told: {error}");
    }
}

fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let address = match path.as_bytes() {
        // Of its own name space, without a file.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// How all stands, in a line.
fn status(figures: &Figures) -> String {
    let mut line = format!("watching {} publishers", figures.rows.len());
    let mut separator = ": ";
    for (state, count) in &figures.states {
        line.push_str(&format!("{separator}{count} {}", state.word()));
        separator = ", ";
    }
    for link in &figures.links {
        if let Some(reason) = &link.down {
            line.push_str(&format!("; {} is down: {reason}", link.name));
        }
    }
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(millis * 1_000_000)
    }

    #[test]
    fn each_turn_that_is_due_tells_once_and_no_turn_tells_nothing() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut systemd = Systemd::new(Some(ours), Some(Duration::from_millis(100)), at(0));
        let heard = || {
            let mut text = [0; 64];
            theirs.recv(&mut text).map(|length| String::from_utf8_lossy(&text[..length]).into_owned()).ok()
        };
        systemd.due(at(0));
        assert_eq!(heard().as_deref(), Some("WATCHDOG=1\n"));
        systemd.due(at(49));
        assert_eq!((heard(), systemd.next()), (None, Some(at(50))));
        systemd.due(at(5_000));
        assert_eq!((heard().as_deref(), heard()), (Some("WATCHDOG=1\n"), None));
        assert_eq!(systemd.next(), Some(at(5_050)));
    }

    #[test]
    fn without_a_socket_or_a_limit_there_is_nothing_to_do() {
        assert_eq!(Systemd::new(None, Some(Duration::from_secs(1)), at(0)).next(), None);
        let (ours, _theirs) = UnixDatagram::pair().unwrap();
        assert_eq!(Systemd::new(Some(ours), None, at(0)).next(), None);
    }
}
