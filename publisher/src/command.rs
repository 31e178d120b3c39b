//! [`run`]: from the command line to the parts that do it.

use crate::cli::{Cli, Command, RecordArgs};
use crate::failure::Failure;
use crate::record::{Recording, record};
use crate::stop::Stop;

/// Does what the command line asks for, until it is done or a signal ends it.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let stop = Stop::on_signals()?;
    match cli.command {
        Command::Record(args) => run_record(&args, &stop),
    }
}

fn run_record(args: &RecordArgs, stop: &Stop) -> Result<(), Failure> {
    let recording = Recording { out: &args.out, every: args.every, span: args.span };
    let rows = record(&recording, stop)?;
    tracing::info!("{}: {rows} rows written", args.out.display());
    Ok(())
}
