//! Times as the scenario files write them: `50s`, `1m10s`, `50s-1ns`, `-1h`, `0.5s`.

/// Nanoseconds of a written span; `None` if it is none. Parts add up, each with its own sign: `50s-1ns`.
pub fn parse(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text, 0i64);
    while !rest.is_empty() {
        let (sign, unsigned) = match rest.strip_prefix('-') {
            Some(unsigned) => (-1, unsigned),
            None => (1, rest.strip_prefix('+').unwrap_or(rest)),
        };
        let digits = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = unsigned.split_at(digits);
        let length = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(length);
        total += sign * part(number, nanoseconds(unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// The shortest way to write it that [`parse`] reads back.
pub fn format(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let mut rest = nanos.unsigned_abs();
    let mut text = String::new();
    for unit in ["h", "m", "s", "ms", "us", "ns"] {
        let size = nanoseconds(unit).unwrap_or(1).unsigned_abs();
        if rest >= size {
            text.extend([sign, &(rest / size).to_string(), unit]);
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn part(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut nanos = whole.parse::<i64>().ok()? * unit;
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        nanos += i64::from(digit.to_digit(10)?) * place;
    }
    Some(nanos)
}

fn nanoseconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    })
}

#[test]
fn spans_are_read_as_they_are_written() {
    for (text, nanos) in [
        ("50s", 50_000_000_000),
        ("1m10s", 70_000_000_000),
        ("50s-1ns", 49_999_999_999),
        ("0.5s", 500_000_000),
        ("-1h", -3_600_000_000_000),
        ("+20ms", 20_000_000),
    ] {
        assert_eq!(parse(text), Some(nanos), "{text}");
        assert_eq!(parse(&format(nanos)), Some(nanos), "{text}");
    }
    for text in ["", "5", "s", "5 s", "1x", "light"] {
        assert_eq!(parse(text), None, "{text}");
    }
}
