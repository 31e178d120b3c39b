//! The memory that publishers take in the watchdog: what this process grows by when it has heard them all.

use anyhow::Context;

use crate::parts::Crowd;
use crate::usage;

/// Tells how many bytes a publisher that is.
pub fn memory(publishers: u32) -> anyhow::Result<()> {
    let own = std::process::id().cast_signed();
    // The ids by which they are spoken for here are not the watchdog's.
    let ids = Crowd::ids(publishers);
    let before = usage::resident_bytes(own)?;
    let crowd = Crowd::of(ids);
    let after = usage::resident_bytes(own)?;
    drop(crowd);
    let bytes = after.checked_sub(before).context("the process has shrunk")? as f64 / f64::from(publishers);
    println!("{}", serde_json::json!({ "bytes": bytes }));
    Ok(())
}
