//! What a service manager is told, over a socket like its own.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{PATIENCE, Subscriber, serving};

/// The other end of `NOTIFY_SOCKET`.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn next(&self) -> io::Result<String> {
        let mut text = [0; 4096];
        let length = self.0.recv(&mut text)?;
        Ok(String::from_utf8_lossy(&text[..length]).trim_end().to_owned())
    }

    /// Waits for this; what came before it.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let told = self.next().unwrap_or_else(|error| panic!("{wanted} does not come: {error}; {before:?}"));
            if told.starts_with(wanted) {
                return before;
            }
            before.push(told);
        }
    }
}

fn start(dir: &Path, manager: &Path, limit: Duration) -> Child {
    let mut command = serving(dir, &["--threshold", "1h"]);
    command.env("NOTIFY_SOCKET", manager).env("WATCHDOG_USEC", limit.as_micros().to_string());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn it_says_that_it_is_ready_that_it_turns_how_all_stands_and_that_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::listen(&path);
    let mut child = start(dir.path(), &path, Duration::from_millis(100));
    let before = manager.until("READY=1");
    assert!(before.iter().all(|told| !told.starts_with("STOPPING")), "{before:?}");
    manager.until("WATCHDOG=1");
    manager.until("WATCHDOG=1");
    let told = before.into_iter().chain(std::iter::from_fn(|| manager.next().ok()));
    let status = told.into_iter().find(|told| told.starts_with("STATUS=")).unwrap();
    assert_eq!(status, "STATUS=watching 0 publishers");
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    manager.until("STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn frozen_it_gives_no_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::listen(&path);
    let child = Killed(start(dir.path(), &path, Duration::from_millis(100)));
    manager.until("WATCHDOG=1");
    child.signal("-STOP");
    // What it had told before it froze; then nothing for twenty of its signs.
    manager.0.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    while manager.next().is_ok() {}
    manager.0.set_read_timeout(Some(PATIENCE)).unwrap();
    child.signal("-CONT");
    manager.until("WATCHDOG=1");
}

/// A manager that does not read its socket must not stop the loop.
#[tokio::test]
async fn a_manager_that_hangs_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::listen(&path);
    let mut command = serving(dir.path(), &["--threshold", "1h"]);
    // Its queue is full after some ten of these.
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000");
    let (subscriber, url) = Subscriber::serve_by(command);
    for beat in 0..200 {
        let answer = reqwest::get(format!("{url}/api/v1/beat/job-{beat}")).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    manager.until("WATCHDOG=1");
    assert_eq!(subscriber.stop().code(), Some(0));
}

struct Killed(Child);

impl Killed {
    fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
