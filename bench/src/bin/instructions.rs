//! Runs one part so many times, for `scripts/instructions`, which counts: `instructions PART TIMES`. Without arguments the
//! names of all that are counted.

use anyhow::{Context, bail};
use lastbeat_bench::parts::ALL;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => ALL.iter().filter(|part| part.counted).for_each(|part| println!("{}", part.name)),
        [name, times] => {
            let part = ALL.iter().find(|part| part.name == name).with_context(|| format!("no part {name:?}"))?;
            part.make()?(times.parse()?)?;
        }
        _ => bail!("usage: instructions [PART TIMES]"),
    }
    Ok(())
}
