//! [`Ready`]: a message that is encoded once; only its number and its time are patched in. [`Lines`]: the same as line protocol.

use std::borrow::Cow;
use std::io::Write;

use lastbeat_wire::{
    Body, BootId, Encoding, Fields, Header, HostId, Message, ProcessIdentity, Reading, UtcNanos, Value, encode,
};

/// Values that stand nowhere else in a message, and that `MessagePack` writes in all eight bytes.
const NUMBER: u64 = 0x7fee_ddcc_bbaa_9988;
const TIME: i64 = 0x1122_3344_5566_7788;
/// What each reading holds.
const FIELDS: [(&str, f64); 5] =
    [("celsius", 21.625), ("humidity", 48.25), ("lux", 318.5), ("pascal", 101_325.125), ("volt", 3.296_875)];

/// A message with two gaps.
#[derive(Debug, Clone)]
pub struct Ready {
    encoding: Encoding,
    pieces: [Vec<u8>; 3],
}

/// What a reading holds, for whoever takes the parts apart.
pub fn reading() -> Reading<'static> {
    let fields = FIELDS.iter().map(|(name, value)| (Cow::Borrowed(*name), Value::Float(*value)));
    Reading { time: None, row_time: None, fields: fields.collect::<Fields<'_>>() }
}

/// A process of a host that there is not: nobody looks for it here.
pub fn elsewhere(number: u32) -> ProcessIdentity {
    let pid = 1_000_000 + number;
    ProcessIdentity { host: HostId(0xbe9c), boot: BootId(0xbe9c_be9c), pid_namespace: 4_026_531_836, pid, start: 4_711 }
}

impl Ready {
    /// A reading of five floats.
    pub fn reading(encoding: Encoding, process: ProcessIdentity) -> Self {
        Self::new(encoding, process, Body::Reading(reading()))
    }

    /// A beat.
    pub fn beat(encoding: Encoding, process: ProcessIdentity) -> Self {
        Self::new(encoding, process, Body::Beat)
    }

    fn new(encoding: Encoding, process: ProcessIdentity, body: Body<'static>) -> Self {
        let header = Header {
            process: Some(process),
            sequence: Some(NUMBER),
            sent_at: Some(UtcNanos(TIME)),
            uptime: None,
            host: None,
        };
        let whole = encode(&Message { header, body, log: None }, encoding);
        let marks = match encoding {
            Encoding::Json => [NUMBER.to_string().into_bytes(), TIME.to_string().into_bytes()],
            Encoding::MessagePack => [NUMBER.to_be_bytes().to_vec(), TIME.to_be_bytes().to_vec()],
        };
        let place = |mark: &[u8]| whole.windows(mark.len()).position(|bytes| bytes == mark);
        let at = marks.each_ref().map(|mark| place(mark).expect("invariant: both stand in an envelope"));
        let pieces = [&whole[..at[0]], &whole[at[0] + marks[0].len()..at[1]], &whole[at[1] + marks[1].len()..]];
        Self { encoding, pieces: pieces.map(<[u8]>::to_vec) }
    }

    /// Writes the message with this number and time; what was in `out` goes.
    pub fn write(&self, out: &mut Vec<u8>, number: u64, time: UtcNanos) {
        out.clear();
        out.extend_from_slice(&self.pieces[0]);
        self.put(out, number);
        out.extend_from_slice(&self.pieces[1]);
        self.put(out, time.0.cast_unsigned());
        out.extend_from_slice(&self.pieces[2]);
    }

    fn put(&self, out: &mut Vec<u8>, number: u64) {
        match self.encoding {
            Encoding::Json => decimal(out, number),
            Encoding::MessagePack => out.extend_from_slice(&number.to_be_bytes()),
        }
    }
}

/// Writes a number's digits, without the machinery of `write!`.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A body of line protocol, its points those of [`Ready`]; only the times are patched in.
#[derive(Debug)]
pub struct Lines {
    body: Vec<u8>,
    places: Vec<usize>,
}

impl Lines {
    /// So many points of one publisher.
    pub fn new(publisher: &str, points: usize) -> Self {
        let fields: Vec<_> = FIELDS.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let line = format!("sensor,publisher={publisher} {} ", fields.join(","));
        let (mut body, mut places) = (Vec::new(), Vec::new());
        for _ in 0..points {
            body.extend_from_slice(line.as_bytes());
            places.push(body.len());
            let _ = writeln!(body, "{TIME:019}");
        }
        Self { body, places }
    }

    /// The body with these times: one nanosecond apart, from `time` on.
    pub fn from(&mut self, time: UtcNanos) -> &[u8] {
        let mut digits = Vec::with_capacity(19);
        for (time, place) in (time.0.cast_unsigned()..).zip(&self.places) {
            digits.clear();
            decimal(&mut digits, time);
            self.body[*place..*place + 19].copy_from_slice(&digits);
        }
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use lastbeat_wire::{Kind, decode};

    use super::*;

    #[test]
    fn what_is_patched_is_what_is_read() {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let mut out = Vec::new();
            for number in [0, 9, 10, 4_711, u64::from(u32::MAX)] {
                let time = UtcNanos(1_753_000_000_000_000_000 + number.cast_signed());
                Ready::reading(encoding, elsewhere(1)).write(&mut out, number, time);
                let message = decode(Kind::Sensor, &out).unwrap();
                assert_eq!((message.header.sequence, message.header.sent_at), (Some(number), Some(time)));
                assert_eq!(message.body, Body::Reading(reading()));
            }
        }
    }

    #[test]
    fn lines_have_the_times_they_are_given() {
        let mut lines = Lines::new("ready", 2);
        let text = String::from_utf8(lines.from(UtcNanos(1_753_000_000_000_000_009)).to_vec()).unwrap();
        let times: Vec<_> = text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(times, ["1753000000000000009", "1753000000000000010"]);
        assert!(text.starts_with("sensor,publisher=ready celsius=21.625,humidity=48.25,lux=318.5,"), "{text}");
    }
}
