//! [`SimulateArgs`]: what `simulate` is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use lastbeat_transport::Endpoint;
use lastbeat_wire::Topic;

use super::faults::Weather;
use super::fleet::Wanted;
use crate::capture::{Reader, What};
use crate::cli::WatchArgs;
use crate::config::Settings;
use crate::threshold::Threshold;

/// Of one publisher, so many times between messages are kept of a capture.
const GAPS: usize = 100_000;

/// Publishers, brokers, disks and clocks in simulated time, judged by the code that judges in production.
///
/// In minutes it lives through weeks in which processes are killed, stopped and hang, networks drop and delay, brokers and
/// hosts go down, clocks are stepped and disks fill up, and looks at every step whether a promise is broken: no "dead" without
/// proof and none while nothing could be heard, a verdict on every silence in time, nothing acknowledged lost, nothing stored
/// twice. The same seed always is the same world, to the byte of this output.
///
/// What comes out tells how soon trouble is found, how often a publisher that lives is called something else, and what
/// another threshold would change.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SimulateArgs {
    /// Which world.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// So many worlds, of this seed and those after it, counted together.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub seeds: u64,
    /// So many made-up publishers [default: 100; with --config or --capture none beside those named there].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub publishers: Option<u32>,
    /// How long things go wrong in each world, in simulated time; then a calm, at whose end all must be well.
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration, default_value = "6h")]
    pub span: Duration,
    /// How much goes wrong.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Weather::Usual)]
    pub weather: Weather,
    /// The silence that is allowed [default: as in the configuration file, else 50s].
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub threshold: Option<Duration>,
    /// The subscriber's configuration file: its links, its threshold, its publishers and their rules.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What `lastbeat-subscriber capture` recorded: its publishers send at the intervals that were observed, drawn anew.
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// The outcome as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Draw what a threshold costs and buys into this file (SVG).
    #[arg(long, value_name = "FILE.svg")]
    pub picture: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
  A day of 200 publishers, and what other thresholds would have meant:
    lastbeat-subscriber simulate --seed 7 --publishers 200 --for 1d --picture thresholds.svg
  Your own publishers and thresholds, at the intervals at which they really send:
    lastbeat-subscriber capture --from mqtt://broker.example --for 1h --out arrivals.jsonl
    lastbeat-subscriber simulate --config lastbeat.toml --capture arrivals.jsonl --for 7d
  To look for what breaks a promise, everything goes wrong all the time:
    lastbeat-subscriber simulate --weather storm --publishers 30 --for 30m --seed 1 --seeds 1000

EXIT CODES
  0  every promise was kept
  1  one was broken: seed, time, what came before and the command that shows it again stand on stderr
  2  the command line or a file is wrong";

impl SimulateArgs {
    /// What is wanted, with what the files say.
    pub fn wanted(&self) -> anyhow::Result<Wanted> {
        if !(Duration::from_secs(1)..=Duration::from_hours(8784)).contains(&self.span) {
            bail!("--for is {}, it may be 1s to 366days", humantime::format_duration(self.span));
        }
        let mut wanted = Wanted { threshold: self.threshold, ..Wanted::default() };
        if let Some(config) = &self.config {
            let watch = WatchArgs {
                config: Some(config.clone()),
                threshold: self.threshold.map(Threshold::Fixed),
                ..WatchArgs::default()
            };
            let settings = Settings::load(&watch)?;
            wanted.threshold = Some(settings.threshold);
            let link = |endpoint: &Endpoint| (endpoint.to_string(), matches!(endpoint, Endpoint::Mqtt(_)));
            wanted.links = settings.from.iter().map(link).collect();
            wanted.rules = settings.publishers;
        }
        if let Some(capture) = &self.capture {
            self.observed(capture, &mut wanted)?;
        }
        let named = !wanted.rules.is_empty() || !wanted.gaps.is_empty();
        let generated = self.publishers.unwrap_or(if named { 0 } else { 100 });
        wanted.generated = usize::try_from(generated).unwrap_or(usize::MAX);
        if !named && generated == 0 {
            bail!("nobody publishes: give --publishers N, or files that name some");
        }
        if self.threshold.is_some_and(|threshold| threshold < Duration::from_millis(100)) {
            bail!("--threshold is {:?}, a simulated one may be 100ms and more", self.threshold.unwrap_or_default());
        }
        Ok(wanted)
    }

    /// The times between the messages of each publisher of a capture.
    #[expect(clippy::unused_self, reason = "belongs to what the arguments mean")]
    fn observed(&self, file: &Path, wanted: &mut Wanted) -> anyhow::Result<()> {
        let mut reader = Reader::open(file)?;
        let mut last = std::collections::HashMap::new();
        while let Some(event) = reader.next_event()? {
            let What::Message(message) = event.what else { continue };
            if let (Ok(topic), false) = (Topic::parse(message.topic.as_bytes()), message.retained) {
                let id = topic.publisher.parse().context(message.topic.clone())?;
                let at = event.now.monotonic.0;
                if let Some(before) = last.insert(topic.publisher.to_owned(), at) {
                    let gaps: &mut Vec<u64> = wanted.gaps.entry(id).or_default();
                    if gaps.len() < GAPS {
                        gaps.push(at - before);
                    }
                }
            }
        }
        if wanted.gaps.is_empty() {
            bail!("{}: no publisher sent twice in it, so nothing is known of anybody's intervals", file.display());
        }
        Ok(())
    }

    /// The command that shows one seed again.
    pub fn again(&self, seed: u64) -> String {
        let span = humantime::format_duration(self.span).to_string().replace(' ', "");
        let weather = clap::ValueEnum::to_possible_value(&self.weather);
        let weather = weather.as_ref().map_or("usual", |weather| weather.get_name());
        let mut command = format!("lastbeat-subscriber simulate --seed {seed} --for {span} --weather {weather}");
        if let Some(publishers) = self.publishers {
            command.push_str(&format!(" --publishers {publishers}"));
        }
        if let Some(threshold) = self.threshold {
            let threshold = humantime::format_duration(threshold).to_string().replace(' ', "");
            command.push_str(&format!(" --threshold {threshold}"));
        }
        for (option, file) in [("config", &self.config), ("capture", &self.capture)] {
            if let Some(file) = file {
                command.push_str(&format!(" --{option} {}", file.display()));
            }
        }
        command
    }
}
