//! What publishers cost by their number: a message, a silent one, memory, answers; and the watchdog alone.

use std::time::Duration;

use anyhow::{Context, ensure};
use lastbeat_host::Clock;

use super::{Measuring, all_heard, all_sent, micros, way};
use crate::page::Connection;
use crate::parts::Crowd;
use crate::results::{Unit, median};
use crate::stage::{Role, Stage, deadline};
use crate::subscriber::Subscriber;
use crate::usage;

/// How long a crowd may take to be heard, and the store to have them.
const HEARD_WITHIN: Duration = Duration::from_mins(3);
const MILLION: u32 = 1_000_000;
/// After so long a link no longer is new: everyone is asked for its last message up to half a minute after it came up.
const LINK_SETTLED: Duration = Duration::from_secs(33);

/// Within a fifth of the threshold each that was heard is reported on.
const REPORTED: Duration = Duration::from_secs(11);
/// How long their silence is watched; with all that comes before it ends before anybody is late.
const IDLE: Duration = Duration::from_secs(20);

/// One run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    let sizes: &[u32] = measuring.full_or_quick(&[10, 1_000, 100_000, MILLION], &[10, 1_000, 20_000]);
    for publishers in sizes {
        cost(measuring, *publishers)?;
    }
    for publishers in sizes {
        present(measuring, *publishers)?;
    }
    watchdog_alone(measuring)
}

/// The CPU that a message costs, all publishers speaking in turn. Without the store, whose cost is its own, and with a threshold
/// of an hour, so that the reports on each publisher, one every fifth of a threshold, are not in it.
fn cost(measuring: &mut Measuring, publishers: u32) -> anyhow::Result<()> {
    let name = format!("a message among {publishers} publishers");
    measuring.attempt(&name, |measuring, stage| {
        let (broker, subscriber) = way::pipeline(stage, &["--log-only", "--threshold", "1h"])?;
        let next = fill(stage, &subscriber, &broker.publishers, publishers)?;
        let (before, heard) = (subscriber.cpu()?, subscriber.messages()?);
        let (count, span) = (publishers.to_string(), humantime::format_duration(measuring.load()).to_string());
        let options = ["--publishers", &count, "--number", &next, "--process", "1", "--for", &span];
        let sending = vec![speaker(stage, &broker.publishers, &options)?];
        let sent = all_sent(stage, &sending, HEARD_WITHIN)?;
        let came = settled(stage, &subscriber)? - heard;
        ensure!(came > 0, "nothing came");
        let lost = 100.0 * sent.count.saturating_sub(came) as f64 / sent.count as f64;
        measuring.note(&format!("message_{publishers}_lost"), &format!("{name}: lost on the way"), Unit::Percent, lost);
        measuring.note(
            &format!("message_{publishers}_cpu"),
            &format!("{name}: CPU"),
            Unit::CpuMicros,
            micros(subscriber.cpu()? - before, came),
        );
        measuring.note(
            &format!("message_{publishers}_rate"),
            &format!("{name}: from one generator"),
            Unit::PerSecond,
            sent.rate(),
        );
        Ok(())
    })
}

/// One generator that speaks for the same publishers as before.
fn speaker(stage: &Stage, to: &str, options: &[&str]) -> anyhow::Result<Role> {
    stage.role("speaker", &[&["send", "--to", to, "--id", "ready"], options].concat())
}

/// Each has spoken once, and is silent but not yet late: memory, answers, idle CPU. With the store, as it is by default.
fn present(measuring: &mut Measuring, publishers: u32) -> anyhow::Result<()> {
    let name = format!("{publishers} publishers");
    measuring.attempt(&name, |measuring, stage| {
        let (broker, subscriber) = way::pipeline(stage, &[])?;
        if publishers >= 100_000 {
            stage.pause(LINK_SETTLED)?;
        }
        fill(stage, &subscriber, &broker.publishers, publishers)?;
        measuring.note(
            &format!("rss_{publishers}"),
            &format!("{name}: memory of the process"),
            Unit::Mebibytes,
            resident(&subscriber)?,
        );
        stage.pause(REPORTED)?;
        let (before, began) = (subscriber.cpu()?, Clock.now().monotonic);
        stage.pause(IDLE)?;
        let share = (subscriber.cpu()? - before) / Clock.now().monotonic.since(began).as_secs_f64();
        measuring.note(
            &format!("idle_{publishers}"),
            &format!("{name}, silent but not late: idle CPU"),
            Unit::Percent,
            share * 100.0,
        );
        for (key, what, path) in [
            ("overview", "the first 100 of the overview", "/api/v1/publishers?limit=100"),
            ("one", "one publisher", "/api/v1/publishers/ready-0"),
        ] {
            let answer = answer(&subscriber, path)?;
            measuring.note(&format!("{key}_{publishers}"), &format!("{name}: {what}"), Unit::Millis, answer);
        }
        Ok(())
    })
}

/// Everybody is heard; then what that left to do is done. The number of everybody's next message.
fn fill(stage: &Stage, subscriber: &Subscriber, to: &str, publishers: u32) -> anyhow::Result<String> {
    let next = all_heard(stage, subscriber, (to, "ready"), publishers, &[])?;
    // Until it has had nothing to do for a moment, or for as long as that leaves time before they are late.
    let limit = deadline(Duration::from_secs(10));
    let mut before = subscriber.cpu()?;
    loop {
        stage.pause(Duration::from_millis(500))?;
        let now = subscriber.cpu()?;
        if now - before < 0.02 || Clock.now().monotonic >= limit {
            return Ok(next.to_string());
        }
        before = now;
    }
}

/// Waits until no more messages come; how many have.
fn settled(stage: &Stage, subscriber: &Subscriber) -> anyhow::Result<u64> {
    let mut before = 0;
    loop {
        let now = subscriber.messages()?;
        if now == before {
            return Ok(now);
        }
        before = now;
        stage.pause(Duration::from_millis(1_500))?;
    }
}

fn resident(subscriber: &Subscriber) -> anyhow::Result<f64> {
    Ok(usage::resident_bytes(subscriber.process.pid())? as f64 / f64::from(1 << 20))
}

/// The median of several questions on one connection, in milliseconds.
fn answer(subscriber: &Subscriber, path: &str) -> anyhow::Result<f64> {
    let mut page = Connection::open(subscriber.page)?;
    let mut spans = Vec::new();
    for _ in 0..20 {
        let began = Clock.now().monotonic;
        page.get(path)?;
        spans.push(Clock.now().monotonic.since(began).as_secs_f64() * 1e3);
    }
    median(&spans).context("invariant: it was asked")
}

/// The watchdog without what is around it, in simulated time.
fn watchdog_alone(measuring: &mut Measuring) -> anyhow::Result<()> {
    let publishers = measuring.full_or_quick(MILLION, 100_000);
    measuring.attempt("the watchdog alone", |measuring, stage| {
        let role = stage.role("memory", &["memory", &publishers.to_string()])?;
        let bytes = stage.first_line(&role)?["bytes"].as_f64().context("no figure")?;
        let of = |what: &str| format!("the watchdog alone, {publishers} publishers: {what}");
        measuring.note("watchdog_bytes", &of("memory a publisher"), Unit::Bytes, bytes);
        measuring.note(
            "deadline",
            &of("the deadline's share of a beat"),
            Unit::Nanos,
            Crowd::deadlines_share(publishers),
        );
        let mut crowd = Crowd::new(publishers);
        let span = crowd.all_due().as_secs_f64() * 1e3;
        measuring.note("all_due", &of("all due at once"), Unit::Millis, span);
        Ok(())
    })
}
