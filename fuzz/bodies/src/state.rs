//! The files that the subscriber keeps beside its log, and the log's records: any bytes are read, or set aside.

use std::time::Duration;

use lastbeat_subscriber::fuzzed;
use lastbeat_watchdog::HostView;
use lastbeat_wire::{BootId, HostId, Monotonic, Now, ProcessIdentity, UtcNanos};

/// The watchdog's snapshot, and InfluxDB's cursor. The first byte says how long this host has been up.
pub fn snapshot(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let now = Now {
        monotonic: Monotonic(0).plus(Duration::from_secs(u64::from(*first))),
        utc: UtcNanos(1_700_000_000_000_000_000),
    };
    let process = ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4, start: 5 };
    let host = (first % 2 == 0).then_some(HostView { process, booted_at: UtcNanos(now.utc.0 - 1) });
    let folder = crate::folder();
    fuzzed::snapshot(folder.path(), bytes, now, host);
    fuzzed::cursor(folder.path(), bytes, "http://127.0.0.1:8086/lastbeat");
}

/// A record of the log; the first byte is its kind.
pub fn record(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    fuzzed::record(*kind, body);
    fuzzed::record(kind % 8, body);
}
