//! The doors by which fuzzing comes to what reads bytes here. No part of the program uses them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::ConnectInfo;
use lastbeat_host::Clock;
use lastbeat_log::{Log, LogOptions, Position, SyncPolicy};
use lastbeat_swarm::Swarm;
use lastbeat_transport::{LinkIndex, SubscribeOptions};
use lastbeat_watchdog::{HostView, LinkNumber, WatchRules, Watchdog};
use lastbeat_wire::{Header, Monotonic, Now, PublisherId, Reading, UtcNanos};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::announce::Announcer;
use crate::board::{Board, LinkView};
use crate::capture::{Captured, Reader, What};
use crate::cli::WatchArgs;
use crate::config::Settings;
use crate::follower::cursor::CursorFile;
use crate::history::{self, History};
use crate::holding::{self, Holding};
use crate::http::{self, Joints};
use crate::influx;
use crate::intake::Intake;
use crate::memory::{Kept, Memory, restore};
use crate::metrics::Metrics;
use crate::receipts::Sync;
use crate::record::Record;
use crate::service::{Service, Wiring};
use crate::store::Store;
use crate::systemd::Systemd;
use crate::thresholds::{self, ThresholdsArgs};

/// Reads a configuration file's text; what is wrong with it.
pub fn settings(toml: &str) -> Result<(), String> {
    let args = WatchArgs { from: vec!["memory://fuzzed".to_owned()], ..WatchArgs::default() };
    let settings = Settings::parse(&args, toml).map_err(|error| format!("{error:#}"))?;
    assert!(settings.threshold >= Duration::from_millis(1) && settings.max_publishers > 0);
    let _ = SubscribeOptions { keepalive: settings.keepalive(), ..SubscribeOptions::default() };
    Ok(())
}

/// The line protocol of a reading, and whether there is any.
pub fn line(publisher: &PublisherId, header: &Header<'_>, reading: &Reading<'_>, time: UtcNanos) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    influx::line::reading(&mut line, publisher.as_str(), header, reading, time).then_some(line)
}

/// What a tag's value is in InfluxDB.
pub fn stored_tag(text: &str) -> String {
    influx::stored_tag(text).into_owned()
}

/// What a field's name is in InfluxDB.
pub fn stored_field(text: &str) -> String {
    influx::line::stored_field(text).into_owned()
}

/// A server's reason, looked at with a line that was refused for it.
pub fn conflict(reason: &str, line: &[u8]) {
    if let Some(conflict) = influx::Conflict::named_in(reason) {
        let fitted = conflict.fitted(line);
        assert!(fitted.is_none() || conflict.is_in(line));
    }
}

/// A snapshot file with these bytes: read or set aside; what was read is watched with, and can be written again.
pub fn snapshot(dir: &Path, bytes: &[u8], now: Now, host: Option<HostView>) {
    let path = dir.join("watchdog.snapshot");
    std::fs::write(&path, bytes).expect("a temporary folder");
    let memory = Memory::in_dir(dir);
    let Some(kept) = memory.load().expect("what can't be read is set aside") else {
        assert!(!path.exists(), "it is set aside");
        return;
    };
    // What has the form of a snapshot may yet have no sense: then it is set aside when it is read.
    let Some((mut watchdog, mut swarm)) = restored(kept, now, host) else { return };
    watchdog.begin(now, Some(now.utc));
    watchdog.link_up(now, LinkNumber(0));
    for hours in [0, 1, 24 * 365] {
        let span = Duration::from_hours(hours);
        let later = Now { monotonic: now.monotonic.plus(span), utc: now.utc.plus(span) };
        watchdog.due(later);
        watchdog.outputs();
        swarm.due(later);
        let _statuses: Vec<_> = watchdog.statuses(later).collect();
    }
    let again = watchdog.snapshot(now);
    memory.save(&watchdog, &swarm, now, Position(0)).expect("a temporary folder");
    let kept = memory.load().expect("what was written").expect("what was written");
    let slices = kept.slices().map(|slice| slice.expect("what was written").into_parts().0);
    let mut written: Vec<_> = slices.filter(|slice| !slice.is_empty()).collect();
    assert!(written.pop().is_none_or(|slice| slice == again) && written.is_empty(), "a few publishers are one slice");
}

fn restored(kept: Kept, now: Now, host: Option<HostView>) -> Option<(Watchdog, Swarm)> {
    let rules = WatchRules { links: vec!["one".to_owned()], host, ..WatchRules::default() };
    let mut watchdog = Watchdog::new(rules, now);
    let mut swarm = Swarm::default();
    restore(&mut watchdog, &mut swarm, now, Some(kept)).ok()?;
    Some((watchdog, swarm))
}

/// A cursor file with these bytes, read for a target.
pub fn cursor(dir: &Path, bytes: &[u8], target: &str) {
    let path = dir.join("influx.cursor");
    std::fs::write(&path, bytes).expect("a temporary folder");
    let position = CursorFile::new("influxdb", path.clone(), target.to_owned()).load();
    let file = CursorFile::new("influxdb", path, target.to_owned());
    file.save(position).expect("a temporary folder");
    assert_eq!(file.load(), position);
}

/// A capture: what is wrong with it, or it is read to its end in order, and thresholds are told of it as a table and as JSON.
pub fn capture(bytes: &[u8]) -> Result<(), String> {
    let path = Path::new("fuzzed.jsonl");
    let mut reader = Reader::new(path, bytes).map_err(|error| error.to_string())?;
    let (links, mut before) = (reader.links().len(), Monotonic(0));
    while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
        assert!(before <= event.now.monotonic, "time goes backwards");
        before = event.now.monotonic;
        if let What::Message(Captured { link, .. }) | What::LinkUp(link) | What::LinkDown { link, .. } = event.what {
            assert!(usize::from(link) < links, "a link of no name");
        }
    }
    let args = ThresholdsArgs {
        capture: path.to_owned(),
        publisher: None,
        false_alarms_a_month: 0.1,
        threshold: Duration::from_secs(50),
        json: false,
    };
    let reader = Reader::new(path, bytes).expect("it was one before");
    let reports = thresholds::reports(reader, &args).expect("it was read before");
    for json in [false, true] {
        let mut told = Vec::new();
        thresholds::tell(&mut told, &reports, json).expect("memory takes all");
        let told = String::from_utf8(told).expect("text");
        assert!(!told.contains("NaN"), "{told}");
    }
    Ok(())
}

/// A record of the log.
pub fn record(kind: u8, body: &[u8]) {
    if let Ok(record) = Record::decode(kind, body) {
        let (kind, body) = record.encode();
        assert_eq!(Record::decode(kind, &body).as_ref().ok(), Some(&record));
    }
}

/// The parameters of every question about the past: each is taken, or refused in words.
pub fn parameters(id: &str, query: &str, now: UtcNanos) {
    for refused in history::refused(id, query, now) {
        assert!(!refused.is_empty() && refused.len() < 4096, "{refused:?}");
    }
    let _ = crate::export::parse_time(query, now);
}

/// The routes as they run: with the loop, the log, the board and the store behind them. To be called within a runtime;
/// what it starts ends with that.
pub fn router(dir: &Path, max_publishers: usize) -> anyhow::Result<axum::Router> {
    let store_path = dir.join("store.db");
    let store = Store::open(&store_path)?;
    let log_dir = dir.join("log");
    std::fs::create_dir_all(&log_dir).context("the log's folder")?;
    let (log, _) = Log::open(&log_dir, LogOptions { sync: SyncPolicy::Always, ..LogOptions::default() })?;
    let now = Clock.now();
    let rules = WatchRules {
        links: vec![http::LINK.to_owned()],
        own_link: Some(LinkNumber(0)),
        max_publishers,
        ..WatchRules::default()
    };
    let mut watchdog = Watchdog::new(rules, now);
    watchdog.begin(now, None);
    watchdog.link_up(now, LinkNumber(0));
    let stop = CancellationToken::new();
    let following = crate::follower::start(store, log.handle().clone(), stop.clone())?;
    let metrics = Metrics::new(now.utc);
    let (board, handover) =
        Board::start(now.monotonic, 0, vec![(following.name, following.lag.clone())], metrics.clone())?;
    let (incoming, messages) = mpsc::channel(64);
    let (commands, asked) = mpsc::channel(http::COMMANDS);
    let wiring = Wiring {
        holding: Holding::new(&log, 64 << 20, holding::AT_MOST),
        intake: Intake::new(watchdog, log, 64 << 20, [false]),
        incoming: messages,
        commands: asked,
        links: vec![LinkView::up(http::LINK.to_owned())],
        memory: Memory::in_dir(&log_dir),
        sync: Sync::Always,
        report_every: Duration::from_secs(10),
        announcer: Announcer::Quiet,
        board: Some(handover),
        askers: Vec::new(),
        systemd: Systemd::from_env(now.monotonic),
    };
    let service = Service::new(wiring, now);
    tokio::spawn(async move {
        drop(service.run(stop).await);
        drop(following);
    });
    let history = History::new(&store_path, Duration::from_secs(10));
    let (link, past) = (LinkIndex(0), Arc::clone(&history));
    let standings = crate::standby::Standings::alone();
    let joints = Joints { board, metrics, commands, incoming, link, history: past, standings };
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    Ok(http::open_router(joints).layer(axum::Extension(ConnectInfo(peer))))
}
