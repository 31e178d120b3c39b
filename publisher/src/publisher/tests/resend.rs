//! What is asked for and sent again.

use lastbeat_wire::{HostId, Inbox, ProcessIdentity, ResendGone, ResendRequest, Wanted};

use super::*;

/// What was sent again into an inbox: topics behind it, and numbers; of what is gone, the numbers.
fn sent_again(link: &Double) -> Vec<(String, u64, u64)> {
    let prefix = INBOX.prefix();
    let shown = |(topic, payload): (String, Vec<u8>)| {
        let behind = topic.strip_prefix(&prefix)?.to_owned();
        if let Ok(gone) = ResendGone::decode(&payload) {
            return Some((behind, gone.from, gone.to));
        }
        let kind = Kind::ALL.into_iter().find(|kind| behind.starts_with(kind.prefix())).unwrap();
        let number = decode(kind, &payload).unwrap().header.sequence.unwrap();
        Some((behind, number, number + 1))
    };
    let lines = link.taken().into_iter().filter_map(shown).collect();
    link.clear();
    lines
}

const INBOX: Inbox = Inbox(7);

fn range(process: ProcessIdentity, from: u64, to: u64) -> ResendRequest {
    let publisher = "x".parse().unwrap();
    ResendRequest { inbox: INBOX, wanted: Wanted::Range { publisher, process, from, to } }
}

#[test]
fn what_was_missed_is_sent_again_a_slice_at_a_time_between_live_messages() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY, false).unwrap();
    let mut bench = Bench::with(rows(100_000), Pace::every(Duration::from_millis(10)), BadRows::Skip, spool);
    bench.run_until(20_000);
    bench.publisher.parts.outbox.wait_written();
    bench.link.clear();
    bench.link.request(range(own().process, 100, 1_000));
    let mut live = 0;
    while bench.publisher.is_asked(at(bench.millis).monotonic) || live == 0 {
        bench.link.open_for(50);
        bench.turn_at(bench.millis + 10);
        live += 1;
    }
    let kinds: Vec<_> = bench.link.taken().iter().map(|(topic, _)| topic.starts_with("resend/")).collect();
    let longest = kinds.split(|again| !again).map(<[bool]>::len).max().unwrap();
    assert!(longest <= 64 && kinds.iter().filter(|again| !**again).count() >= live, "{longest}");
    let again = sent_again(&bench.link);
    assert!(again.iter().map(|(_, number, _)| *number).eq(100..1_000));
    assert_eq!(bench.publisher.parts.outbox.tally().sent_again, 900);
}

#[test]
fn what_is_not_kept_is_gone_and_what_waits_is_not_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let spool = || Spool::open(folder.path(), ROOMY, false).unwrap();
    let mut old = Bench::with(rows(1000), Pace::every(Duration::from_secs(1)), BadRows::Skip, spool());
    old.run_until(5_500);
    drop(old);
    let mut bench = Bench::with(rows(1000), Pace::every(Duration::from_secs(1)), BadRows::Skip, spool());
    bench.publisher.parts.letterhead = Letterhead::new(new_own(), Encoding::Json, at(0));
    bench.run_until(3_500);
    bench.link.open(false);
    bench.run_until(5_500);
    bench.link.clear();
    bench.publisher.parts.outbox.wait_written();
    let asked = |bench: &mut Bench, request: ResendRequest| {
        bench.link.request(request);
        bench.link.open(true);
        bench.publisher.parts.outbox.answer_all(at(5_500).monotonic);
        bench.link.open(false);
        sent_again(&bench.link)
    };
    let sensor = |numbers: std::ops::Range<u64>| numbers.map(|number| ("sensor/x".to_owned(), number, number + 1));
    let gone = |from: u64, to: u64| ("gone/x".to_owned(), from, to);
    // Six readings behind a beat.
    assert_eq!(asked(&mut bench, range(own().process, 2, 5)), sensor(2..5).collect::<Vec<_>>());
    let mut all: Vec<_> = sensor(5..7).collect();
    all.push(gone(7, 9));
    assert_eq!(asked(&mut bench, range(own().process, 5, 9)), all);
    let unknown = ProcessIdentity { pid: 99, ..own().process };
    assert_eq!(asked(&mut bench, range(unknown, 5, 9)), [gone(5, 9)]);
    let elsewhere = ProcessIdentity { host: HostId(99), ..own().process };
    assert_eq!(asked(&mut bench, range(elsewhere, 5, 9)), []);
    let lasts = asked(&mut bench, ResendRequest { inbox: INBOX, wanted: Wanted::Last });
    assert_eq!(lasts, sensor(6..7).collect::<Vec<_>>(), "this process's comes by itself");
    assert_eq!(asked(&mut bench, range(new_own().process, 3, 9)), sensor(3..5).collect::<Vec<_>>(), "the rest waits");
}

/// Another process of the same host.
fn new_own() -> lastbeat_host::Own {
    let old = own();
    lastbeat_host::Own { process: ProcessIdentity { pid: 5, start: 6, ..old.process }, ..old }
}
