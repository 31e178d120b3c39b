//! [`Name`]: what an agent is called where nobody says: its host's name and a suffix that stays the same over restarts, and is
//! another one for each agent on the host.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use rand::seq::IndexedRandom;

/// A suffix has so many of these letters.
const SUFFIX_LETTERS: usize = 6;
/// Those that can't be taken for each other.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// So many agents on one host have a suffix that stays.
const MOST_AGENTS: usize = 1_000;
/// So much of the host's name is taken: an id has 200 bytes.
const HOST_BYTES: usize = 100;

/// The name of an agent.
#[derive(Debug)]
pub struct Name {
    /// What may stand behind `agent/`.
    pub text: String,
    /// Held for as long as this process lives: no other one takes the same suffix.
    _lock: Option<File>,
}

impl Name {
    /// A name that was given.
    pub fn given(text: String) -> Self {
        Self { text, _lock: None }
    }

    /// The host's name and the first suffix of a folder that no other process has; without a folder, or with one that can't
    /// be used, a suffix for this run.
    pub fn usual(host: &str, folder: Option<&Path>) -> Self {
        let own = folder.map(take).transpose().unwrap_or_else(|error| {
            let folder = folder.unwrap_or(Path::new("")).display();
            tracing::warn!("{folder}: no name that stays can be kept there, this one is for now only: {error}");
            None
        });
        let (suffix, lock) = own.map_or_else(|| (random(), None), |(suffix, lock)| (suffix, Some(lock)));
        Self { text: format!("{}-{suffix}", level(host)), _lock: lock }
    }
}

/// The first suffix that nobody has: the files are `agent-0`, `agent-1`, and so on.
fn take(folder: &Path) -> io::Result<(String, File)> {
    std::fs::create_dir_all(folder)?;
    for number in 0..MOST_AGENTS {
        let path = folder.join(format!("agent-{number}"));
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => return Ok((suffix(&mut file)?, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{MOST_AGENTS} agents are running already")))
}

/// The suffix in a file, which is written if there is none.
fn suffix(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(SUFFIX_LETTERS as u64 + 2).read_to_end(&mut bytes)?;
    let known = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if known.len() == SUFFIX_LETTERS && known.iter().all(|letter| LETTERS.contains(letter)) {
        return Ok(String::from_utf8_lossy(known).into_owned());
    }
    let suffix = random();
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{suffix}\n").as_bytes())?;
    file.sync_all()?;
    Ok(suffix)
}

fn random() -> String {
    let mut random = rand::rng();
    (0..SUFFIX_LETTERS).filter_map(|_| LETTERS.choose(&mut random)).map(|letter| char::from(*letter)).collect()
}

/// A host's name as a level of a topic.
fn level(host: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let level: String = host.chars().take(HOST_BYTES).map(|letter| if plain(letter) { letter } else { '-' }).collect();
    if level.is_empty() { "host".to_owned() } else { level }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_over_restarts_and_two_at_once_differ() {
        let folder = tempfile::tempdir().unwrap();
        let name = || Name::usual("web-1", Some(folder.path()));
        let (first, second) = (name(), name());
        let (one, two) = (first.text.clone(), second.text.clone());
        assert_ne!(one, two);
        assert!(one.starts_with("web-1-") && one.len() == 12, "{one}");
        drop(first);
        let again = name();
        assert_eq!(again.text, one);
        drop((again, second));
        assert_eq!(name().text, one);
        assert!(lastbeat_wire::agent(&one).is_ok());
    }

    #[test]
    fn a_damaged_file_gets_a_new_suffix_that_then_stays() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in ["", "abc", "ABCDEF\n", "abcdefg\n", "abcde/\n"] {
            std::fs::write(folder.path().join("agent-0"), damaged).unwrap();
            let name = Name::usual("a", Some(folder.path())).text;
            assert_eq!(Name::usual("a", Some(folder.path())).text, name, "after {damaged:?}");
        }
    }

    #[test]
    fn whatever_a_host_is_called_it_makes_a_level_of_a_topic() {
        for host in ["", "a/b", "a+b#", "\u{7}", "münchen", &"x".repeat(255), ".."] {
            let name = Name::usual(host, None).text;
            assert!(lastbeat_wire::agent(&name).is_ok() && !name.contains('/'), "{name}");
        }
    }

    #[test]
    fn a_folder_that_can_not_be_used_is_no_reason_not_to_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Name::usual("a", Some(file.path())).text.starts_with("a-"));
    }
}
