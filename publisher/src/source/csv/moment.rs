//! [`TimeFormat`]: from the text of a time cell to an instant, in a zone. Finds the format of a column, too.

use std::str::FromStr;

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use lastbeat_wire::UtcNanos;

use super::calendar::{DateOrder, Written};

/// How the times of a column are written.
#[derive(Debug, Clone, PartialEq)]
pub enum TimeFormat {
    /// A date and a time of day in one of the common forms.
    Calendar(DateOrder),
    /// A number since 1970, of this many nanoseconds each.
    Epoch {
        /// 1, 1,000, 1,000,000 or 1,000,000,000.
        unit_nanos: i64,
    },
    /// A pattern of chrono's (`%d.%m.%Y %H:%M`).
    Pattern(Pattern),
}

/// A parsed pattern, and the text it was parsed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    text: String,
    items: Vec<Item<'static>>,
}

/// What is wrong with the text of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTime {
    /// It has another form.
    Form,
    /// The clocks of its zone were put forward over it.
    Skipped,
}

impl TimeFormat {
    /// The instant. A time of day that a zone has twice is the later one when the earlier one lies before `previous`.
    pub fn parse(&self, text: &str, zone: Tz, previous: Option<UtcNanos>) -> Result<UtcNanos, BadTime> {
        match self {
            Self::Calendar(order) => {
                let written = Written::parse(text, *order).ok_or(BadTime::Form)?;
                let seconds = match written.offset {
                    Some(offset) => written.wall_seconds - offset,
                    None if zone == Tz::UTC => written.wall_seconds,
                    None => {
                        let wall = DateTime::from_timestamp(written.wall_seconds, 0).ok_or(BadTime::Form)?;
                        return in_zone(wall.naive_utc(), zone, previous)
                            .map(|instant| UtcNanos(instant.0.saturating_add(i64::from(written.nanos))));
                    }
                };
                let nanos =
                    seconds.checked_mul(1_000_000_000).and_then(|nanos| nanos.checked_add(written.nanos.into()));
                nanos.map(UtcNanos).ok_or(BadTime::Form)
            }
            Self::Epoch { unit_nanos } => epoch(text.trim_ascii(), *unit_nanos).ok_or(BadTime::Form),
            Self::Pattern(pattern) => pattern.parse(text.trim_ascii(), zone, previous),
        }
    }

    /// The formats that may be meant by a column of this name, the likeliest first.
    pub fn candidates(name: Option<&str>) -> Vec<Self> {
        let mut candidates: Vec<_> =
            [DateOrder::YearFirst, DateOrder::MonthFirst, DateOrder::DayFirst].map(Self::Calendar).into();
        // A bare number is a time only under a name that says so.
        let name = name.map(str::to_ascii_lowercase).unwrap_or_default();
        if name.contains("time") || name.contains("epoch") || matches!(&*name, "ts" | "date" | "unix") {
            candidates.extend([1_000_000_000, 1_000_000, 1_000, 1].map(|unit_nanos| Self::Epoch { unit_nanos }));
        }
        candidates
    }

    /// Whether a cell of a column whose format isn't known yet fits this one. A number fits the unit that puts it between
    /// 1980 and 2100, so that a count from 0 is no time.
    pub fn fits(&self, cell: &str) -> bool {
        const LIKELY: std::ops::Range<i64> = 315_532_800..4_102_444_800;
        match (self, self.parse(cell, Tz::UTC, None)) {
            (Self::Epoch { .. }, Ok(instant)) => LIKELY.contains(&(instant.0 / 1_000_000_000)),
            (_, parsed) => parsed.is_ok(),
        }
    }
}

impl FromStr for TimeFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "iso" => Self::Calendar(DateOrder::YearFirst),
            "mdy" => Self::Calendar(DateOrder::MonthFirst),
            "dmy" => Self::Calendar(DateOrder::DayFirst),
            "unix" => Self::Epoch { unit_nanos: 1_000_000_000 },
            "unix-ms" => Self::Epoch { unit_nanos: 1_000_000 },
            "unix-us" => Self::Epoch { unit_nanos: 1_000 },
            "unix-ns" => Self::Epoch { unit_nanos: 1 },
            pattern if pattern.contains('%') => {
                let items = StrftimeItems::new(pattern)
                    .parse_to_owned()
                    .map_err(|error| format!("time format {pattern:?}: {error}"))?;
                Self::Pattern(Pattern { text: pattern.to_owned(), items })
            }
            other => {
                return Err(format!(
                    "time format {other:?} is none of iso, mdy, dmy, unix, unix-ms, unix-us, unix-ns, and has no %"
                ));
            }
        })
    }
}

impl std::fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Calendar(DateOrder::YearFirst) => "iso",
            Self::Calendar(DateOrder::MonthFirst) => "mdy",
            Self::Calendar(DateOrder::DayFirst) => "dmy",
            Self::Epoch { unit_nanos: 1_000_000_000 } => "unix",
            Self::Epoch { unit_nanos: 1_000_000 } => "unix-ms",
            Self::Epoch { unit_nanos: 1_000 } => "unix-us",
            Self::Epoch { .. } => "unix-ns",
            Self::Pattern(pattern) => &pattern.text,
        })
    }
}

impl Pattern {
    fn parse(&self, text: &str, zone: Tz, previous: Option<UtcNanos>) -> Result<UtcNanos, BadTime> {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, self.items.iter()).or(Err(BadTime::Form))?;
        if parsed.offset().is_some() {
            let instant = parsed.to_datetime().or(Err(BadTime::Form))?;
            return UtcNanos::from_chrono(&instant).ok_or(BadTime::Form);
        }
        if parsed.timestamp().is_some() {
            let instant = parsed.to_datetime_with_timezone(&Utc).or(Err(BadTime::Form))?;
            return UtcNanos::from_chrono(&instant).ok_or(BadTime::Form);
        }
        let date = parsed.to_naive_date().or(Err(BadTime::Form))?;
        let midnight = parsed.hour_div_12().is_none() && parsed.hour_mod_12().is_none() && parsed.minute().is_none();
        let time = if midnight { NaiveTime::MIN } else { parsed.to_naive_time().or(Err(BadTime::Form))? };
        in_zone(date.and_time(time), zone, previous)
    }
}

fn in_zone(wall: NaiveDateTime, zone: Tz, previous: Option<UtcNanos>) -> Result<UtcNanos, BadTime> {
    let instant = |time: DateTime<Tz>| UtcNanos::from_chrono(&time).ok_or(BadTime::Form);
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(time) => instant(time),
        MappedLocalTime::Ambiguous(earlier, later) => match (instant(earlier)?, previous) {
            (earlier, Some(previous)) if earlier < previous => instant(later),
            (earlier, _) => Ok(earlier),
        },
        MappedLocalTime::None => Err(BadTime::Skipped),
    }
}

/// A number of units since 1970, with or without decimals.
fn epoch(text: &str, unit_nanos: i64) -> Option<UtcNanos> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let whole_nanos = whole.parse::<i64>().ok()?.checked_mul(unit_nanos)?;
    if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut nanos = 0;
    let mut worth = unit_nanos;
    for digit in decimals.bytes() {
        worth /= 10;
        nanos += i64::from(digit - b'0') * worth;
    }
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    whole_nanos.checked_add(sign * nanos).map(UtcNanos)
}

/// Reads a zone by its name in the IANA database.
pub fn parse_zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|error| format!("time zone {name:?}: {error}; Europe/Berlin is one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(text: &str, previous: Option<UtcNanos>) -> Result<String, BadTime> {
        let format = TimeFormat::Calendar(DateOrder::YearFirst);
        format.parse(text, Tz::Europe__Berlin, previous).map(|instant| instant.to_string())
    }

    fn utc(text: &str, format: &str) -> Result<String, BadTime> {
        format.parse::<TimeFormat>().unwrap().parse(text, Tz::UTC, None).map(|instant| instant.to_string())
    }

    #[test]
    fn a_zone_is_applied_unless_the_text_says_an_offset() {
        assert_eq!(berlin("2018-02-10 09:50", None).unwrap(), "2018-02-10T08:50:00Z");
        assert_eq!(berlin("2018-07-10 09:50:00.25", None).unwrap(), "2018-07-10T07:50:00.250Z");
        assert_eq!(berlin("2018-07-10T09:50Z", None).unwrap(), "2018-07-10T09:50:00Z");
    }

    #[test]
    fn an_hour_that_the_zone_skips_is_no_time() {
        assert_eq!(berlin("2018-03-25 01:59:59", None).unwrap(), "2018-03-25T00:59:59Z");
        assert_eq!(berlin("2018-03-25 02:00:00", None), Err(BadTime::Skipped));
        assert_eq!(berlin("2018-03-25 02:59:59", None), Err(BadTime::Skipped));
        assert_eq!(berlin("2018-03-25 03:00:00", None).unwrap(), "2018-03-25T01:00:00Z");
    }

    #[test]
    fn an_hour_that_the_zone_has_twice_goes_on_from_the_row_before() {
        assert_eq!(berlin("2018-10-28 02:30", None).unwrap(), "2018-10-28T00:30:00Z");
        let later = UtcNanos::from_chrono(&"2018-10-28T00:55:00Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(berlin("2018-10-28 02:00", later).unwrap(), "2018-10-28T01:00:00Z");
    }

    #[test]
    fn patterns_and_numbers_are_read() {
        assert_eq!(utc("10. Feb 2018, 9h50", "%d. %b %Y, %Hh%M").unwrap(), "2018-02-10T09:50:00Z");
        assert_eq!(utc("2018-02-10", "%Y-%m-%d").unwrap(), "2018-02-10T00:00:00Z");
        assert_eq!(utc("2018-02-10 10:50 +0100", "%Y-%m-%d %H:%M %z").unwrap(), "2018-02-10T09:50:00Z");
        assert_eq!(utc("1518256200", "%s").unwrap(), "2018-02-10T09:50:00Z");
        assert_eq!(utc("1518256200.25", "unix").unwrap(), "2018-02-10T09:50:00.250Z");
        assert_eq!(utc("1518256200250", "unix-ms").unwrap(), "2018-02-10T09:50:00.250Z");
        assert_eq!(utc("-0.5", "unix").unwrap(), "1969-12-31T23:59:59.500Z");
        assert_eq!(utc("9223372036854775807", "unix"), Err(BadTime::Form));
        assert_eq!(utc("noon", "%H:%M"), Err(BadTime::Form));
    }

    #[test]
    fn a_format_that_is_none_says_so() {
        assert!("soon".parse::<TimeFormat>().unwrap_err().contains("\"soon\""));
        assert!("%Q".parse::<TimeFormat>().unwrap_err().contains("%Q"));
        assert!(parse_zone("Mars/Olympus").unwrap_err().contains("Mars/Olympus"));
        assert_eq!(parse_zone("Europe/Berlin"), Ok(Tz::Europe__Berlin));
    }

    #[test]
    fn a_number_is_a_time_only_under_a_name_that_says_so_and_in_one_unit_only() {
        let fitting = |name: Option<&str>, cell: &str| -> Vec<String> {
            TimeFormat::candidates(name).iter().filter(|format| format.fits(cell)).map(ToString::to_string).collect()
        };
        assert_eq!(fitting(Some("lux"), "1518256200"), Vec::<String>::new());
        assert_eq!(fitting(Some("Timestamp"), "1518256200"), ["unix"]);
        assert_eq!(fitting(Some("ts"), "1518256200000"), ["unix-ms"]);
        assert_eq!(fitting(Some("time"), "17"), Vec::<String>::new());
        assert_eq!(fitting(None, "2/10/2018 9:50"), ["mdy", "dmy"]);
    }
}
