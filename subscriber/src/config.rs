//! [`Settings`]: the configuration file and the command line, put together and checked once.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_swarm::SwarmRules;
use lastbeat_transport::Endpoint;
use lastbeat_watchdog::{Bounds, PublisherRules};
use lastbeat_wire::PublisherId;
use serde::Deserialize;

use crate::cli::WatchArgs;
use crate::http::{HttpConfig, HttpFile};
use crate::index::IndexConfig;
use crate::influx::InfluxConfig;
use crate::receipts::Sync;
use crate::standby::StandbyConfig;
use crate::swarm::SwarmFile;
use crate::threshold::{DEFAULT, Span, Threshold};

/// The file that `sample-config` prints; all of its values are the defaults.
pub const SAMPLE: &str = include_str!("../lastbeat-subscriber.toml");

/// Everything that is set, checked.
#[derive(Debug)]
pub struct Settings {
    /// The links; none where beats over HTTP are all there is.
    pub from: Vec<Endpoint>,
    /// The store's file.
    pub store: PathBuf,
    /// Whether only the log beside it is kept, for measuring.
    pub log_only: bool,
    /// Where to ship, too.
    pub influx: Option<InfluxConfig>,
    /// Where to index, for Kibana.
    pub index: Option<IndexConfig>,
    /// The subscriber that this one stands by for.
    pub standby_for: Option<StandbyConfig>,
    /// Where the page and the API are served, if they are.
    pub http: Option<HttpConfig>,
    /// The silence that is allowed, unless a publisher has its own rule. At least a millisecond.
    pub threshold: Duration,
    /// Between which bounds it is learned instead, where it is adaptive; then it begins with `threshold`.
    pub adaptive: Option<Bounds>,
    /// This subscriber's name to an MQTT broker.
    pub name: Option<String>,
    /// When the log is forced to the disk.
    pub sync: Sync,
    /// So much of the log is kept even when everything that follows it has passed: what a wiped InfluxDB gets back, and an
    /// index whose cursor was deleted.
    pub retain_bytes: u64,
    /// Most publishers that are remembered.
    pub max_publishers: usize,
    /// How what a swarm's agents find out is judged.
    pub swarm: SwarmRules,
    /// Rules for single publishers.
    pub publishers: HashMap<PublisherId, PublisherRules>,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    from: Vec<String>,
    store: Option<PathBuf>,
    influx: Option<String>,
    index: Option<String>,
    standby_for: Option<String>,
    threshold: Option<Threshold>,
    at_least: Option<Span>,
    at_most: Option<Span>,
    name: Option<String>,
    sync: Option<String>,
    retain_mib: Option<u32>,
    max_publishers: Option<usize>,
    http: HttpFile,
    swarm: SwarmFile,
    publishers: BTreeMap<PublisherId, FilePublisher>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilePublisher {
    threshold: Option<Threshold>,
    at_least: Option<Span>,
    at_most: Option<Span>,
    expected: bool,
    token_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the configuration file, if one is named, and lets the command line go before it.
    pub fn load(args: &WatchArgs) -> anyhow::Result<Self> {
        let file = match &args.config {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
                toml::from_str(&text).with_context(|| path.display().to_string())?
            }
            None => File::default(),
        };
        Self::merge(args, file)
    }

    /// The same with the configuration file's text.
    pub fn parse(args: &WatchArgs, toml: &str) -> anyhow::Result<Self> {
        Self::merge(args, toml::from_str(toml)?)
    }

    fn merge(args: &WatchArgs, file: File) -> anyhow::Result<Self> {
        let from = if args.from.is_empty() { &file.from } else { &args.from };
        let mut http = HttpConfig::from_env(&args.http, file.http)?;
        if from.is_empty() && !http.as_ref().is_some_and(|http| http.asked_for) {
            bail!(
                "nothing to listen to: give --from URL, or `from` in the configuration file; or --http ADDRESS for beats \
                 over HTTP alone"
            );
        }
        // One is HTTP's.
        if from.len() > 63 {
            bail!("{} links are given, at most 63 are possible", from.len());
        }
        let all = Threshold::for_all(args.threshold.or(file.threshold), file.at_least, file.at_most)?;
        let (threshold, adaptive) = (all.fixed.unwrap_or(DEFAULT), all.adaptive);
        let mut publishers = HashMap::new();
        for (id, rules) in file.publishers {
            if let (Some(token_file), Some(http)) = (&rules.token_file, &mut http) {
                http.credentials.add_beats(id.clone(), token_file)?;
            }
            let own = Threshold::for_one(&id, rules.threshold, rules.at_least, rules.at_most, adaptive)?;
            let rules = PublisherRules { threshold: own.fixed, adaptive: own.adaptive, expected: rules.expected };
            publishers.insert(id, rules);
        }
        for id in &args.expect {
            let id = id.parse::<PublisherId>().context("--expect")?;
            publishers.entry(id).or_default().expected = true;
        }
        let influx = args.influx.as_ref().or(file.influx.as_ref());
        let index = args.index.as_ref().or(file.index.as_ref());
        let standby_for = args.standby_for.as_ref().or(file.standby_for.as_ref());
        if let Some(url) = standby_for.filter(|_| influx.is_none() && index.is_none()) {
            bail!(
                "standby_for {url:?} says who ships to InfluxDB and to an index, and there is neither: give --influx URL or \
                 --index URL, the leader's"
            );
        }
        let sync = args.sync.as_ref().or(file.sync.as_ref());
        let max_publishers = file.max_publishers.unwrap_or(1_000_000);
        if !(1..=u32::MAX as usize).contains(&max_publishers) {
            bail!("max_publishers = {max_publishers}, it may be 1 to {}", u32::MAX);
        }
        Ok(Self {
            from: from.iter().map(|url| url.parse()).collect::<Result<_, _>>()?,
            store: args.store.clone().or(file.store).unwrap_or_else(default_store),
            log_only: args.log_only,
            influx: influx.map(|url| InfluxConfig::from_env(url)).transpose()?,
            index: index.map(|url| IndexConfig::from_env(url)).transpose()?,
            standby_for: standby_for.map(|url| StandbyConfig::from_env(url)).transpose()?,
            http,
            threshold,
            adaptive,
            name: args.name.clone().or(file.name),
            sync: sync.map(|text| text.parse()).transpose()?.unwrap_or_default(),
            retain_bytes: u64::from(file.retain_mib.unwrap_or(1024)) << 20,
            max_publishers,
            swarm: file.swarm.rules()?,
            publishers,
        })
    }

    /// The folder of the log, beside the store.
    pub fn log_dir(&self) -> PathBuf {
        log_dir(&self.store)
    }

    /// How soon a dead link must be noticed: a fifth of the shortest threshold that anybody has or may come to have.
    pub fn keepalive(&self) -> Duration {
        (self.shortest_threshold() / 5).max(Duration::from_millis(100))
    }

    fn shortest_threshold(&self) -> Duration {
        let own = self.publishers.values();
        let fixed = own.clone().filter_map(|own| own.threshold);
        let adaptive = own.filter_map(|own| own.adaptive).chain(self.adaptive).map(|bounds| bounds.at_least);
        fixed.chain(adaptive).fold(self.threshold, Duration::min)
    }
}

/// The folder of the log that belongs to a store.
pub fn log_dir(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".log");
    name.into()
}

/// Where systemd says that state belongs, else here.
fn default_store() -> PathBuf {
    std::env::var_os("STATE_DIRECTORY").map(PathBuf::from).unwrap_or_default().join("lastbeat.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &WatchArgs, toml: &str) -> Result<Settings, String> {
        Settings::parse(args, toml).map_err(|error| format!("{error:#}"))
    }

    fn from_memory() -> WatchArgs {
        WatchArgs { from: vec!["memory://x".to_owned()], ..WatchArgs::default() }
    }

    #[test]
    fn the_sample_says_what_the_defaults_are() {
        let uncommented: String =
            SAMPLE.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n").collect();
        let sample = settings(&WatchArgs::default(), &uncommented).unwrap();
        let default =
            settings(&WatchArgs { from: vec!["zmq+tcp://127.0.0.1:5556".into()], ..WatchArgs::default() }, "");
        assert_eq!(format!("{sample:?}"), format!("{:?}", default.unwrap()));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let args = WatchArgs { threshold: Some(Threshold::Fixed(Duration::from_secs(3))), ..from_memory() };
        let merged = settings(&args, "threshold = '9s'\nfrom = ['memory://y']\nsync = 'always'").unwrap();
        assert_eq!(merged.threshold, Duration::from_secs(3));
        assert_eq!(merged.from, ["memory://x".parse().unwrap()]);
        assert_eq!(merged.sync, Sync::Always);
    }

    #[test]
    fn publishers_have_rules_of_their_own() {
        let args = WatchArgs { expect: vec!["a".into()], ..from_memory() };
        let merged = settings(&args, "[publishers.a]\nthreshold = '2m'\n[publishers.'b/c']\nexpected = true").unwrap();
        let rules = |id: &str| merged.publishers[&id.parse::<PublisherId>().unwrap()];
        let expected = PublisherRules { expected: true, ..PublisherRules::default() };
        assert_eq!(rules("a"), PublisherRules { threshold: Some(Duration::from_mins(2)), ..expected });
        assert_eq!(rules("b/c"), expected);
    }

    #[test]
    fn a_dead_link_is_noticed_within_a_fifth_of_the_shortest_threshold() {
        let keepalive = |toml: &str| settings(&from_memory(), toml).unwrap().keepalive();
        assert_eq!(keepalive(""), Duration::from_secs(10));
        assert_eq!(keepalive("threshold = '20s'\n[publishers.a]\nthreshold = '2m'"), Duration::from_secs(4));
        assert_eq!(keepalive("[publishers.a]\nthreshold = '2s'"), Duration::from_millis(400));
        assert_eq!(keepalive("[publishers.a]\nthreshold = 'adaptive'\nat_least = '3s'"), Duration::from_millis(600));
        assert_eq!(keepalive("threshold = '1ms'"), Duration::from_millis(100));
    }

    #[test]
    fn errors_name_the_thing_and_the_value() {
        let error = |toml: &str| settings(&from_memory(), toml).unwrap_err();
        assert!(error("treshold = '1s'").contains("treshold"));
        assert!(error("threshold = '1 parsec'").contains("parsec"));
        assert!(error("threshold = '0s'").contains("threshold is 0s"));
        assert!(error("[publishers.'a+b']").contains("wildcard"));
        assert!(error("sync = 'never'").contains("never"));
        assert!(error("max_publishers = 0").contains("max_publishers = 0"));
        assert!(settings(&WatchArgs::default(), "").unwrap_err().contains("--from"));
        let args = WatchArgs { from: vec!["http://x".into()], ..WatchArgs::default() };
        assert!(settings(&args, "").unwrap_err().contains("http"));
    }
}
