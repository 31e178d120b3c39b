//! What several properties are tried on.

use lastbeat_wire::{BootId, HostId, ProcessIdentity};
use proptest::prelude::*;

/// Any process.
pub fn process() -> impl Strategy<Value = ProcessIdentity> {
    (any::<u64>(), any::<u128>(), any::<u64>(), any::<u32>(), any::<u64>()).prop_map(
        |(host, boot, pid_namespace, pid, start)| ProcessIdentity {
            host: HostId(host),
            boot: BootId(boot),
            pid_namespace,
            pid,
            start,
        },
    )
}
