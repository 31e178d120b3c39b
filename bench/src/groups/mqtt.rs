//! Over Mosquitto, beside a client that only counts.

use std::time::Duration;

use anyhow::ensure;

use super::{Measuring, all_sent, generators, micros, way};
use crate::results::Unit;
use crate::stage::deadline;
use crate::subscriber::Subscriber;
use crate::usage;

/// How long after the load everything may take to arrive.
const CATCH_UP: Duration = Duration::from_mins(2);
/// With Mosquitto's own 1,000 queued and 20 in flight it drops and waits.
const ROOM: &str = "max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 1000\nset_tcp_nodelay true\n";

/// One run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    for qos in ["0", "1"] {
        bare(measuring, qos)?;
        ours(measuring, qos)?;
    }
    Ok(())
}

fn bare(measuring: &mut Measuring, qos: &str) -> anyhow::Result<()> {
    let name = format!("Mosquitto to a bare counting client, QoS {qos}");
    measuring.attempt(&name, |measuring, stage| {
        let hub = stage.mosquitto(ROOM)?;
        let receiver = stage.role("count", &["count", "--from", &hub.subscribers, "--qos", qos])?;
        stage.first_line(&receiver)?;
        let span = humantime::format_duration(measuring.load()).to_string();
        let sending = generators(stage, 2, &hub.publishers, &["--qos", qos, "--for", &span])?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        let got = stage.settled(&receiver, sent.count, CATCH_UP)?;
        ensure!(got.count > 0, "nothing came");
        let cpu = micros(receiver.cpu()?, got.count);
        measuring.note(&format!("bare_{qos}"), &name, Unit::PerSecond, got.rate());
        measuring.note(&format!("bare_{qos}_cpu"), &format!("{name}: its CPU a message"), Unit::CpuMicros, cpu);
        let lost = 100.0 * sent.count.saturating_sub(got.count) as f64 / sent.count as f64;
        measuring.note(&format!("bare_{qos}_lost"), &format!("{name}: lost"), Unit::Percent, lost);
        let server = micros(usage::cpu_seconds(hub.process.pid())?, got.count);
        measuring.note(
            &format!("bare_{qos}_server_cpu"),
            &format!("{name}: CPU of Mosquitto a message"),
            Unit::CpuMicros,
            server,
        );
        Ok(())
    })
}

fn ours(measuring: &mut Measuring, qos: &str) -> anyhow::Result<()> {
    let name = format!("Mosquitto to the subscriber's durable log, QoS {qos}");
    measuring.attempt(&name, |measuring, stage| {
        let hub = stage.mosquitto(ROOM)?;
        let subscriber = Subscriber::start(stage, &hub.subscribers, &["--log-only"])?;
        stage.until(deadline(CATCH_UP), "the link is up", || {
            let text = crate::page::Connection::open(subscriber.page)?.get("/metrics")?;
            Ok(text.lines().any(|line| line.starts_with("lastbeat_link_up{link=\"mqtt") && line.ends_with(" 1")))
        })?;
        let start = subscriber.written()?;
        let span = humantime::format_duration(measuring.load()).to_string();
        let sending = generators(stage, 2, &hub.publishers, &["--qos", qos, "--for", &span])?;
        let (first, last) = way::growth(stage, &subscriber, start, &sending)?;
        let sent = all_sent(stage, &sending, CATCH_UP)?;
        let came = subscriber.heard(stage, sent.count, Duration::from_secs(5))?;
        let cpu = micros(subscriber.cpu()?, came);
        let server = micros(usage::cpu_seconds(hub.process.pid())?, came);
        subscriber.end(stage)?;
        measuring.note(&format!("log_{qos}"), &name, Unit::PerSecond, came as f64 / ((last - first) as f64 / 1e9));
        measuring.note(
            &format!("log_{qos}_cpu"),
            &format!("{name}: CPU of the subscriber a message"),
            Unit::CpuMicros,
            cpu,
        );
        measuring.note(
            &format!("log_{qos}_server_cpu"),
            &format!("{name}: CPU of Mosquitto a message"),
            Unit::CpuMicros,
            server,
        );
        let missing = 100.0 * sent.count.saturating_sub(came) as f64 / sent.count as f64;
        measuring.note(&format!("log_{qos}_lost"), &format!("{name}: lost"), Unit::Percent, missing);
        Ok(())
    })
}
