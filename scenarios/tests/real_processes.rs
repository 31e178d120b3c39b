//! The scenarios with real processes, each played once with a short threshold; and how they end when they are not let be.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal};
use support::{InfluxServer, scenarios, target};

/// Plays a scenario, and shows what it printed if it failed.
fn play(line: &str) -> String {
    let mut command = scenarios();
    let output = command.args(line.split(' ')).args(["--threshold", "3s"]).output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{line}: {}\n{text}", output.status);
    text
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn both_stay_alive_over_zeromq() {
    let told = play("both-alive");
    assert!(told.contains("all alive, heard, alive=true") && !told.contains("dead"), "{told}");
}

#[test]
fn one_is_killed_over_zeromq() {
    let told = play("one-down");
    assert!(told.contains("unseen → alive → dead (process_gone)"), "{told}");
}

#[test]
fn both_are_stopped_and_go_on_over_zeromq() {
    let told = play("both-down --how stop");
    assert!(told.contains("light-1 heartbeats suspended") && told.contains("light-2 heartbeats suspended"), "{told}");
}

#[test]
fn one_says_goodbye_over_mqtt() {
    play("one-down --how term --transport mqtt");
}

#[test]
fn both_stay_alive_over_mqtt() {
    play("both-alive --transport mqtt");
}

#[test]
fn both_are_killed_over_mqtt_with_a_real_influxdb() {
    let influx = InfluxServer::start();
    let told = play(&format!("both-down --transport mqtt --influx {}", influx.url));
    assert!(told.contains("light-2 heartbeats in InfluxDB"), "{told}");
}

#[test]
#[ignore = "cuts network links of its own, and so needs root: cargo test -p lastbeat-scenarios -- --ignored"]
fn both_are_cut_off_and_mended() {
    play("both-down --how net");
    play("one-down --how net --transport mqtt");
}

/// Under load, with an `InfluxDB` beside them.
#[test]
fn nothing_is_lost_and_nothing_false_is_told_whatever_is_done_to_the_processes() {
    let told = play("faults --short --rate 500");
    assert!(told.contains("7 cases played, 0 skipped: all right"), "{told}");
}

#[test]
fn a_case_that_there_is_not_is_named() {
    let output = scenarios().args(["faults", "--only", "burn publisher"]).output().unwrap();
    assert!(!output.status.success() && text(&output).contains("no such case"), "{}", text(&output));
}

#[test]
fn latencies_are_measured() {
    let told = text(&scenarios().args(["latency", "--runs", "2", "--threshold", "1s"]).output().unwrap());
    for row in ["kill -9 of a local publisher", "SIGSTOP of a local publisher", "silence of a remote publisher"] {
        assert!(told.contains(row), "{told}");
    }
}

#[test]
fn an_interruption_leaves_no_process_and_no_folder_behind() {
    let mut scenario = scenarios().arg("both-alive").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(scenario.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut lines = lines.inspect(|line| eprintln!("{line}"));
    let heard = |line: &String| !line.contains("their readings are stored");
    let started: Vec<_> = lines.by_ref().take_while(heard).filter_map(|line| pid(&line)).collect();
    assert_eq!(started.len(), 4, "broker, subscriber, two publishers");
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", started[1])).unwrap();
    let store = Path::new(arguments.split('\0').skip_while(|word| *word != "--store").nth(1).unwrap());
    assert!(store.exists());

    rustix::process::kill_process(Pid::from_child(&scenario), Signal::INT).unwrap();
    lines.for_each(drop);
    assert_eq!(scenario.wait().unwrap().code(), Some(130));
    for pid in started {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "PID {pid} still runs");
    }
    assert!(!store.parent().unwrap().exists());
}

/// Of a line of the timeline that tells one.
fn pid(line: &str) -> Option<u32> {
    line.split_once("PID ")?.1.split(',').next()?.parse().ok()
}

#[test]
fn the_scripts_work_from_any_folder_and_pass_on_every_option() {
    let elsewhere = tempfile::tempdir().unwrap();
    let (folder, profile) = target();
    for name in ["both-alive", "one-down", "both-down", "faults"] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let run = |options: &[&str]| {
            let mut script = Command::new(&script);
            script.args(options).current_dir(&elsewhere).env("LASTBEAT_PROFILE", &profile);
            script.env("CARGO_TARGET_DIR", &folder).output().unwrap()
        };
        let help = run(&["--help"]);
        assert!(
            help.status.success() && text(&help).contains(&format!("lastbeat-scenarios {name}")),
            "{}",
            text(&help)
        );
        let wrong = run(&["--threshold", "3 parsecs"]);
        assert!(wrong.status.code() == Some(2) && text(&wrong).contains("parsecs"), "{}", text(&wrong));
    }
}
