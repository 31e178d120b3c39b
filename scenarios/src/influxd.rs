//! An `InfluxDB` 1.x of its own: configured, and asked how much it holds.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::influx::Influx;
use crate::programs;

/// One that listens there and keeps everything in `folder`.
pub fn command(folder: &Path, http: SocketAddr, rpc: SocketAddr) -> anyhow::Result<Command> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let place = folder.display();
    let config = format!(
        "reporting-enabled = false\nbind-address = '{rpc}'\n[meta]\ndir = '{place}/meta'\n\
         [data]\ndir = '{place}/data'\nwal-dir = '{place}/wal'\n\
         [http]\nbind-address = '{http}'\nauth-enabled = false\nlog-enabled = false\n"
    );
    // Beside its folder, which may be a disk that is full.
    let file = folder.with_extension("conf");
    std::fs::write(&file, config).with_context(|| format!("write {}", file.display()))?;
    let mut command = programs::installed("influxd", "influxdb")?;
    command.arg("-config").arg(file);
    Ok(command)
}

/// How many readings of a publisher it holds.
pub fn shipped(http: SocketAddr, publisher: &str) -> anyhow::Result<u64> {
    let influx: Influx = format!("http://{http}/lastbeat").parse().map_err(anyhow::Error::msg)?;
    influx.count(publisher, "n")
}
