//! What an adaptive threshold does for publishers of different habits, beside a fixed one of 50 s: false alarms in thirty days,
//! and how soon after its end each is known. In simulated time, the same on every machine; `docs/THRESHOLDS.md` has the table.
//!
//! `cargo run --release -p lastbeat-watchdog --example adaptive`

use std::time::Duration;

use lastbeat_watchdog::{Bounds, Heard, LinkNumber, Output, State, WatchRules, Watchdog};
use lastbeat_wire::{Header, Kind, Monotonic, Now, UtcNanos};

const BOUNDS: Bounds = Bounds { at_least: Duration::from_secs(5), at_most: Duration::from_mins(10) };
const MONTH: u64 = 30 * 86_400;
const SECOND: f64 = 1e9;

/// Numbers that look random (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    /// Above 0, below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Of a normal distribution (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// The seconds until the next message, of the one with this number.
type Habit = fn(u64, &mut Dice) -> f64;

const HABITS: [(&str, Habit); 8] = [
    ("beats each 1 s, to 1 %", |_, dice| 1.0 + 0.01 * dice.normal().clamp(-9.0, 9.0)),
    ("beats each 10 s, to 10 %", |_, dice| 10.0 + dice.normal().clamp(-9.0, 9.0)),
    ("the same, one message in 100 is lost", |_, dice| if dice.next() < 0.01 { 20.0 } else { 10.0 }),
    ("at random, 5 s on average", |_, dice| -5.0 * dice.next().ln()),
    ("at random, 15 s on average", |_, dice| -15.0 * dice.next().ln()),
    ("log-normal, median 2 s, sigma 1", |_, dice| 2.0 * dice.normal().exp()),
    (
        "100 at once, then 30 s of silence",
        |number, dice| if number % 100 == 0 { 28.0 + 4.0 * dice.next() } else { 0.01 },
    ),
    ("each 1 s, once a day 40 s", |number, _| if number % 86_400 == 86_399 { 40.0 } else { 1.0 }),
];

fn main() {
    println!(
        "| habit | messages | fixed: false alarms | known after | adaptive: false alarms | known after | threshold |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, habit) in HABITS {
        let (fixed, adaptive) = (month(habit, None), month(habit, Some(BOUNDS)));
        println!(
            "| {name} | {} | {} | {:.1} s | {} | {:.1} s | {:.1} s |",
            fixed.messages, fixed.alarms, fixed.known_after, adaptive.alarms, adaptive.known_after, adaptive.threshold
        );
    }
}

struct Month {
    messages: u64,
    alarms: u64,
    /// In seconds; after an end in the middle of a gap.
    known_after: f64,
    threshold: f64,
}

fn month(habit: Habit, adaptive: Option<Bounds>) -> Month {
    let rules = WatchRules { adaptive, links: vec!["link".to_owned()], ..WatchRules::default() };
    let mut watchdog = Watchdog::new(rules, at(0));
    watchdog.link_up(at(0), LinkNumber(0));
    let (mut dice, mut nanos, mut messages, mut alarms) = (Dice(4711), 0u64, 0, 0);
    let (mut gaps, mut squares) = (0.0, 0.0);
    while nanos < MONTH * 1_000_000_000 {
        let heard = Heard {
            publisher: "x",
            kind: Kind::Beat,
            link: Some(LinkNumber(0)),
            retained: false,
            resent: false,
            readable: true,
            header: &Header::default(),
            log: None,
        };
        watchdog.heard(at(nanos), &heard);
        watchdog.due(at(nanos));
        messages += 1;
        let gap = habit(messages, &mut dice).max(0.0);
        (gaps, squares) = (gaps + gap, squares + gap * gap);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, not for years")]
        let next = nanos + (gap * SECOND) as u64;
        while let Some(deadline) = watchdog.next_deadline().filter(|deadline| deadline.0 < next) {
            watchdog.due(at(deadline.0));
        }
        let judged = |output: &Output| matches!(output, Output::Flip(flip) if flip.to == State::Unknown);
        alarms += u64::try_from(watchdog.outputs().iter().filter(|output| judged(output)).count()).unwrap_or(0);
        nanos = next;
    }
    let threshold = watchdog.status(at(nanos), "x").map_or(0.0, |status| status.threshold.as_secs_f64());
    // An instant falls into a gap of this length on average, and into its middle.
    Month { messages, alarms, known_after: threshold - squares / gaps / 2.0, threshold }
}

fn at(nanos: u64) -> Now {
    Now { monotonic: Monotonic(nanos), utc: UtcNanos(nanos.cast_signed()) }
}
