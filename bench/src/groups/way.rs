//! Over `ZeroMQ` into the log, into the embedded store; beside a bare proxy with somebody who only counts.

use std::time::Duration;

use anyhow::ensure;
use lastbeat_host::Clock;
use lastbeat_transport::zeromq::KeyPair;

use super::{Measuring, all_sent, generators, micros};
use crate::results::Unit;
use crate::stage::{Stage, deadline};
use crate::subscriber::Subscriber;
use crate::usage;

/// How long after the load everything may take to arrive.
const CATCH_UP: Duration = Duration::from_mins(5);
/// The load that is offered where nothing may be lost, by both generators together.
const OFFERED: u64 = 800_000;

/// After so long without anything new nothing more is expected.
const QUIET_NANOS: u64 = 600_000_000;
/// Bytes of the log that are no sign that messages still come.
const TRICKLE: u64 = 4_096;

/// One run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    for (encoding, option) in [("json", None), ("msgpack", Some("--msgpack"))] {
        let label = if option.is_some() { "MessagePack" } else { "JSON" };
        let options: Vec<&str> = option.into_iter().collect();
        if option.is_none() {
            bare(measuring, "proxy_1k", "bare proxy, room for 1,000 messages, two frames", 1_000, &options)?;
            let one_frame = [&options[..], &["--one-frame"]].concat();
            bare(measuring, "proxy_one_frame", "bare proxy, room for 100,000, one frame", 100_000, &one_frame)?;
            broker(measuring)?;
        }
        let name = format!("bare proxy, room for 100,000, two frames, {label}");
        bare(measuring, &format!("proxy_{encoding}"), &name, 100_000, &options)?;
        lines(measuring, encoding, label, &options)?;
        log(measuring, encoding, label, &options)?;
        store(measuring, encoding, label, &options)?;
    }
    Ok(())
}

/// Generators, a bare proxy, and somebody who counts.
fn bare(measuring: &mut Measuring, key: &str, name: &str, room: i32, options: &[&str]) -> anyhow::Result<()> {
    measuring.attempt(name, |measuring, stage| {
        let (_proxy, publishers, subscribers) = stage.proxy(room)?;
        let from = ["count", "--from", &subscribers, "--high-water-mark", &room.to_string()];
        let receiver = stage.role("count", &from)?;
        let span = humantime::format_duration(measuring.load()).to_string();
        let sending = generators(stage, 2, &publishers, &[options, &["--for", &span]].concat())?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        let got = stage.settled(&receiver, sent.count, CATCH_UP)?;
        ensure!(got.count > 0, "nothing came");
        measuring.note(key, name, Unit::PerSecond, got.rate());
        measuring.note(
            &format!("{key}_cpu"),
            &format!("{name}: CPU of the receiver a message"),
            Unit::CpuMicros,
            micros(receiver.cpu()?, got.count),
        );
        let lost = 100.0 * (sent.count.saturating_sub(got.count)) as f64 / sent.count as f64;
        measuring.note(&format!("{key}_lost"), &format!("{name}: lost"), Unit::Percent, lost);
        Ok(())
    })
}

/// The broker alone, with somebody who counts: what keeping the latest messages costs, and what keys cost.
fn broker(measuring: &mut Measuring) -> anyhow::Result<()> {
    for (key, name) in [
        ("broker_keeps_nothing", "broker that keeps nothing, a receiver that counts"),
        ("broker", "broker, a receiver that counts"),
        ("broker_keys", "broker with keys, both ends of our own, a receiver that counts"),
    ] {
        measuring.attempt(name, |measuring, stage| {
            let path = |name: &str| stage.path(name).display().to_string();
            let (key_file, allow) = (path("key"), path("allow"));
            let (options, query) = match key {
                "broker_keeps_nothing" => (vec!["--keep", "0"], String::new()),
                "broker" => (vec![], String::new()),
                _ => {
                    let pair = KeyPair::generate()?;
                    pair.write(&stage.path("key"))?;
                    let entry = "publish = ['ready-0', 'ready-1', 'site/*']\nsubscribe = true\n";
                    std::fs::write(&allow, format!("[all]\nkey = \"{}\"\n{entry}", pair.public()))?;
                    (vec!["--key", &key_file, "--allow", &allow], format!("?key={key_file}&server={key_file}.pub"))
                }
            };
            let (_broker, publishers, subscribers) = stage.broker_with(&options)?;
            let receiver = stage
                .role("count", &["count", "--from", &format!("{subscribers}{query}"), "--high-water-mark", "100000"])?;
            if !query.is_empty() {
                stage.first_line(&receiver)?;
            }
            let span = humantime::format_duration(measuring.load()).to_string();
            let sending = generators(stage, 2, &format!("{publishers}{query}"), &["--for", &span])?;
            let sent = all_sent(stage, &sending, CATCH_UP)?;
            let got = stage.settled(&receiver, sent.count, CATCH_UP)?;
            ensure!(got.count > 0, "nothing came");
            measuring.note(key, name, Unit::PerSecond, got.rate());
            Ok(())
        })?;
    }
    Ok(())
}

/// The same proxy, and what the subscriber does without its log.
fn lines(measuring: &mut Measuring, encoding: &str, label: &str, options: &[&str]) -> anyhow::Result<()> {
    let name = format!("parse, state and line protocol, without a log, {label}");
    measuring.attempt(&name, |measuring, stage| {
        let (_proxy, publishers, subscribers) = stage.proxy(100_000)?;
        let receiver = stage.role("lines", &["lines", "--from", &subscribers])?;
        stage.first_line(&receiver)?;
        let span = humantime::format_duration(measuring.load()).to_string();
        let sending = generators(stage, 2, &publishers, &[options, &["--for", &span]].concat())?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        let got = stage.settled(&receiver, sent.count, CATCH_UP)?;
        ensure!(got.count > 0, "nothing came");
        measuring.note(&format!("lines_{encoding}"), &name, Unit::PerSecond, got.rate());
        let cpu = micros(receiver.cpu()?, got.count);
        measuring.note(&format!("lines_{encoding}_cpu"), &format!("{name}: CPU a message"), Unit::CpuMicros, cpu);
        Ok(())
    })
}

/// The broker and the subscriber with its log alone: how fast, and that nothing of a load beyond that is dropped.
fn log(measuring: &mut Measuring, encoding: &str, label: &str, options: &[&str]) -> anyhow::Result<()> {
    let name = format!("broker and subscriber into the durable log, {label}");
    measuring.attempt(&name, |measuring, stage| {
        let (broker, subscriber) = pipeline(stage, &["--log-only"])?;
        let start = subscriber.written()?;
        let span = humantime::format_duration(measuring.load()).to_string();
        let rate = (OFFERED / 2).to_string();
        let sending =
            generators(stage, 2, &broker.publishers, &[options, &["--rate", &rate, "--for", &span]].concat())?;
        let (first, last) = growth(stage, &subscriber, start, &sending)?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        let came = subscriber.heard(stage, sent.count, CATCH_UP)?;
        let cpu = micros(subscriber.cpu()?, came);
        let broker_cpu = micros(usage::cpu_seconds(broker.process.pid())?, came);
        let not_kept = subscriber.metric("lastbeat_messages_not_kept_total")? as u64;
        // It ends well only when all it took in is on the disk.
        subscriber.end(stage)?;
        measuring.note(&format!("log_{encoding}"), &name, Unit::PerSecond, came as f64 / ((last - first) as f64 / 1e9));
        measuring.note(
            &format!("log_{encoding}_cpu"),
            &format!("{name}: CPU of the subscriber a message"),
            Unit::CpuMicros,
            cpu,
        );
        measuring.note(
            &format!("log_{encoding}_broker_cpu"),
            &format!("{name}: CPU of the broker a message"),
            Unit::CpuMicros,
            broker_cpu,
        );
        let offered = sent.count as f64 / measuring.load().as_secs_f64();
        measuring.note(
            &format!("log_{encoding}_taken"),
            &format!("{name}: taken of 800,000/s offered"),
            Unit::PerSecond,
            offered,
        );
        let dropped = sent.count.saturating_sub(came) + not_kept;
        measuring.note(
            &format!("log_{encoding}_dropped"),
            &format!("{name}: dropped at 800,000/s offered"),
            Unit::Count,
            dropped as f64,
        );
        Ok(())
    })
}

/// The same with the embedded store: a burst at full speed, and all of it stored.
fn store(measuring: &mut Measuring, encoding: &str, label: &str, options: &[&str]) -> anyhow::Result<()> {
    let name = format!("into the embedded store, {label}");
    measuring.attempt(&name, |measuring, stage| {
        let (broker, subscriber) = pipeline(stage, &[])?;
        let span = humantime::format_duration(measuring.load()).to_string();
        let sending = generators(stage, 2, &broker.publishers, &[options, &["--for", &span]].concat())?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        let came = subscriber.heard(stage, sent.count, CATCH_UP)?;
        let done = taken_at(stage, &subscriber, "the store has caught up", || subscriber.stored())?;
        let readings = subscriber.readings()?;
        subscriber.end(stage)?;
        measuring.note(
            &format!("store_{encoding}"),
            &name,
            Unit::PerSecond,
            readings as f64 / ((done - sent.first) as f64 / 1e9),
        );
        let behind = done.saturating_sub(sent.last) as f64 / 1e6;
        measuring.note(
            &format!("store_{encoding}_catch_up"),
            &format!("{name}: caught up after the burst"),
            Unit::Millis,
            behind,
        );
        let missing = sent.count - readings.min(came);
        measuring.note(
            &format!("store_{encoding}_missing"),
            &format!("{name}: missing then"),
            Unit::Count,
            missing as f64,
        );
        Ok(())
    })
}

/// The broker and a subscriber.
pub fn pipeline(stage: &Stage, options: &[&str]) -> anyhow::Result<(lastbeat_scenarios::hub::Hub, Subscriber)> {
    let broker = stage.broker()?;
    let subscriber = Subscriber::start(stage, &broker.subscribers, options)?;
    Ok((broker, subscriber))
}

/// Waits until nothing more comes into the log, and a follower's cursor is at its end; when that had come there.
pub fn taken_at(
    stage: &Stage,
    subscriber: &Subscriber,
    what: &str,
    cursor: impl Fn() -> anyhow::Result<u64>,
) -> anyhow::Result<u64> {
    let (mut written, mut since, mut taken, mut at) = (0, 0, 0, 0);
    stage.until(deadline(CATCH_UP), what, || {
        let (now, end, position) = (Clock.now().monotonic.0, subscriber.written()?, cursor()?);
        if end > written + TRICKLE {
            (written, since) = (end, now);
        }
        if position > taken + TRICKLE {
            (taken, at) = (position, now);
        }
        Ok(now.saturating_sub(since) > QUIET_NANOS && position + TRICKLE >= end)
    })?;
    Ok(at)
}

/// When the log began to grow, and when it last did: until the generators are done and nothing comes any more.
pub fn growth(
    stage: &Stage,
    subscriber: &Subscriber,
    start: u64,
    sending: &[crate::stage::Role],
) -> anyhow::Result<(u64, u64)> {
    let (mut before, mut first, mut last) = (start, 0, 0);
    let limit = deadline(CATCH_UP);
    stage.until(limit, "the log has taken everything", || {
        let (now, written) = (Clock.now().monotonic.0, subscriber.written()?);
        // Reports on publishers trickle in at any time.
        if written > before + TRICKLE {
            if first == 0 {
                first = now;
            }
            (before, last) = (written, now);
        }
        let quiet = now.saturating_sub(last) > QUIET_NANOS;
        Ok(first > 0 && quiet && sending.iter().all(|role| role.tally().done || role.process.ended().is_some()))
    })?;
    Ok((first, last))
}
