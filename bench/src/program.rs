//! [`main`]: measures what is asked for, group by group, and writes what came of it; or plays a role.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use lastbeat_host::Clock;
use lastbeat_scenarios::events::{Events, Interrupted};
use lastbeat_scenarios::machine::{commit, machine};

use crate::cli::{Cli, Group, Role, Wanted};
use crate::groups::{self, Measuring};
use crate::results::Results;
use crate::targets;
use crate::{document, roles};

/// What a shell shows for a program that SIGINT ended (128 + 2).
const INTERRUPTED: u8 = 130;

/// Reads the command line and does what it says. Exit code 1 says that something could not be measured; a target that is missed
/// does not: figures depend on the machine.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.role {
        Some(role) => play(role).map(|()| true),
        None => measure(&cli.wanted),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lastbeat-bench: {error:#}");
            if error.is::<Interrupted>() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

fn play(role: &Role) -> anyhow::Result<()> {
    match role {
        Role::Proxy(args) => roles::proxy(args),
        Role::Send(args) => roles::send(args),
        Role::Count(args) => roles::count(args),
        Role::Lines(args) => roles::lines(args),
        Role::Post(args) => roles::post(args),
        Role::Beat(args) => roles::beat(args),
        Role::Memory { publishers } => roles::memory(*publishers),
    }
}

fn measure(wanted: &Wanted) -> anyhow::Result<bool> {
    let earlier = match &wanted.with {
        Some(file) => {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            serde_json::from_slice(&text).with_context(|| file.display().to_string())?
        }
        None => Results::default(),
    };
    let groups: BTreeSet<Group> = match (&wanted.groups[..], wanted.only_write) {
        (_, true) => BTreeSet::new(),
        ([], false) => Group::value_variants().iter().copied().collect(),
        (some, false) => some.iter().copied().collect(),
    };
    let events = Events::listen()?;
    let mut results = Results::default();
    let mut measured = Vec::new();
    for group in groups {
        let name = group.name();
        let runs = wanted.runs;
        for run in 1..=runs {
            eprintln!("{name}: run {run} of {runs}");
            let mut measuring = Measuring {
                events: &events,
                results: &mut results,
                quick: wanted.quick,
                million: wanted.million,
                group,
                run,
            };
            groups::measure(&mut measuring)?;
        }
        results.made.insert(name, made(wanted));
        measured.push(group);
        let mut all = results.clone();
        all.take_others(earlier.clone(), &measured);
        write(wanted, &all)?;
    }
    results.take_others(earlier, &measured);
    write(wanted, &results)?;
    print!("{}", document::report(&results));
    let missed = targets::ALL.iter().filter(|target| target.met(&results) == Some(false)).count();
    eprintln!("{missed} of {} targets are not met", targets::ALL.len());
    Ok(results.failures.is_empty())
}

fn made(wanted: &Wanted) -> String {
    let (day, runs) = (Clock.now().utc.to_chrono().format("%Y-%m-%d %H:%M").to_string(), wanted.runs);
    let quick = if wanted.quick { ", --quick" } else { "" };
    format!("{day} UTC, commit {}, {runs} runs{quick}, {}", commit(), machine())
}

fn write(wanted: &Wanted, results: &Results) -> anyhow::Result<()> {
    if let Some(file) = &wanted.json {
        let text = serde_json::to_string_pretty(results)?;
        std::fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    wanted.markdown.as_ref().map_or(Ok(()), |page| document::write(page, results))
}
