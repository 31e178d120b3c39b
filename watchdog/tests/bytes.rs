//! How many bytes a publisher takes in the watchdog, as the allocator counts them. One test, for the count is that of the process.

use std::time::Duration;

use lastbeat_watchdog::{Heard, HostView, LinkNumber, Output, State, WatchRules, Watchdog};
use lastbeat_wire::{BootId, Header, HostId, Kind, Monotonic, Now, ProcessIdentity, UtcNanos};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const PUBLISHERS: u32 = 100_000;
/// Of one host.
const EACH: u32 = 1_000;
/// Beats, ten seconds apart.
const ROUNDS: u64 = 12;

/// What a publisher may take that tells all of itself. Its row has 112 bytes (`row.rs` says what for), its id here 23, its deadline
/// 8; its place in the index 4.6 to 5.7. With ids of no more than 23 bytes it is 150 at the worst: 7.1 million in a GiB.
const TOLD: usize = 150;
/// The same of a foreign one, known by its topic alone.
const FOREIGN: usize = 150;

fn at(seconds: u64) -> Now {
    let span = Duration::from_secs(seconds);
    Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(1_700_000_000_000_000_000).plus(span) }
}

fn process(publisher: u32) -> ProcessIdentity {
    let host = publisher / EACH;
    let (pid, start) = (1_000 + publisher % EACH, 123_456 + u64::from(publisher));
    ProcessIdentity { host: HostId(host.into()), boot: BootId(host.into()), pid_namespace: 4_026_531_836, pid, start }
}

fn watchdog() -> Watchdog {
    let own = process(PUBLISHERS);
    let rules = WatchRules {
        links: vec!["only".to_owned()],
        host: Some(HostView { process: own, booted_at: UtcNanos(0) }),
        ..WatchRules::default()
    };
    let mut watchdog = Watchdog::new(rules, at(1_000));
    watchdog.link_up(at(1_000), LinkNumber(0));
    watchdog
}

fn hear(watchdog: &mut Watchdog, now: Now, publisher: &str, kind: Kind, header: &Header<'_>) {
    let link = Some(LinkNumber(0));
    let heard = Heard { publisher, kind, link, retained: false, resent: false, readable: true, header, log: None };
    watchdog.heard(now, &heard);
    watchdog.due(now);
}

/// Each beats or reads; what the watchdog has to say is taken.
fn round(watchdog: &mut Watchdog, seconds: u64, round: u64, foreign: bool) {
    for publisher in 0..PUBLISHERS {
        let now = at(seconds);
        let host = format!("host-{:04}", publisher / EACH);
        let header = Header {
            process: Some(process(publisher)),
            sequence: Some(round),
            // Some 300 us on the way, and a bit more or less.
            sent_at: Some(now.utc.minus(Duration::from_nanos(300_000 + u64::from(publisher) * round % 100_000))),
            uptime: Some(now.monotonic.0 - 900_000_000_000 - u64::from(publisher) * round % 100_000),
            host: Some(host.as_str().into()),
        };
        let header = if foreign { Header::default() } else { header };
        let kind = if round.is_multiple_of(2) { Kind::Beat } else { Kind::Sensor };
        let id = format!("site-{:04}/pinger-{publisher:06}", publisher / EACH);
        hear(watchdog, now, &id, kind, &header);
    }
    watchdog.outputs();
    watchdog.touched(usize::MAX);
}

fn bytes_each(before: usize) -> usize {
    (ALLOCATOR.current_usage() - before).div_ceil(PUBLISHERS as usize)
}

fn a_publisher_takes(most: usize, foreign: bool) {
    let before = ALLOCATOR.current_usage();
    let mut watchdog = watchdog();
    (0..ROUNDS).for_each(|number| round(&mut watchdog, 1_000 + 10 * number, number, foreign));
    let calm = bytes_each(before);
    assert!(calm <= most, "{calm} bytes a publisher");
    println!("{calm} bytes a publisher, foreign: {foreign}");
    // All are silent at once, with the evidence for it; and calm again they give it back.
    let now = at(1_000 + 10 * ROUNDS + 60);
    watchdog.due(now);
    let flips =
        watchdog.outputs().iter().filter(|it| matches!(it, Output::Flip(flip) if flip.to == State::Unknown)).count();
    assert_eq!(flips, PUBLISHERS as usize);
    println!("{} with a verdict", bytes_each(before));
    round(&mut watchdog, 1_300, ROUNDS, foreign);
    round(&mut watchdog, 1_310, ROUNDS + 1, foreign);
    assert!(watchdog.statuses(now).all(|status| status.state == State::Alive));
    let again = bytes_each(before);
    assert!(again <= most, "{again} bytes a publisher that was silent");
}

/// One that claims to be another process on another host with every message.
fn what_is_new_with_each_message_takes_no_place() {
    let mut watchdog = watchdog();
    let mut claims = |from: u32, to: u32| {
        for number in from..to {
            let host = format!("host-{number}");
            let process =
                ProcessIdentity { host: HostId(number.into()), boot: BootId(number.into()), ..process(number) };
            let header = Header { process: Some(process), host: Some(host.into()), ..Header::default() };
            hear(&mut watchdog, at(1_000), "light", Kind::Beat, &header);
            watchdog.outputs();
        }
        ALLOCATOR.current_usage()
    };
    let (few, many) = (claims(0, 1_000), claims(1_000, 20_000));
    assert!(many < few + 1_000, "{few} bytes after a thousand names, {many} after twenty thousand");
}

#[test]
fn a_publisher_takes_few_bytes_and_gives_back_what_it_took_for_a_time() {
    a_publisher_takes(TOLD, false);
    a_publisher_takes(FOREIGN, true);
    what_is_new_with_each_message_takes_no_place();
}
