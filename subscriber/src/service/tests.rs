use std::path::Path;

use lastbeat_log::{Log, LogOptions, Progress};
use lastbeat_transport::{Batch, Delivery, LinkIndex};
use lastbeat_watchdog::{LinkNumber, WatchRules, Watchdog};
use tokio::task::JoinHandle;

use super::*;

/// So much may wait for the disk.
const PENDING_BYTES: u64 = 64 * 1024;
/// Of so many messages each, of 200 bytes: four times what may wait.
const BATCHES: u64 = 25;
const MESSAGES: u64 = 50;

struct Running {
    incoming: mpsc::Sender<Incoming>,
    progress: tokio::sync::watch::Receiver<Progress>,
    stop: CancellationToken,
    service: JoinHandle<Intake>,
}

/// The loop, with a log of its own, which holds its one link back for `at_most`.
fn start(log_dir: &Path, at_most: Duration) -> Running {
    let options = LogOptions { pending_bytes: 2 * PENDING_BYTES, ..LogOptions::default() };
    let (log, _) = Log::open(log_dir, options).expect("a log");
    let now = Clock.now();
    let rules = WatchRules { links: vec!["link".to_owned()], ..WatchRules::default() };
    let mut watchdog = Watchdog::new(rules, now);
    watchdog.begin(now, None);
    watchdog.link_up(now, LinkNumber(0));
    let (incoming, taken) = mpsc::channel(1);
    let (_, commands) = mpsc::channel(1);
    let (progress, stop) = (log.handle().progress(), CancellationToken::new());
    let wiring = Wiring {
        holding: Holding::new(&log, PENDING_BYTES, at_most),
        intake: Intake::new(watchdog, log, PENDING_BYTES, [false]),
        incoming: taken,
        commands,
        links: vec![LinkView::up("link".to_owned())],
        askers: Vec::new(),
        memory: Memory::in_dir(log_dir),
        sync: Sync::default(),
        report_every: Duration::from_hours(1),
        announcer: Announcer::Quiet,
        board: None,
        systemd: Systemd::from_env(now.monotonic),
    };
    let service = tokio::spawn(Service::new(wiring, now).run(stop.clone()));
    Running { incoming, progress, stop, service }
}

fn batch(number: u64) -> Incoming {
    let mut batch = Batch::default();
    for message in 0..MESSAGES {
        let sequence = number * MESSAGES + message;
        let padding = "x".repeat(130);
        let payload = format!(r#"{{"v":1,"seq":{sequence},"log":"{padding}"}}"#);
        batch.push(Delivery { topic: b"beat/a", payload: payload.as_bytes(), retained: false, resent: false });
    }
    Incoming { link: LinkIndex(0), arrival: Arrival::Batch(batch) }
}

/// Sends all while the disk takes nothing, which it does again once the loop takes no more, or has taken all.
async fn all_while_the_disk_stands_still(at_most: Duration) -> Intake {
    let dir = tempfile::tempdir().expect("a folder");
    let (there, away) = (dir.path().join("log"), dir.path().join("away"));
    std::fs::create_dir(&there).expect("a folder");
    let Running { incoming, mut progress, stop, service } = start(&there, at_most);
    let before = progress.borrow().written;
    std::fs::rename(&there, &away).expect("moved away");
    let sender = incoming.clone();
    let sending = tokio::spawn(async move {
        for number in 0..BATCHES {
            sender.send(batch(number)).await.expect("the loop runs");
        }
    });
    let mut full = 0;
    while full < 1000 && !sending.is_finished() {
        full = if incoming.capacity() == 0 { full + 1 } else { 0 };
        tokio::task::yield_now().await;
    }
    assert_eq!(progress.borrow().written, before, "the disk took something");
    std::fs::rename(&away, &there).expect("moved back");
    sending.await.expect("all sent");
    progress.wait_for(|progress| progress.written > before).await.expect("the disk takes it again");
    stop.cancel();
    service.await.expect("the loop ends")
}

#[tokio::test]
async fn what_comes_while_the_disk_is_slow_waits_and_is_kept() {
    let intake = all_while_the_disk_stands_still(Duration::from_hours(1)).await;
    let totals = intake.totals();
    assert_eq!((totals.messages, totals.refused, totals.not_kept), (BATCHES * MESSAGES, 0, 0));
}

#[tokio::test]
async fn whoever_sends_while_the_disk_takes_nothing_is_heard_all_the_same() {
    let intake = all_while_the_disk_stands_still(Duration::ZERO).await;
    let totals = intake.totals();
    assert_eq!((totals.messages, totals.refused), (BATCHES * MESSAGES, 0));
    assert!(totals.not_kept > 0 && totals.not_kept < BATCHES * MESSAGES, "{totals:?}");
    let status = intake.watchdog().status(Clock.now(), "a").expect("a is known");
    assert_eq!(status.counts.messages, BATCHES * MESSAGES);
}
