//! A message as most are: of a publisher that is alive, and of which nothing else is to be told than that it was heard. Only what it
//! changes is changed, in the row: a beat takes 1,180 instructions instead of 2,050.

use lastbeat_wire::{Kind, Monotonic, Now};

use super::{Marks, Narrow, Row, before, nanos};
use crate::state::State;
use crate::watchdog::{Heard, Watchdog, delay_window, shortened};

impl Marks {
    /// Of one that is watched, and was heard one threshold before its deadline, by its process.
    const CALM: Self = Self(Self::WATCHED.0 | Self::HEARD.0 | Self::SILENT_THEN.0 | Self::PROCESS.0 | Self::SPOKE.0);
}

impl Row {
    /// Whether a message may be taken in here: it is alive, and there is nothing rare about it.
    fn is_calm(&self) -> bool {
        self.state == State::Alive && self.marks.0 & (Marks::CALM.0 | Marks::BESIDE.0) == Marks::CALM.0
    }
}

impl Watchdog {
    /// Takes a message if it is such a one; `None`: it is not, and nothing has changed. What it does is what
    /// [`heard_whole`](Self::heard_whole) does with such a message.
    pub(crate) fn heard_calmly(&mut self, now: Now, number: u32, heard: &Heard<'_>) -> Option<()> {
        let header = heard.header;
        let link = heard.link.filter(|_| heard.readable && !heard.retained)?;
        let (row, deadline, shared) = self.publishers.row(number);
        if !row.is_calm() || !matches!(heard.kind, Kind::Beat | Kind::Sensor) {
            return None;
        }
        let mut row = row.clone();
        // It is of the process and the host that are known, the next in its order.
        let identity = row.identity(shared);
        if header.process.is_some_and(|process| identity != Some(process)) {
            return None;
        }
        if let Some(host) = &header.host
            && shared.origins.host(row.origin) != Some(shortened(host))
        {
            return None;
        }
        if let (Some(number), Some(_)) = (header.sequence, identity) {
            if !row.marks.has(Marks::SEQUENCES) || row.next.get_unsigned() != number {
                return None;
            }
            row.next = Narrow::of_unsigned(number.checked_add(1)?)?;
        }
        // It came in time.
        let threshold = shared.thresholds.0[usize::from(row.threshold)];
        let last_heard = Monotonic(deadline.0 - nanos(threshold));
        let mut links = row.links(last_heard, shared);
        links.insert(now.monotonic, link, &self.links, threshold);
        let is_local = identity.is_some_and(|identity| self.is_local(identity));
        let mut delay = row.delay(last_heard);
        let is_comparable = delay.is_known();
        let waited = delay.of(now, header, delay_window(is_local, threshold));
        let heard_at = now.monotonic.minus(waited.surely);
        if waited.surely >= threshold || heard_at < last_heard {
            return None;
        }
        let deadline = Monotonic(heard_at.0.checked_add(nanos(threshold))?);
        let (sets, began) = links.into_parts();
        row.links = shared.links.known(sets, row.links)?;
        row.links_began = before(heard_at, began)?;
        row.pack_delay(&delay, heard_at)?;
        row.messages = row.messages.checked_add(1)?;
        row.readings = row.readings.checked_add(u32::from(heard.kind == Kind::Sensor))?;
        if let Some(sent_at) = header.sent_at.filter(|_| is_local) {
            let under_way = u32::try_from(now.utc.since(sent_at).as_nanos()).ok()?;
            row.under_way = under_way.max(row.under_way / 2);
        }
        row.last_heard_utc = now.utc_at(heard_at);
        row.marks.set(Marks::UNBROKEN);
        // From here on it is taken.
        if !row.is_touched() {
            row.marks.set(Marks::TOUCHED);
            self.touched.push(number);
        }
        self.publishers.set_row(number, row, deadline);
        self.note_news(number);
        if is_comparable {
            self.links.delivered(now.monotonic, link, false);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lastbeat_wire::{BootId, Header, HostId, ProcessIdentity, UtcNanos};
    use proptest::prelude::*;

    use super::*;
    use crate::config::{HostView, WatchRules};
    use crate::links::LinkNumber;
    use crate::watchdog::Reception;

    const ID: &str = "light-1";
    const KINDS: [Kind; 5] = [Kind::Beat, Kind::Sensor, Kind::Fail, Kind::Start, Kind::Bye];
    const SECOND: u64 = 1_000_000_000;

    fn process(number: u64) -> ProcessIdentity {
        ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4242, start: number }
    }

    fn at(nanos: u64) -> Now {
        let span = Duration::from_nanos(nanos);
        Now { monotonic: Monotonic(900 * SECOND).plus(span), utc: UtcNanos(1_700_000_000_000_000_000).plus(span) }
    }

    fn watchdog(local: bool) -> Watchdog {
        let own = ProcessIdentity { boot: BootId(if local { 2 } else { 7 }), ..process(1) };
        let links = vec!["one".to_owned(), "other".to_owned()];
        let host = Some(HostView { process: own, booted_at: UtcNanos(0) });
        let mut watchdog = Watchdog::new(WatchRules { links, host, ..WatchRules::default() }, at(0));
        watchdog.link_up(at(0), LinkNumber(0));
        watchdog.link_up(at(0), LinkNumber(1));
        watchdog
    }

    /// All that can be seen of it.
    fn seen(watchdog: &Watchdog) -> String {
        let Watchdog { links, outputs, touched, news, publishers, .. } = watchdog;
        let each: Vec<_> = publishers.numbers().map(|number| publishers.get(number)).collect();
        format!("{links:?} {outputs:?} {touched:?} {news:?} {each:?} {:?}", publishers.next_deadline())
    }

    fn heard<'a>(kind: Kind, header: &'a Header<'a>) -> Heard<'a> {
        let link = Some(LinkNumber(0));
        Heard { publisher: ID, kind, link, retained: false, resent: false, readable: true, header, log: None }
    }

    #[test]
    fn beats_in_their_order_are_taken_in_the_row_and_what_is_odd_is_not() {
        let mut watchdog = watchdog(true);
        let header = |number, now: Now| Header {
            process: Some(process(1)),
            sequence: Some(number),
            sent_at: Some(now.utc.minus(Duration::from_millis(2))),
            uptime: Some(now.monotonic.0 - 5),
            host: Some("web-1".into()),
        };
        for number in 0..100 {
            let now = at(number * 10 * SECOND);
            let header = header(number, now);
            // Until it has been heard for a window of its links.
            if number < 6 {
                assert_eq!(watchdog.heard(now, &heard(Kind::Beat, &header)), Reception::Live);
                continue;
            }
            assert_eq!(watchdog.heard_calmly(now, 0, &heard(Kind::Beat, &header)), Some(()), "{number}");
        }
        let now = at(1_000 * SECOND);
        let good = header(100, now);
        let left_out = Header { sequence: Some(101), ..good.clone() };
        let again = Header { sequence: Some(99), ..good.clone() };
        let new = Header { process: Some(process(2)), ..good.clone() };
        let moved = Header { host: Some("web-2".into()), ..good.clone() };
        for odd in [left_out, again, new, moved] {
            assert_eq!(watchdog.heard_calmly(now, 0, &heard(Kind::Beat, &odd)), None, "{odd:?}");
        }
        for odd in [
            heard(Kind::Bye, &good),
            Heard { link: None, ..heard(Kind::Beat, &good) },
            Heard { retained: true, ..heard(Kind::Beat, &good) },
            Heard { readable: false, ..heard(Kind::Beat, &good) },
        ] {
            assert_eq!(watchdog.heard_calmly(now, 0, &odd), None, "{odd:?}");
        }
        assert_eq!(watchdog.heard_calmly(now, 0, &heard(Kind::Sensor, &good)), Some(()));
    }

    /// What a step does: what kind of message, what is odd about it, and how long after the one before.
    fn step() -> impl Strategy<Value = (usize, u8, u64, u64)> {
        let odd = prop_oneof![6 => Just(0u8), 4 => 0..24u8];
        let gap = prop_oneof![
            2 => Just(0),
            12 => 0..15 * SECOND,
            2 => 45 * SECOND..55 * SECOND,
            1 => Just(50 * SECOND),
            1 => Just(700 * SECOND),
            1 => Just(1 << 41),
        ];
        (prop_oneof![8 => 0..2usize, 1 => 0..5usize], odd, gap, any::<u64>())
    }

    proptest! {
        #[test]
        fn a_message_taken_in_the_row_leaves_what_it_would_leave_taken_in_whole(
            local in any::<bool>(), tells in 0..8u8, steps in prop::collection::vec(step(), 1..60),
        ) {
            let (mut watchdog, mut since, mut next) = (watchdog(local), 0, 0);
            for (kind, odd, gap, by) in steps {
                since += gap;
                let now = at(since);
                let waited = Duration::from_nanos(by % if odd == 1 { 60 * SECOND } else { 1_000_000 });
                let tells = |bit| tells & bit != 0;
                let sent_at = tells(1).then(|| now.utc.minus(waited));
                let uptime = now.monotonic.0 - u64::try_from(waited.as_nanos()).unwrap();
                let mut header = Header {
                    process: (!tells(4)).then(|| process(1)),
                    sequence: (odd != 2).then_some(next),
                    sent_at,
                    uptime: tells(2).then_some(uptime),
                    host: (by % 2 == 0).then(|| "web-1".into()),
                };
                next += 1;
                let mut link = Some(LinkNumber(0));
                match odd {
                    3 => header.sequence = Some(by % (next + 2)),
                    4 => header.process = Some(process(by % 3)),
                    5 => header.process = None,
                    6 => header.sent_at = Some(now.utc.plus(Duration::from_nanos(by % (1 << 50)))),
                    7 => header.uptime = Some(by),
                    8 => header.host = Some("web-2".into()),
                    9 => link = Some(LinkNumber(1)),
                    10 => link = None,
                    11 => drop(watchdog.pause(now, ID, (by % 2 == 0).then_some(waited))),
                    12 => drop(watchdog.resume_watching(now, ID)),
                    13 => watchdog.link_down(now, LinkNumber(u16::from(by % 2 == 0)), "gone"),
                    14 => (0..2).for_each(|link| watchdog.link_up(now, LinkNumber(link))),
                    15 => drop((watchdog.outputs(), watchdog.touched(usize::MAX))),
                    16 => header.sent_at = None,
                    17 => header.uptime = None,
                    18 => header.sequence = Some(by),
                    19..22 => watchdog.due(now),
                    _ => {}
                }
                let (retained, readable) = (odd == 22, odd != 23);
                let message = Heard { link, retained, readable, ..heard(KINDS[kind], &header) };
                if let Some(number) = watchdog.place(ID) {
                    let (before, mut whole) = (seen(&watchdog), watchdog.clone());
                    if watchdog.heard_calmly(now, number, &message).is_some() {
                        prop_assert_eq!(whole.heard_whole(now, Some(number), &message), Reception::Live);
                        prop_assert_eq!(seen(&watchdog), seen(&whole));
                        continue;
                    }
                    prop_assert_eq!(seen(&watchdog), before);
                }
                watchdog.heard_whole(now, watchdog.place(ID), &message);
            }
        }
    }
}
