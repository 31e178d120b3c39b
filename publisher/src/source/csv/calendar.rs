//! [`Written`]: a date and time of day as they stand in a text, before any zone is applied. Knows the forms; no zones.

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAYS: i64 = 719_468;
const SECONDS_A_DAY: i64 = 86_400;
/// Nanoseconds since 1970 in 64 bits reach from September 1677 to April 2262; whole years are enough here.
const YEARS: std::ops::RangeInclusive<i64> = 1678..=2261;

/// In which order a date's parts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "that is what they are called")]
pub enum DateOrder {
    /// `2018-02-10`, `2018/2/10`: ISO 8601 and its relatives.
    YearFirst,
    /// `2/10/2018`: the tenth of February.
    MonthFirst,
    /// `10.2.2018`, `10/2/2018`: the tenth of February.
    DayFirst,
}

/// A date and time as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Seconds from 1970-01-01 00:00 to the time on the wall, as if it were UTC.
    pub wall_seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
    /// Seconds east of UTC, where the text says so.
    pub offset: Option<i64>,
}

impl Written {
    /// Reads a date, or a date and a time of day with or without seconds, fraction, AM or PM, and offset.
    ///
    /// `None` when the text has another form or names a day that does not exist.
    pub fn parse(text: &str, order: DateOrder) -> Option<Self> {
        let mut rest = Rest(text.trim_ascii().as_bytes());
        let days = rest.date(order)?;
        let mut written = Self { wall_seconds: days * SECONDS_A_DAY, nanos: 0, offset: None };
        if rest.0.is_empty() {
            return Some(written);
        }
        if !(rest.take(b'T') || rest.take(b't') || rest.spaces() > 0) {
            return None;
        }
        written.wall_seconds += rest.time_of_day(&mut written.nanos)?;
        rest.spaces();
        if !rest.0.is_empty() {
            written.offset = Some(rest.offset()?);
        }
        rest.0.is_empty().then_some(written)
    }
}

/// What of a text is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn date(&mut self, order: DateOrder) -> Option<i64> {
        let (year, month, day) = match order {
            DateOrder::YearFirst => {
                let (year, separator) = (self.number(4, 4)?, self.separator()?);
                let month = self.number(1, 2)?;
                (year, month, self.after(separator)?.number(1, 2)?)
            }
            DateOrder::MonthFirst => {
                let (month, separator) = (self.number(1, 2)?, self.separator()?);
                // Where dots are used, the day comes first.
                if separator == b'.' {
                    return None;
                }
                let day = self.number(1, 2)?;
                (self.after(separator)?.short_year(separator)?, month, day)
            }
            DateOrder::DayFirst => {
                let (day, separator) = (self.number(1, 2)?, self.separator()?);
                let month = self.number(1, 2)?;
                (self.after(separator)?.short_year(separator)?, month, day)
            }
        };
        days_from_civil(year, month, day)
    }

    /// Seconds since midnight; 24:00 is the next midnight, and a leap second is the second after it, as in POSIX.
    fn time_of_day(&mut self, nanos: &mut u32) -> Option<i64> {
        let hour = self.number(1, 2)?;
        let minute = self.after(b':')?.number(2, 2)?;
        let mut second = 0;
        if self.take(b':') {
            second = self.number(2, 2)?;
            if self.take(b'.') || self.take(b',') {
                *nanos = self.fraction()?;
            }
        }
        let hour = self.half_of_day(hour)?;
        let midnight = hour == 24 && minute == 0 && second == 0 && *nanos == 0;
        ((hour <= 23 || midnight) && minute <= 59 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
    }

    fn half_of_day(&mut self, hour: i64) -> Option<i64> {
        let spaces = self.0.iter().take_while(|byte| **byte == b' ').count();
        let add = match self.0.get(spaces..spaces + 2) {
            Some(half) if half.eq_ignore_ascii_case(b"am") => 0,
            Some(half) if half.eq_ignore_ascii_case(b"pm") => 12,
            _ => return Some(hour),
        };
        self.0 = &self.0[spaces + 2..];
        (1..=12).contains(&hour).then_some(hour % 12 + add)
    }

    fn offset(&mut self) -> Option<i64> {
        if matches!(self.0, b"Z" | b"z" | b"UTC" | b"GMT") {
            self.0 = &[];
            return Some(0);
        }
        let sign = if self.take(b'+') {
            1
        } else if self.take(b'-') {
            -1
        } else {
            return None;
        };
        let hours = self.number(2, 2)?;
        self.take(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.number(2, 2)? };
        (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
    }

    /// Two digits mean a year from 1970 to 2069, and only between slashes: `1.2.30` is more often a version.
    fn short_year(&mut self, separator: u8) -> Option<i64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match digits {
            4 => self.number(4, 4),
            2 if separator == b'/' => self.number(2, 2).map(|year| if year < 70 { 2000 + year } else { 1900 + year }),
            _ => None,
        }
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if digits < least {
            return None;
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        Some(number.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// Digits beyond the ninth are cut off.
    fn fraction(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        let digit = |place: usize| fraction.get(place).map_or(0, |digit| u32::from(digit - b'0'));
        (digits > 0).then(|| (0..9).fold(0, |value, place| value * 10 + digit(place)))
    }

    fn separator(&mut self) -> Option<u8> {
        let (separator, rest) = self.0.split_first()?;
        self.0 = rest;
        matches!(separator, b'-' | b'/' | b'.').then_some(*separator)
    }

    fn after(&mut self, byte: u8) -> Option<&mut Self> {
        self.take(byte).then_some(self)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn spaces(&mut self) -> usize {
        let spaces = self.0.iter().take_while(|byte| **byte == b' ').count();
        self.0 = &self.0[spaces..];
        spaces
    }
}

/// Days since 1970-01-01, after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"; `None` for a day that does
/// not exist.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !YEARS.contains(&year) || !(1..=last).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - EPOCH_DAYS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str, order: DateOrder) -> Option<i64> {
        Written::parse(text, order).map(|written| written.wall_seconds - written.offset.unwrap_or(0))
    }

    #[test]
    fn reads_iso_8601_and_its_relatives() {
        let expected = Some(1_518_256_200);
        for text in [
            "2018-02-10T09:50:00Z",
            "2018-02-10 09:50:00",
            "2018-02-10 09:50",
            "2018/2/10 9:50",
            "2018-02-10T10:50:00+01:00",
            "2018-02-10T08:20-0130",
            "2018-02-10 09:50:00 UTC",
            " 2018-02-10t09:50:00.000z ",
        ] {
            assert_eq!(seconds(text, DateOrder::YearFirst), expected, "{text:?}");
        }
        assert_eq!(seconds("2018-02-10", DateOrder::YearFirst), Some(1_518_220_800));
    }

    #[test]
    fn reads_month_first_and_day_first() {
        assert_eq!(seconds("2/10/2018 9:50", DateOrder::MonthFirst), Some(1_518_256_200));
        assert_eq!(seconds("2/10/18 9:50", DateOrder::MonthFirst), Some(1_518_256_200));
        assert_eq!(seconds("10.02.2018 09:50", DateOrder::DayFirst), Some(1_518_256_200));
        assert_eq!(seconds("2/10/2018 12:00 AM", DateOrder::MonthFirst), Some(1_518_220_800));
        assert_eq!(seconds("2/10/2018 11:59:59pm", DateOrder::MonthFirst), Some(1_518_307_199));
        assert_eq!(seconds("1.2.30", DateOrder::DayFirst), None);
    }

    #[test]
    fn days_and_hours_that_do_not_exist_are_refused() {
        let fits = |text| seconds(text, DateOrder::YearFirst).is_some();
        assert!(fits("2016-02-29") && !fits("2018-02-29") && fits("2000-02-29") && !fits("1900-02-29"));
        assert!(fits("2018-04-30") && !fits("2018-04-31") && !fits("2018-00-10") && !fits("2018-13-10"));
        assert!(fits("2018-02-10 23:59") && fits("2018-02-10 24:00") && !fits("2018-02-10 24:01"));
        assert!(!fits("2018-02-10 12:60") && fits("2016-12-31 23:59:60") && !fits("2016-12-31 23:59:61"));
        assert!(fits("1678-01-01") && !fits("1677-12-31") && fits("2261-12-31") && !fits("2262-01-01"));
        assert!(!fits("2018-02-10 12:00 junk") && !fits("2018-02-10T") && !fits("") && !fits("2018-02/10"));
    }

    #[test]
    fn a_fraction_keeps_nine_digits() {
        let nanos = |text| Written::parse(text, DateOrder::YearFirst).map(|written| written.nanos);
        assert_eq!(nanos("2018-02-10 09:50:00.5"), Some(500_000_000));
        assert_eq!(nanos("2018-02-10 09:50:00,1234567899"), Some(123_456_789));
        assert_eq!(nanos("2018-02-10 09:50:00."), None);
    }

    proptest! {
        #[test]
        fn agrees_with_chrono_on_every_day(days in -106_000_i64..106_000, second in 0_i64..86_400) {
            let time = chrono::DateTime::from_timestamp(days * 86_400 + second, 0).unwrap().naive_utc();
            for (pattern, order) in [
                ("%Y-%m-%dT%H:%M:%S", DateOrder::YearFirst),
                ("%-m/%-d/%Y %-H:%M:%S", DateOrder::MonthFirst),
                ("%d.%m.%Y %I:%M:%S %p", DateOrder::DayFirst),
            ] {
                prop_assert_eq!(
                    seconds(&time.format(pattern).to_string(), order), Some(time.and_utc().timestamp()), "{}", pattern
                );
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9:/. TZ+-]{0,24}|.{0,24}") {
            for order in [DateOrder::YearFirst, DateOrder::MonthFirst, DateOrder::DayFirst] {
                let _ = Written::parse(&text, order);
            }
        }
    }
}
