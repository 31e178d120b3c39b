//! [`Followers`]: those of the log that are set, opened and started together. A new sink has its place here.

use std::path::Path;

use lastbeat_log::{LogHandle, Position};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::follower::{self, Follower, Following};
use crate::index::Index;
use crate::influx::Influx;
use crate::standby::Standings;
use crate::store::Store;

/// Those that are set, not yet at work.
pub struct Followers {
    store: Option<Store>,
    influx: Option<Influx>,
    index: Option<Index>,
}

impl Followers {
    /// Opens each; the cursors of those that write elsewhere are in the log's folder.
    ///
    /// # Errors
    /// When a file can't be opened, or one that is named in the settings can't be used.
    pub fn open(settings: &Settings, log_dir: &Path, standings: &Standings) -> anyhow::Result<Self> {
        let store = (!settings.log_only).then(|| Store::open(&settings.store)).transpose()?;
        let influx = settings.influx.clone().map(|config| Influx::open(config, log_dir, standings.influx.clone()));
        let index = settings.index.clone().map(|config| Index::open(config, log_dir, standings.index.clone()));
        Ok(Self { store, influx: influx.transpose()?, index: index.transpose()? })
    }

    /// The highest of their cursors: a log that ends before it has lost something.
    pub fn furthest(&self) -> Position {
        let cursors = [
            self.store.as_ref().map(Follower::cursor),
            self.influx.as_ref().map(Follower::cursor),
            self.index.as_ref().map(Follower::cursor),
        ];
        cursors.into_iter().flatten().fold(Position::START, Position::max)
    }

    /// Starts each on a thread of its own.
    pub fn start(self, log: &LogHandle, stop: &CancellationToken) -> anyhow::Result<Vec<Following>> {
        let store = self.store.map(|store| follower::start(store, log.clone(), stop.clone()));
        let influx = self.influx.map(|influx| follower::start(influx, log.clone(), stop.clone()));
        let index = self.index.map(|index| follower::start(index, log.clone(), stop.clone()));
        [store, influx, index].into_iter().flatten().collect()
    }
}
