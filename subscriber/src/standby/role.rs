//! [`Role`]: when a standby ships, what, and when it lets go. Pure: it is given `now` and what the leader said.

use std::sync::Arc;
use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, UtcNanos};

/// A leader that has not led for so long is stood in for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// What is shipped again at a takeover: the clocks of both, and the times at which both take a message in, may differ by
/// as much.
pub const OVERLAP: Duration = Duration::from_secs(10);

/// Which of two subscribers this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It stands by for nobody, and ships all.
    Alone,
    /// It holds its points back, for the leader ships them.
    Holding,
    /// It ships in place of the leader.
    StandingIn,
}

/// What may be shipped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// Records up to this time are shipped.
    pub ship_until: UtcNanos,
    /// Of the others, those before this are the leader's and are passed over. What is left waits.
    pub skip_before: UtcNanos,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is shipped.
    Ship,
    /// The leader has shipped it.
    Skip,
    /// The leader may ship it.
    Wait,
}

/// A part, what it allows, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// The part.
    pub part: Part,
    /// What it allows.
    pub permit: Permit,
    /// Why, for people.
    pub why: Arc<str>,
}

/// What the leader says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// It judges, hears and ships.
    pub leads: bool,
    /// Its records up to this time are shipped.
    pub shipped_until: Option<UtcNanos>,
    /// Why it does not lead.
    pub why: Option<String>,
}

/// The part of a standby over time.
#[derive(Debug)]
pub struct Role {
    /// When the leader led last; at first, when this began.
    led_at: Monotonic,
    stand: Stand,
}

impl Permit {
    const ALL: Self = Self { ship_until: UtcNanos(i64::MAX), skip_before: UtcNanos(i64::MIN) };

    /// What becomes of a record of this time; one without a time goes with those before it.
    pub fn turn(&self, time: UtcNanos) -> Turn {
        if time <= self.ship_until {
            Turn::Ship
        } else if time < self.skip_before {
            Turn::Skip
        } else {
            Turn::Wait
        }
    }

    /// Whether everything may be shipped.
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }
}

impl Stand {
    /// Of one that stands by for nobody.
    pub fn alone() -> Self {
        Self { part: Part::Alone, permit: Permit::ALL, why: "it stands by for nobody".into() }
    }
}

impl Part {
    /// As one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Holding => "holding",
            Self::StandingIn => "standing_in",
        }
    }
}

impl Role {
    /// Holds at first. What an earlier process had taken upon itself, the records up to `owed`, is shipped in any case.
    pub fn new(now: Monotonic, owed: UtcNanos) -> Self {
        let permit = Permit { ship_until: owed, skip_before: UtcNanos(i64::MIN) };
        Self { led_at: now, stand: Stand { part: Part::Holding, permit, why: "the leader was not heard yet".into() } }
    }

    /// The part as it is.
    pub fn stand(&self) -> &Stand {
        &self.stand
    }

    /// What the leader answered, or why it did not. Whether the part is another one now.
    pub fn heard(&mut self, now: Now, answer: Result<Leader, String>) -> bool {
        let before = self.stand.part;
        let why = match answer {
            Ok(leader) if leader.leads => {
                self.led(now, leader.shipped_until);
                return self.stand.part != before;
            }
            Ok(leader) => leader.why.unwrap_or_else(|| "it does not lead".to_owned()),
            Err(reason) => reason,
        };
        if now.monotonic.since(self.led_at) >= PATIENCE && before != Part::StandingIn {
            self.stand = Stand { part: Part::StandingIn, permit: Permit::ALL, why: why.into() };
        }
        self.stand.part != before
    }

    fn led(&mut self, now: Now, shipped_until: Option<UtcNanos>) {
        self.led_at = now.monotonic;
        if self.stand.part == Part::StandingIn {
            // What came until now the leader may never have got.
            self.stand.permit = Permit { ship_until: now.utc, skip_before: UtcNanos(i64::MIN) };
            self.stand.part = Part::Holding;
        }
        if let Some(until) = shipped_until {
            let surely = until.minus(OVERLAP);
            self.stand.permit.skip_before = self.stand.permit.skip_before.max(surely);
        }
        if self.stand.why.as_ref() != LEADS {
            self.stand.why = LEADS.into();
        }
    }
}

const LEADS: &str = "the leader ships";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        let span = Duration::from_secs(seconds);
        Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(0).plus(span) }
    }

    type Answer = Result<Leader, String>;

    #[expect(clippy::unnecessary_wraps, reason = "the other answer is none")]
    fn leads(until: u64) -> Answer {
        let leader = Leader { leads: true, shipped_until: Some(at(until).utc), why: None };
        Ok(leader)
    }

    fn away() -> Answer {
        Err("connection refused".to_owned())
    }

    fn new() -> Role {
        Role::new(at(100).monotonic, UtcNanos(i64::MIN))
    }

    #[test]
    fn while_the_leader_leads_what_it_has_surely_shipped_is_passed_over_and_the_rest_waits() {
        let mut role = new();
        assert_eq!(role.stand().permit.turn(at(1).utc), Turn::Wait, "nothing is known yet");
        assert!(!role.heard(at(101), leads(100)));
        let permit = role.stand().permit;
        assert_eq!((permit.turn(UtcNanos(at(90).utc.0 - 1)), permit.turn(at(90).utc)), (Turn::Skip, Turn::Wait));
        // A leader that was set up anew has shipped nothing yet: what is known of the old one stands.
        role.heard(at(102), leads(20));
        assert_eq!(role.stand().permit, permit);
    }

    #[test]
    fn it_stands_in_when_its_patience_is_at_its_end_and_not_before() {
        let mut role = new();
        role.heard(at(110), leads(109));
        assert!(!role.heard(Now { monotonic: Monotonic(at(115).monotonic.0 - 1), ..at(115) }, away()));
        assert_eq!(role.stand().part, Part::Holding);
        assert!(role.heard(at(115), away()));
        assert_eq!((role.stand().part, role.stand().permit.is_all()), (Part::StandingIn, true));
        assert_eq!(role.stand().why.as_ref(), "connection refused");
        assert!(!role.heard(at(116), away()));
    }

    #[test]
    fn a_leader_that_answers_but_hears_or_ships_nothing_does_not_lead() {
        let mut role = new();
        let deaf =
            || Ok(Leader { leads: false, shipped_until: Some(at(1).utc), why: Some("its link is down".to_owned()) });
        role.heard(at(104), deaf());
        assert!(role.heard(at(105), deaf()));
        assert_eq!(role.stand().why.as_ref(), "its link is down");
    }

    #[test]
    fn when_the_leader_is_back_it_still_ships_all_that_came_until_then() {
        let mut role = new();
        role.heard(at(105), away());
        assert!(role.heard(at(200), leads(90)));
        let permit = role.stand().permit;
        assert_eq!((role.stand().part, permit.turn(at(200).utc)), (Part::Holding, Turn::Ship));
        assert_eq!(permit.turn(UtcNanos(at(200).utc.0 + 1)), Turn::Wait);
        role.heard(at(300), leads(300));
        let permit = role.stand().permit;
        assert_eq!((permit.turn(at(200).utc), permit.turn(at(250).utc)), (Turn::Ship, Turn::Skip));
        assert_eq!(permit.turn(at(290).utc), Turn::Wait);
    }

    #[test]
    fn what_an_earlier_process_owed_is_shipped_whatever_the_leader_says() {
        let mut role = Role::new(at(100).monotonic, at(50).utc);
        role.heard(at(101), leads(100));
        let permit = role.stand().permit;
        assert_eq!((permit.turn(at(50).utc), permit.turn(at(51).utc)), (Turn::Ship, Turn::Skip));
    }

    /// Every message reaches InfluxDB by one of both, whenever the leader is there, and whatever it had shipped when it went.
    #[test]
    fn no_record_is_passed_over_that_the_leader_has_not_shipped() {
        for gone in 20..60 {
            for back in gone..80 {
                let mut role = new();
                let mut shipped_until = 0;
                let mut passed: Vec<(u64, Turn)> = Vec::new();
                let mut next = 0;
                for second in 0..100_u64 {
                    let there = !(gone..back).contains(&second);
                    if there {
                        // It comes on with its log slowly.
                        shipped_until = (shipped_until + 2).min(second);
                    }
                    role.heard(at(100 + second), if there { leads(100 + shipped_until) } else { away() });
                    while next <= second {
                        let turn = role.stand().permit.turn(at(100 + next).utc);
                        if turn == Turn::Wait {
                            break;
                        }
                        assert!(turn == Turn::Ship || next < shipped_until, "{next} is passed over at {second}");
                        passed.push((next, turn));
                        next += 1;
                    }
                }
                // What came while nobody led was shipped here.
                for (record, turn) in passed {
                    let alone = gone + PATIENCE.as_secs() <= record && record < back;
                    assert!(!alone || turn == Turn::Ship, "{record} came while the leader was away, {gone} to {back}");
                }
            }
        }
    }
}
