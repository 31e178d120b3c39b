//! [`Threshold`]: a threshold as the command line and the configuration file have it, fixed or adaptive, and its bounds.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_watchdog::Bounds;
use lastbeat_wire::PublisherId;
use serde::{Deserialize, Deserializer, de};

/// The threshold where none is set.
pub const DEFAULT: Duration = Duration::from_secs(50);
/// The bounds where none are set. Of a shorter threshold than 5 s a dead MQTT link can't be told in time.
pub const BOUNDS: Bounds = Bounds { at_least: Duration::from_secs(5), at_most: Duration::from_mins(10) };

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_hours(8784);

/// A threshold as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Always so long.
    Fixed(Duration),
    /// Learned.
    Adaptive,
}

/// What was made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The fixed one, where it is set.
    pub fixed: Option<Duration>,
    /// The bounds of the adaptive one.
    pub adaptive: Option<Bounds>,
}

/// A duration as people write it: `50s`, `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Threshold {
    /// That of all publishers.
    pub fn for_all(written: Option<Self>, at_least: Option<Span>, at_most: Option<Span>) -> anyhow::Result<Resolved> {
        resolve("", written, at_least, at_most, None)
    }

    /// That of one publisher; `all` are the bounds for all, where theirs is adaptive.
    pub fn for_one(
        publisher: &PublisherId,
        written: Option<Self>,
        at_least: Option<Span>,
        at_most: Option<Span>,
        all: Option<Bounds>,
    ) -> anyhow::Result<Resolved> {
        resolve(&format!(" of publisher {publisher}"), written, at_least, at_most, all)
    }
}

fn resolve(
    whose: &str,
    written: Option<Threshold>,
    at_least: Option<Span>,
    at_most: Option<Span>,
    all: Option<Bounds>,
) -> anyhow::Result<Resolved> {
    let fixed = match written {
        Some(Threshold::Fixed(span)) => Some(span),
        Some(Threshold::Adaptive) | None => None,
    };
    let adaptive = written == Some(Threshold::Adaptive) || (written.is_none() && all.is_some());
    let bounded = [("at_least", at_least), ("at_most", at_most)];
    for (name, span) in bounded.into_iter().chain([("threshold", fixed.map(Span))]) {
        let Some(Span(span)) = span else { continue };
        if !(SHORTEST..=LONGEST).contains(&span) {
            bail!("{name}{whose} is {}, it may be 1ms to 366days", humantime::format_duration(span));
        }
        if name != "threshold" && !adaptive {
            bail!("{name}{whose} is set, but the threshold is not \"adaptive\"");
        }
    }
    if !adaptive {
        return Ok(Resolved { fixed, adaptive: None });
    }
    let general = all.unwrap_or(BOUNDS);
    let at_most = at_most.map(|span| span.0);
    // A bound that is not set gives way to one that is.
    let at_least = at_least.map_or_else(|| general.at_least.min(at_most.unwrap_or(LONGEST)), |span| span.0);
    let at_most = at_most.unwrap_or_else(|| general.at_most.max(at_least));
    if at_least > at_most {
        let [at_least, at_most] = [at_least, at_most].map(humantime::format_duration);
        bail!("at_least{whose} is {at_least}, longer than at_most, {at_most}");
    }
    Ok(Resolved { fixed, adaptive: Some(Bounds { at_least, at_most }) })
}

impl FromStr for Threshold {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "adaptive" {
            return Ok(Self::Adaptive);
        }
        let span = humantime::parse_duration(text);
        span.map(Self::Fixed).with_context(|| format!("{text:?} is neither a span like 50s nor \"adaptive\""))
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("{error:#}")))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|error| de::Error::custom(format!("{text:?}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(written: Option<&str>, at_least: Option<u64>, at_most: Option<u64>) -> Result<Resolved, String> {
        let span = |seconds: Option<u64>| seconds.map(|seconds| Span(Duration::from_secs(seconds)));
        let written = written.map(|text| text.parse().unwrap());
        Threshold::for_all(written, span(at_least), span(at_most)).map_err(|error| error.to_string())
    }

    fn bounds(at_least: u64, at_most: u64) -> Bounds {
        Bounds { at_least: Duration::from_secs(at_least), at_most: Duration::from_secs(at_most) }
    }

    #[test]
    fn a_bound_that_is_not_set_gives_way() {
        assert_eq!(all(None, None, None), Ok(Resolved { fixed: None, adaptive: None }));
        let adaptive = |at_least, at_most| all(Some("adaptive"), at_least, at_most).unwrap().adaptive;
        assert_eq!(adaptive(None, None), Some(bounds(5, 600)));
        assert_eq!(adaptive(None, Some(2)), Some(bounds(2, 2)));
        assert_eq!(adaptive(Some(900), None), Some(bounds(900, 900)));
    }

    #[test]
    fn one_publisher_may_have_other_bounds_than_all() {
        let id = "light".parse().unwrap();
        let one = |written, at_most: Option<u64>, all| {
            let at_most = at_most.map(|seconds| Span(Duration::from_secs(seconds)));
            Threshold::for_one(&id, written, None, at_most, all).map_err(|error| error.to_string())
        };
        assert_eq!(one(None, Some(60), Some(bounds(7, 70))).unwrap().adaptive, Some(bounds(7, 60)));
        assert_eq!(one(None, None, Some(bounds(7, 70))).unwrap().adaptive, Some(bounds(7, 70)));
        let fixed = Some(Threshold::Fixed(DEFAULT));
        assert_eq!(one(fixed, None, Some(bounds(7, 70))), Ok(Resolved { fixed: Some(DEFAULT), adaptive: None }));
        assert!(one(fixed, Some(60), Some(bounds(7, 70))).unwrap_err().contains("at_most of publisher light is set"));
    }

    #[test]
    fn errors_name_the_bound_and_its_value() {
        assert!(
            all(Some("adaptive"), Some(9), Some(8)).unwrap_err().contains("at_least is 9s, longer than at_most, 8s")
        );
        assert!(all(None, Some(9), None).unwrap_err().contains("at_least is set, but the threshold is not"));
        assert!(all(Some("adaptive"), Some(0), None).unwrap_err().contains("at_least is 0s"));
        assert!("adaptable".parse::<Threshold>().unwrap_err().to_string().contains("\"adaptable\""));
    }
}
