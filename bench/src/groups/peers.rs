//! What a user would use instead: Python that replays a CSV file, monit and supervisord that watch a process, an MQTT broker that
//! delivers a will.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lastbeat_host::Clock;
use lastbeat_scenarios::process::{Process, Reads};
use lastbeat_scenarios::programs;
use lastbeat_watchdog::State;
use lastbeat_wire::UtcNanos;
use rustix::process::{Pid, Signal};

use super::Measuring;
use crate::results::{Unit, percentile};
use crate::stage::{Role, Stage, deadline, peer};
use crate::subscriber::Flips;

/// How long a process may take to start, and its end to be noticed.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is watched where not its beats are: a process that does nothing.
const SLEEPER: [&str; 2] = ["sleep", "1000"];

/// One run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    csv(measuring)?;
    death(measuring)?;
    monit(measuring)?;
    supervisord(measuring)?;
    stopped(measuring)?;
    will(measuring)
}

/// The same file, by our publisher and by Python, into the same bare receiver.
fn csv(measuring: &mut Measuring) -> anyhow::Result<()> {
    measuring.attempt("a CSV file, as fast as it goes", |measuring, stage| {
        let rows = measuring.full_or_quick(1_000_000, 100_000);
        let file = stage.path("rows.csv");
        write_rows(&file, rows)?;
        for (key, name) in [("csv", "CSV publisher"), ("csv_python", "CSV publisher in Python")] {
            let receiver =
                stage.role(key, &["count", "--from", "tcp://127.0.0.1:*", "--bind", "--high-water-mark", "100000"])?;
            let line = stage.first_line(&receiver)?;
            let to = line["address"].as_str().context("no address")?.to_owned();
            let command = if key == "csv" {
                let mut command = programs::own("lastbeat-publisher")?;
                command.arg("csv").arg(&file).args(["--id", "rows", "--every", "0", "--once", "--spool", "off"]);
                command.args(["--to", &format!("zmq+{to}")]);
                command
            } else {
                let mut command = peer("csv_publisher.py")?;
                command.arg(&file).args([&to, "rows"]);
                command
            };
            let publisher = stage.start(&format!("{key}-publisher"), command, Reads::Nothing)?;
            let ends = || Ok(publisher.ended().is_some());
            stage.until(deadline(Duration::from_mins(3)), "the file is through", ends)?;
            let got = stage.settled(&receiver, rows, PATIENCE)?;
            ensure!(got.count >= rows, "{} of {rows} rows came: {}", got.count, publisher.log_tail(3));
            measuring.note(key, name, Unit::PerSecond, got.rate());
        }
        Ok(())
    })
}

fn write_rows(file: &Path, rows: u64) -> anyhow::Result<()> {
    use std::io::Write;

    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    writeln!(out, "time,celsius,humidity,lux,pascal,volt")?;
    for row in 0..rows {
        let (minute, second, milli) = (row / 60_000 % 60, row / 1_000 % 60, row % 1_000);
        let hour = row / 3_600_000 % 24;
        writeln!(
            out,
            "2026-01-01T{hour:02}:{minute:02}:{second:02}.{milli:03}Z,21.{milli:03},48.25,318.5,101325.125,3.296875"
        )?;
    }
    Ok(out.flush()?)
}

/// A local publisher is killed; until that is told on the subscriber's stdout.
fn death(measuring: &mut Measuring) -> anyhow::Result<()> {
    measuring.attempt("kill -9 of a local publisher", |measuring, stage| {
        let (broker, _subscriber, flips) = super::verdicts::told_pipeline(stage, "10s")?;
        let (mut known, mut told) = (Vec::new(), Vec::new());
        for number in 0..measuring.full_or_quick(50, 10) {
            let id = format!("mortal-{number}");
            let role = stage.role(&id, &["beat", "--to", &broker.publishers, "--id", &id, "--every", "1s"])?;
            flip(stage, &flips, &id, State::Alive)?;
            // Its end is waited for from the loop's next turn on.
            stage.pause(Duration::from_millis(20))?;
            let killed = signal(&role.process, Signal::KILL)?;
            let (noticed, arrived) = flip(stage, &flips, &id, State::Dead)?;
            known.push(noticed.since(killed).as_secs_f64() * 1e3);
            told.push(arrived.since(killed).as_secs_f64() * 1e3);
        }
        known.sort_by(f64::total_cmp);
        told.sort_by(f64::total_cmp);
        measuring.note(
            "death_known_p50",
            "local death to verdict in the watchdog, p50",
            Unit::Millis,
            percentile(&known, 0.5),
        );
        measuring.note(
            "death_known_p99",
            "local death to verdict in the watchdog, p99",
            Unit::Millis,
            percentile(&known, 0.99),
        );
        measuring.note("death", "local death to verdict told on stdout, p50", Unit::Millis, percentile(&told, 0.5));
        measuring.note(
            "death_p99",
            "local death to verdict told on stdout, p99",
            Unit::Millis,
            percentile(&told, 0.99),
        );
        Ok(())
    })
}

/// Waits for a flip of a publisher into a state; when the watchdog knew, and when it was read here.
fn flip(stage: &Stage, flips: &Flips, id: &str, to: State) -> anyhow::Result<(UtcNanos, UtcNanos)> {
    let mut seen = None;
    stage.until(deadline(PATIENCE), "a flip is told", || {
        seen = flips.find(|told| told.flip.to == to && told.flip.publisher.as_str() == id);
        Ok(seen.is_some())
    })?;
    let told = seen.context("invariant: waited for")?;
    Ok((told.flip.noticed_at, told.arrived))
}

/// Sends a signal; when that was.
fn signal(process: &Process, signal: Signal) -> anyhow::Result<UtcNanos> {
    let now = Clock.now().utc;
    process.signal(signal)?;
    Ok(now)
}

/// monit looks once a second whether a process is there.
fn monit(measuring: &mut Measuring) -> anyhow::Result<()> {
    measuring.attempt("kill -9, monit at a cycle of 1 s", |measuring, stage| {
        let monit = programs::installed("monit", "monit")?.get_program().to_owned();
        for number in 0..measuring.full_or_quick(5, 2) {
            let mut command = Command::new(SLEEPER[0]);
            command.arg(SLEEPER[1]);
            let victim = stage.start("victim", command, Reads::Nothing)?;
            let (pid, seen, config) = (stage.path("victim.pid"), stage.path(&format!("seen-{number}")), stage.path("monitrc"));
            std::fs::write(&pid, victim.pid().to_string())?;
            let place = stage.folder().display();
            let text = format!(
                "set daemon 1\nset log {place}/monit.txt\nset idfile {place}/monit.id\nset statefile {place}/monit.state\n\
                 set pidfile {place}/monit.pid\ncheck process victim with pidfile {}\n  \
                 if does not exist then exec \"/bin/sh -c 'date +%s%N > {}'\"\n",
                pid.display(),
                seen.display()
            );
            std::fs::write(&config, text)?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&config, mode)?;
            let mut command = Command::new(&monit);
            command.arg("-I").arg("-c").arg(&config);
            let _monit = stage.start("monit", command, Reads::Nothing)?;
            // Spread over its cycle.
            stage.pause(Duration::from_millis(2_500 + 200 * number))?;
            let killed = signal(&victim, Signal::KILL)?;
            // The file is there before the time is in it.
            let mut noticed = 0;
            stage.until(deadline(PATIENCE), "monit notices", || {
                noticed = std::fs::read_to_string(&seen).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
                Ok(noticed > 0)
            })?;
            let span = UtcNanos(noticed).since(killed);
            measuring.note("monit", "local death to monit's action, at a cycle of 1 s", Unit::Millis, span.as_secs_f64() * 1e3);
        }
        Ok(())
    })
}

/// supervisord is the parent of what it watches, looks once a second, and sees at once when the pipes to it are closed.
fn supervisord(measuring: &mut Measuring) -> anyhow::Result<()> {
    measuring.attempt("kill -9, supervisord", |measuring, stage| {
        let mut command = programs::installed("supervisord", "supervisor")?;
        let (config, pid, place) = (stage.path("supervisord.conf"), stage.path("victim.pid"), stage.folder().display());
        let text = format!(
            "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={place}/supervisord.pid\n\
             [program:victim]\ncommand=/bin/sh -c 'echo $$ > {}; exec {} {}'\nautorestart=true\nstartsecs=0\n",
            pid.display(),
            SLEEPER[0],
            SLEEPER[1]
        );
        std::fs::write(&config, text)?;
        command.arg("-c").arg(&config);
        let role: Role = stage.teller("supervisord", command)?;
        let exits = || role.lines().into_iter().filter(|line| line.text.contains("exited: victim"));
        for number in 0..measuring.full_or_quick(5, 2) {
            let mut victim = None;
            stage.until(deadline(PATIENCE), "supervisord starts it", || {
                victim = std::fs::read_to_string(&pid).ok().and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
                Ok(victim.is_some())
            })?;
            std::fs::remove_file(&pid)?;
            stage.pause(Duration::from_millis(1_300 + 170 * number))?;
            let (before, killed) = (exits().count(), Clock.now().monotonic.0);
            rustix::process::kill_process(victim.context("invariant: waited for")?, Signal::KILL)?;
            let mut noticed = None;
            stage.until(deadline(PATIENCE), "supervisord notices", || {
                noticed = exits().nth(before);
                Ok(noticed.is_some())
            })?;
            let span = noticed.context("invariant: waited for")?.at.saturating_sub(killed) as f64 / 1e6;
            measuring.note("supervisord", "local death to supervisord's notice, told on stdout", Unit::Millis, span);
        }
        Ok(())
    })
}

/// It beats every 200 ms, may be silent for 600 ms, and is stopped.
fn stopped(measuring: &mut Measuring) -> anyhow::Result<()> {
    measuring.attempt("SIGSTOP of a publisher, threshold 600 ms", |measuring, stage| {
        let (broker, _subscriber, flips) = super::verdicts::told_pipeline(stage, "600ms")?;
        for number in 0..measuring.full_or_quick(5, 2) {
            let id = format!("stopped-{number}");
            let role = stage.role(&id, &["beat", "--to", &broker.publishers, "--id", &id, "--every", "200ms"])?;
            flip(stage, &flips, &id, State::Alive)?;
            // The link has just come up with the first of them: nobody is judged in its first second.
            stage.pause(Duration::from_millis(1_500 + 70 * number))?;
            let at = signal(&role.process, Signal::STOP)?;
            let (_, arrived) = flip(stage, &flips, &id, State::Suspended)?;
            let name = "SIGSTOP to verdict, a beat every 200 ms, threshold 600 ms";
            measuring.note("stop", name, Unit::Millis, arrived.since(at).as_secs_f64() * 1e3);
        }
        Ok(())
    })
}

/// The same with nothing but an MQTT broker: the will of a client with a keepalive of a second.
fn will(measuring: &mut Measuring) -> anyhow::Result<()> {
    measuring.attempt("SIGSTOP of an MQTT client, its will, keepalive 1 s", |measuring, stage| {
        let hub = stage.mosquitto("")?;
        let watcher = stage.role("watcher", &["count", "--from", &hub.subscribers, "--topic", "rip/", "--qos", "1"])?;
        stage.first_line(&watcher)?;
        for number in 0..measuring.full_or_quick(5, 2) {
            let id = format!("willed-{number}");
            let args = ["beat", "--to", &hub.publishers, "--id", &id, "--every", "200ms", "--keepalive", "1"];
            let role = stage.role(&id, &args)?;
            stage.first_line(&role)?;
            stage.pause(Duration::from_millis(1_500 + 170 * number))?;
            let (before, at) = (watcher.tally().count, Clock.now().monotonic);
            role.process.signal(Signal::STOP)?;
            stage.until(deadline(PATIENCE), "the will is delivered", || Ok(watcher.tally().count > before))?;
            let span = watcher.tally().last.saturating_sub(at.0) as f64 / 1e6;
            measuring.note("will", "SIGSTOP to the will, Mosquitto, keepalive 1 s", Unit::Millis, span);
        }
        Ok(())
    })
}
