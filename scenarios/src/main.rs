//! The program `lastbeat-scenarios`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lastbeat_scenarios::main()
}
