//! `lastbeat-broker`: the optional broker between ZeroMQ publishers and subscribers.

use std::process::ExitCode;

fn main() -> ExitCode {
    lastbeat_broker::main()
}
