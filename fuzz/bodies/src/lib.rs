//! What each fuzz target does with its bytes. A target of `cargo fuzz` is one line that calls one of these; here they are
//! built with the workspace, and a test gives each of them its seeds.

mod asked;
mod capture;
mod csv;
mod endpoint;
mod http;
mod influx;
mod log;
mod mqtt;
mod settings;
mod state;
mod wire;

use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use tempfile::TempDir;

/// One target: its name, which is also that of its file and of its folder of seeds, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 18] = [
    ("capture", capture::capture),
    ("csv_replay", csv::replay),
    ("endpoint", endpoint::endpoint),
    ("http", http::request),
    ("http_query", http::query),
    ("influx_conflict", influx::conflict),
    ("line_protocol", influx::line),
    ("log_recovery", log::recovery),
    ("log_records", state::record),
    ("mqtt_packets", mqtt::packets),
    ("resend_broker", asked::broker),
    ("resend_decode", asked::decoded),
    ("resend_publisher", asked::publisher),
    ("settings", settings::settings),
    ("snapshot", state::snapshot),
    ("topic", wire::topic),
    ("wire_decode", wire::decode_any),
    ("wire_round_trip", wire::round_trip),
];

/// Runs the target of this name.
///
/// # Panics
/// When what must hold does not, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name");
    target(bytes);
}

/// Bytes as a value; `None` where there are too few.
fn made_of<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}

/// A folder in memory, where there is one.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}
