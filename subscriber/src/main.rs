//! `lastbeat-subscriber`: watches publishers, keeps what they say, and tells who is alive and why.

use std::process::ExitCode;

fn main() -> ExitCode {
    lastbeat_subscriber::main()
}
