//! The CSV export: written by the subscriber's own command, and read back.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::process::{Program, Reads};
use crate::programs;
use crate::stage::Stage;

/// How long an export of some hundred rows may take.
const LIMIT: Duration = Duration::from_secs(30);

/// An exported measurement.
pub struct Export {
    /// The publisher of each row.
    publishers: Vec<String>,
}

impl Export {
    /// Has a measurement exported from the stage's store to `measurement.csv` in its folder.
    ///
    /// # Errors
    /// When the command fails, or what it wrote is no CSV with a column `publisher`.
    pub fn write(stage: &mut Stage, measurement: &str) -> anyhow::Result<Self> {
        let file = stage.folder.path().join(format!("{measurement}.csv"));
        let mut command = programs::own("lastbeat-subscriber")?;
        command.args(["export", "--measurement", measurement, "--format", "csv"]);
        command.arg("--store").arg(stage.folder.store()).arg("--out").arg(&file);
        let name = format!("export-{measurement}");
        let process = stage.run(Program { name, command, reads: Reads::Nothing }, LIMIT)?;
        match process.ended() {
            Some(status) if status.success() => Self::read(&file),
            status => bail!(
                "the export of {measurement} failed ({}): {}",
                status.map(|status| status.to_string()).unwrap_or_default(),
                process.log_tail(12).lines().next().unwrap_or_default()
            ),
        }
    }

    fn read(file: &Path) -> anyhow::Result<Self> {
        let publishers = publishers(file).with_context(|| file.display().to_string())?;
        Ok(Self { publishers })
    }

    /// How many rows there are, of a publisher or of all.
    pub fn rows(&self, publisher: Option<&str>) -> u64 {
        let wanted = |name: &&String| publisher.is_none_or(|publisher| publisher == *name);
        self.publishers.iter().filter(wanted).count() as u64
    }
}

fn publishers(file: &Path) -> anyhow::Result<Vec<String>> {
    let mut reader = csv::Reader::from_path(file)?;
    let headers = reader.headers()?;
    let column = headers.iter().position(|name| name == "publisher");
    let column = column.with_context(|| format!("has no column \"publisher\", but {headers:?}"))?;
    reader.records().map(|record| Ok(record?.get(column).unwrap_or_default().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_rows_of_each_publisher() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sensor.csv");
        std::fs::write(&file, "time,publisher,lux\n1,light-1,3\n2,light-2,4\n3,light-1,5\n").unwrap();
        let export = Export::read(&file).unwrap();
        assert_eq!((export.rows(Some("light-1")), export.rows(None)), (2, 3));
        std::fs::write(&file, "time,lux\n1,3\n").unwrap();
        assert!(format!("{:#}", Export::read(&file).err().unwrap()).contains("no column"));
    }
}
