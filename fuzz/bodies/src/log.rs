//! A log with some of its bytes changed, cut off or made up: it opens, nothing made up is read, what lies before the damage
//! is all there, and it can be written on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use arbitrary::Arbitrary;
use lastbeat_log::{Log, LogOptions, Position, SyncPolicy};

#[derive(Debug, Arbitrary)]
struct Damaged {
    segment_bytes: u16,
    records: Vec<(u8, Vec<u8>)>,
    harm: Vec<Harm>,
}

#[derive(Debug, Arbitrary)]
enum Harm {
    Overwrite { file: u8, at: u16, bytes: Vec<u8> },
    Cut { file: u8, at: u16 },
    Append { file: u8, bytes: Vec<u8> },
    Remove { file: u8 },
    MakeUp { name: u64, bytes: Vec<u8> },
}

pub fn recovery(bytes: &[u8]) {
    let Some(input) = crate::made_of::<Damaged>(bytes) else { return };
    let dir = crate::folder();
    let options = LogOptions {
        segment_bytes: u64::from(input.segment_bytes).max(1),
        sync: SyncPolicy::Interval(Duration::from_secs(3600)),
        ..LogOptions::default()
    };
    let written: Vec<_> = input.records.iter().take(50).map(|(kind, body)| (*kind, body.clone())).collect();
    let (mut log, _) = Log::open(dir.path(), options).expect("a new log opens");
    for (kind, body) in &written {
        log.append(*kind, &[body]).expect("there is room");
    }
    log.close(Duration::from_secs(10));
    for harm in input.harm.iter().take(8) {
        harm.be_done(dir.path());
    }
    let Ok((mut log, _)) = Log::open(dir.path(), options) else {
        // Refused for a version that is not known; never for damage.
        assert!(!input.harm.is_empty(), "an unharmed log opens");
        return;
    };
    let read = read_all(&log);
    let mut left = written.iter();
    for record in &read {
        assert!(left.any(|record_written| record_written == record), "never written, or out of order: {record:?}");
    }
    assert!(!input.harm.is_empty() || read == written, "an unharmed log has lost something");
    let position = log.append(7, &[b"after the repair"]).expect("there is room");
    log.commit();
    log.close(Duration::from_secs(10));
    let (log, recovery) = Log::open(dir.path(), options).expect("it opens again");
    let again = read_all(&log);
    assert_eq!(again.last(), Some(&(7, b"after the repair".to_vec())), "{position:?} {recovery:?}");
    assert_eq!(again[..again.len() - 1], read[..]);
}

fn read_all(log: &Log) -> Vec<(u8, Vec<u8>)> {
    let mut reader = log.handle().reader(Position::START).expect("a reader");
    let mut all = Vec::new();
    loop {
        let batch = reader.next_batch(1 << 16).expect("reading goes on behind damage");
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|record| (record.kind, record.body.to_vec())));
    }
}

impl Harm {
    fn be_done(&self, dir: &Path) {
        let mut files: Vec<_> =
            fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        let file = |number: u8| files.get(usize::from(number) % files.len().max(1));
        let change = |number: u8, how: &dyn Fn(&mut Vec<u8>)| {
            if let Some(path) = file(number) {
                let mut bytes = fs::read(path).expect("a segment");
                how(&mut bytes);
                fs::write(path, bytes).expect("a segment");
            }
        };
        match self {
            Self::Overwrite { file, at, bytes } => change(*file, &|segment| {
                for (old, new) in segment.iter_mut().skip(usize::from(*at)).zip(bytes) {
                    *old = *new;
                }
            }),
            Self::Cut { file, at } => change(*file, &|segment| segment.truncate(usize::from(*at))),
            Self::Append { file, bytes } => change(*file, &|segment| segment.extend_from_slice(bytes)),
            Self::Remove { file: number } => {
                if let Some(path) = file(*number) {
                    fs::remove_file(path).expect("a segment");
                }
            }
            Self::MakeUp { name, bytes } => {
                fs::write(dir.join(format!("{:020}.log", name % 100_000)), bytes).expect("a file");
            }
        }
    }
}
