//! Into a real `InfluxDB`, beside ready-made line protocol posted to one like it, and beside what a person would write in Python.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lastbeat_host::Clock;
use lastbeat_scenarios::network::free_port;

use super::{Measuring, all_sent, generators, micros, way};
use crate::results::Unit;
use crate::stage::{Influx, Stage, deadline, peer};
use crate::usage;

/// How long after the load everything may take to arrive.
const CATCH_UP: Duration = Duration::from_mins(5);
/// How long a server may need until its count is right.
const COUNTED_WITHIN: Duration = Duration::from_secs(30);
/// What each of both generators offers to Python: more than it takes, and no more than leaves it a processor.
const OFFERED_TO_PYTHON: &str = "40000";

/// One run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    for batch in ["5000", "10000"] {
        ready(measuring, batch)?;
    }
    let best =
        |batch: &str| measuring.results.find(&format!("influx.ready_{batch}")).and_then(|of| of.values.last().copied());
    if let (Some(five), Some(ten)) = (best("5000"), best("10000")) {
        measuring.note("ready", "ready-made lines, the better of both", Unit::PerSecond, five.max(ten));
    }
    pipeline(measuring)?;
    backlog(measuring)?;
    for (how, name) in [
        ("point", "Python, point by point"),
        ("dicts", "Python, batches of dicts"),
        ("lines", "Python, batches of lines"),
    ] {
        python(measuring, how, name)?;
    }
    Ok(())
}

fn ready(measuring: &mut Measuring, batch: &str) -> anyhow::Result<()> {
    let name = format!("ready-made lines, 2 writers, {batch} a request");
    measuring.attempt(&name, |measuring, stage| {
        let influx = stage.influx(&["bench"])?;
        let to = influx.at.to_string();
        // As many as the backlog has: InfluxDB compacts what it holds now and then, which is part of its cost.
        let points = measuring.full_or_quick("4000000", "800000");
        let options = ["--database", "bench", "--batch", batch, "--points", points];
        let writer = stage.role("post", &[&["post", "--to", &to], &options[..]].concat())?;
        let sent = stage.finished(&writer, CATCH_UP)?;
        let points = complete(stage, &influx, "bench", sent.count)?;
        measuring.note(&format!("ready_{batch}"), &name, Unit::PerSecond, sent.rate());
        server(measuring, &format!("ready_{batch}"), &name, &influx, points)
    })
}

/// Waits until the database counts so many points: while it compacts it counts fewer than it has.
fn complete(stage: &Stage, influx: &Influx, database: &str, sent: u64) -> anyhow::Result<u64> {
    let mut points = 0;
    let counted = stage.until(deadline(COUNTED_WITHIN), "InfluxDB counts all", || {
        points = influx.points(database)?;
        Ok(points >= sent)
    });
    counted.with_context(|| format!("InfluxDB has {points} of {sent} points"))?;
    ensure!(points == sent, "InfluxDB has {points} points, and {sent} were sent");
    Ok(points)
}

/// What it costs the server, which is what bounds all of it.
fn server(measuring: &mut Measuring, key: &str, name: &str, influx: &Influx, points: u64) -> anyhow::Result<()> {
    let cpu = micros(usage::cpu_seconds(influx.process.pid())?, points);
    measuring.note(&format!("{key}_server_cpu"), &format!("{name}: CPU of InfluxDB a point"), Unit::CpuMicros, cpu);
    Ok(())
}

fn pipeline(measuring: &mut Measuring) -> anyhow::Result<()> {
    let name = "broker and subscriber into InfluxDB";
    measuring.attempt(name, |measuring, stage| {
        let influx = stage.influx(&["lastbeat"])?;
        let url = format!("http://{}/lastbeat", influx.at);
        let (broker, subscriber) = way::pipeline(stage, &["--log-only", "--influx", &url])?;
        let span = humantime::format_duration(measuring.load()).to_string();
        let sending = generators(stage, 2, &broker.publishers, &["--for", &span])?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        subscriber.heard(stage, sent.count, CATCH_UP)?;
        let done = way::taken_at(stage, &subscriber, "all is in InfluxDB", || Ok(subscriber.shipped()))?;
        let points = complete(stage, &influx, "lastbeat", sent.count)?;
        measuring.note("pipeline", name, Unit::PerSecond, points as f64 / ((done - sent.first) as f64 / 1e9));
        let cpu = micros(subscriber.cpu()?, points);
        measuring.note("pipeline_cpu", &format!("{name}: CPU of the subscriber a message"), Unit::CpuMicros, cpu);
        server(measuring, "pipeline", name, &influx, points)
    })
}

/// Everything is in the log before there is a server.
fn backlog(measuring: &mut Measuring) -> anyhow::Result<()> {
    let name = "a backlog from the log into InfluxDB";
    measuring.attempt(name, |measuring, stage| {
        let (at, rpc) = (free_port(Ipv4Addr::LOCALHOST)?, free_port(Ipv4Addr::LOCALHOST)?);
        let url = format!("http://{at}/lastbeat");
        let (broker, subscriber) = way::pipeline(stage, &["--log-only", "--influx", &url])?;
        let messages = measuring.full_or_quick("2000000", "400000");
        let sending = generators(stage, 2, &broker.publishers, &["--messages", messages])?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        subscriber.heard(stage, sent.count, CATCH_UP)?;
        // All of it is written before there is somebody to ship it to.
        way::taken_at(stage, &subscriber, "the log has taken everything", || subscriber.written())?;
        let all = subscriber.written()?;
        let influx = stage.influx_at(at, rpc, &["lastbeat"])?;
        // Its cursor is on the disk once a second, and right at that moment; how long it waits before it tries again, and for
        // its last save, is not what is measured.
        let mut seen: Vec<(u64, u64)> = Vec::new();
        stage.until(deadline(CATCH_UP), "InfluxDB has taken it", || {
            let cursor = subscriber.shipped();
            if cursor > seen.last().map_or(0, |(cursor, _)| *cursor) {
                seen.push((cursor, Clock.now().monotonic.0));
            }
            Ok(cursor >= all)
        })?;
        let points = complete(stage, &influx, "lastbeat", sent.count)?;
        seen.pop();
        let (Some((begin, first)), Some((end, last))) = (seen.first(), seen.last()) else {
            bail!("it was over at once")
        };
        ensure!(end > begin, "it was over within two seconds");
        let measured = points as f64 * (end - begin) as f64 / all as f64;
        measuring.note("backlog", name, Unit::PerSecond, measured / ((last - first) as f64 / 1e9));
        server(measuring, "backlog", name, &influx, points)
    })
}

fn python(measuring: &mut Measuring, how: &str, name: &str) -> anyhow::Result<()> {
    measuring.attempt(name, |measuring, stage| {
        let influx = stage.influx(&["python"])?;
        let (_proxy, publishers, subscribers) = stage.proxy(100_000)?;
        let mut command = peer("write_influx.py")?;
        let from = subscribers.trim_start_matches("zmq+");
        command.args([from, &influx.at.ip().to_string(), &influx.at.port().to_string(), "python", how]);
        let writer = stage.teller("python", command)?;
        // A batch of dicts takes a second.
        let span = humantime::format_duration(measuring.load().max(Duration::from_secs(4))).to_string();
        let rate = OFFERED_TO_PYTHON;
        let sending = generators(stage, 2, &publishers, &["--rate", rate, "--for", &span])?;
        all_sent(stage, &sending, CATCH_UP)?;
        let tally = writer.tally();
        ensure!(tally.count > 0, "it wrote nothing: {}", writer.process.log_tail(3));
        measuring.note(&format!("python_{how}"), name, Unit::PerSecond, tally.rate());
        measuring.note(
            &format!("python_{how}_cpu"),
            &format!("{name}: its CPU a point"),
            Unit::CpuMicros,
            micros(writer.cpu()?, tally.count),
        );
        Ok(())
    })
}
