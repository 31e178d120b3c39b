//! Runs one part so many times, for `scripts/instructions`, which counts: `instructions PART TIMES`. Without arguments the
//! names of all that are counted.

use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_bench::parts::{ALL, Running};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => ALL.iter().filter(|part| part.counted).for_each(|part| println!("{}", part.name)),
        [name, times] => {
            let part = ALL.iter().find(|part| part.name == name).with_context(|| format!("no part {name:?}"))?;
            counted(&mut part.make()?, times.parse()?)?;
        }
        _ => bail!("usage: instructions [PART TIMES]"),
    }
    Ok(())
}

/// What is counted: callgrind is told the name of this function, and counts nothing outside it.
#[inline(never)]
fn counted(running: &mut Running, times: u64) -> anyhow::Result<Duration> {
    running(times)
}
