//! The program `lastbeat-bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lastbeat_bench::main()
}
