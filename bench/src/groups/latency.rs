//! From a publisher's send to the log on disk, and to the page's event stream, at 2,000 messages a second.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use lastbeat_host::Clock;
use lastbeat_wire::{Encoding, Kind};
use serde_json::Value;

use super::{Measuring, way};
use crate::page::Connection;
use crate::ready::{Ready, elsewhere};
use crate::results::{Unit, percentile};
use crate::stage::deadline;

/// Between two messages.
const EVERY: Duration = Duration::from_micros(500);
const ID: &str = "ready";
/// How each envelope begins, up to its number.
const BEGINNING: &[u8] = b"{\"lastbeat\":1,\"seq\":";
/// How often the log is looked at: what is measured may be less by as much.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// When each message was sent, by its number; 0 before.
type Sent = Arc<Vec<AtomicU64>>;

/// One run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    measuring.attempt("at 2,000 messages/s", |measuring, stage| {
        let (broker, subscriber) = way::pipeline(stage, &[])?;
        let count = measuring.full_or_quick(20_000, 4_000);
        let sent: Sent = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let log = {
            let (folder, sent, stop) = (stage.path("lastbeat.db.log"), sent.clone(), stop.clone());
            std::thread::spawn(move || in_log(&folder, &sent, &stop))
        };
        let shown = Arc::new(Mutex::new(Vec::new()));
        let stream = Connection::open(subscriber.page)?.stream("/api/v1/events")?;
        {
            let (sent, shown) = (sent.clone(), shown.clone());
            std::thread::spawn(move || on_page(stream, &sent, &shown));
        }
        let to = broker.publishers.clone();
        let times = sent.clone();
        let sender = std::thread::spawn(move || send(&to, &times));
        let limit = deadline(EVERY * count + Duration::from_secs(20));
        stage.until(limit, "all is sent", || Ok(sender.is_finished()))?;
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        stage.pause(Duration::from_secs(2))?;
        stop.store(true, Ordering::Release);
        let log = log.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        let page = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (key, name, mut nanos) in [("log", "send to log", log), ("page", "send to the page's event stream", page)] {
            ensure!(nanos.len() * 100 >= sent.len() * 99, "{name}: only {} of {} were seen", nanos.len(), sent.len());
            nanos.sort_by(f64::total_cmp);
            for (at, share) in [("p50", 0.5), ("p99", 0.99)] {
                measuring.note(
                    &format!("{key}_{at}"),
                    &format!("{name}, {at}"),
                    Unit::Millis,
                    percentile(&nanos, share) / 1e6,
                );
            }
        }
        Ok(())
    })
}

fn send(to: &str, sent: &Sent) -> anyhow::Result<()> {
    let mut socket = zmq::Context::new().socket(zmq::XPUB)?;
    lastbeat_zmq_nodrop::set_xpub_nodrop(&mut socket, true)?;
    socket.connect(to.trim_start_matches("zmq+"))?;
    socket.recv_bytes(0)?;
    let (ready, topic) = (Ready::reading(Encoding::Json, elsewhere(1)), Kind::Sensor.topic(&ID.parse()?));
    let (mut payload, start) = (Vec::new(), Clock.now().monotonic);
    for (number, time) in (0_u32..).zip(sent.iter()) {
        let due = start.plus(EVERY * number);
        loop {
            let left = due.since(Clock.now().monotonic);
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        let now = Clock.now();
        ready.write(&mut payload, number.into(), now.utc);
        time.store(now.monotonic.0, Ordering::Release);
        socket.send_multipart([topic.as_bytes(), &payload], 0)?;
    }
    Ok(())
}

/// Looks for new envelopes at the log's end.
fn in_log(folder: &Path, sent: &Sent, stop: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    use std::os::unix::fs::FileExt;

    let mut nanos = Vec::new();
    let path = newest(folder)?;
    let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
    let (mut at, mut bytes) = (0_u64, vec![0; 1 << 20]);
    while !stop.load(Ordering::Acquire) && nanos.len() < sent.len() {
        let read = file.read_at(&mut bytes, at)?;
        let now = Clock.now().monotonic.0;
        let mut seen = 0;
        while let Some((number, end)) = next_number(&bytes[seen..read]) {
            seen += end;
            if let Some(time) = sent.get(number) {
                nanos.push(now.saturating_sub(time.load(Ordering::Acquire)) as f64);
            }
        }
        at += seen as u64;
        std::thread::park_timeout(LOOK_EVERY);
    }
    Ok(nanos)
}

/// The number of the next whole envelope's beginning, and where that ends.
fn next_number(bytes: &[u8]) -> Option<(usize, usize)> {
    let start = bytes.windows(BEGINNING.len()).position(|window| window == BEGINNING)? + BEGINNING.len();
    let digits = bytes[start..].iter().position(|byte| !byte.is_ascii_digit())?;
    let number = std::str::from_utf8(&bytes[start..start + digits]).ok()?.parse().ok()?;
    Some((number, start + digits))
}

/// The segment that is being written; there is one as soon as there was a link.
fn newest(folder: &Path) -> anyhow::Result<PathBuf> {
    for _ in 0..100 {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let segments = entries.filter_map(Result::ok).map(|entry| entry.path());
        if let Some(newest) = segments.filter(|path| path.extension().is_some_and(|end| end == "log")).max() {
            return Ok(newest);
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    anyhow::bail!("{} holds no segment", folder.display())
}

/// Reads updates: a count of messages in one shows each message up to there.
fn on_page(stream: impl BufRead, sent: &Sent, shown: &Mutex<Vec<f64>>) {
    let mut known = 0;
    for line in stream.lines().map_while(Result::ok) {
        let Some(update) = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok()) else {
            continue;
        };
        let row = update["rows"].as_array().into_iter().flatten().find(|row| row["id"] == ID);
        let heard = update["heard"].as_array().and_then(|heard| heard.first());
        let Some(count) = row.and_then(|row| row["messages"].as_u64()).or_else(|| heard?[4].as_u64()) else { continue };
        let now = Clock.now().monotonic.0;
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        for number in known..(count as usize).min(sent.len()) {
            shown.push(now.saturating_sub(sent[number].load(Ordering::Acquire)) as f64);
        }
        known = known.max(count as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_cut_is_not_read_yet() {
        assert_eq!(next_number(b"xx{\"lastbeat\":1,\"seq\":12,"), Some((12, 24)));
        assert_eq!(next_number(b"xx{\"lastbeat\":1,\"seq\":12"), None);
        assert_eq!(next_number(b"xx{\"lastbeat\":1,\"se"), None);
    }
}
