//! [`Place`]: where on the disk a publisher's spool is. Opens none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lastbeat_wire::PublisherId;

/// How many bytes of the id and of the destination are shown in a folder's name.
const SHOWN_BYTES: usize = 80;

/// What `--spool` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: messages are held in memory only.
    Off,
    /// Below this folder, which many publishers may share.
    Below(PathBuf),
}

impl Place {
    /// Where spools are when nothing is said: systemd's folder for this service, else that of the user's programs. `None`
    /// where there is neither.
    pub fn usual(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let folder = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(given) = folder("STATE_DIRECTORY") {
            // systemd names several folders with colons between them.
            let first = std::env::split_paths(&given).next().unwrap_or_default();
            return Some(first.join("spool"));
        }
        let state = folder("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let state = state.or_else(|| folder("HOME").map(|home| PathBuf::from(home).join(".local/state")));
        Some(state?.join("lastbeat").join("spool"))
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("is a folder, or off".to_owned()),
            "off" => Ok(Self::Off),
            folder => Ok(Self::Below(folder.into())),
        }
    }
}

/// The folder of one publisher and one destination, its URL or a swarm: readable, and no two alike. What stands behind the
/// URL's question mark (keys, certificates, which end binds) does not make it another one.
pub fn folder_name(publisher: &PublisherId, to: &str) -> String {
    let to = to.split('?').next().unwrap_or_default();
    // Neither has a zero byte, so no two pairs are written alike.
    let hash = fnv1a([publisher.as_str().as_bytes(), b"\0", to.as_bytes()].concat().as_slice());
    format!("{}@{}-{hash:016x}", readable(publisher.as_str()), readable(to))
}

/// The beginning, without what a file's name can't have or a shell would ask to quote.
fn readable(text: &str) -> String {
    let end = (0..=text.len().min(SHOWN_BYTES)).rfind(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '+');
    text[..end].chars().map(|letter| if plain(letter) { letter } else { '_' }).collect()
}

/// Moves a folder out of the way; where it is then.
pub fn set_aside(folder: &Path) -> std::io::Result<PathBuf> {
    for number in 1..=u32::MAX {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!(".aside-{number}"));
        let aside = PathBuf::from(name);
        if !aside.try_exists()? {
            std::fs::rename(folder, &aside)?;
            return Ok(aside);
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): a spool must be found again by every version of this program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use lastbeat_transport::Endpoint;

    use super::*;

    fn name(publisher: &str, to: &str) -> String {
        folder_name(&publisher.parse().unwrap(), &to.parse::<Endpoint>().unwrap().to_string())
    }

    #[test]
    fn a_folder_can_be_read_and_stays_the_same() {
        assert_eq!(
            name("house/light-1", "zmq+tcp://127.0.0.1:5555"),
            "house_light-1@zmq+tcp___127.0.0.1_5555-b5e8ed7b96ccea57"
        );
    }

    #[test]
    fn no_two_publishers_or_destinations_share_a_folder() {
        let names = [
            name("a/b", "mqtt://x"),
            name("a_b", "mqtt://x"),
            name("a/b", "mqtt://user@x"),
            name("a/b", "mqtts://x"),
            name(&"x".repeat(200), "mqtt://x"),
            name(&"x".repeat(199), "mqtt://x"),
            name(&"é".repeat(100), "mqtt://x"),
        ];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        for name in &names {
            assert!(name.len() <= 255 && !name.contains(['/', '\\', ':', ' ']) && !name.starts_with('.'), "{name}");
        }
        assert!(!name(".hidden", "mqtt://x").contains('/'));
    }

    #[test]
    fn options_and_passwords_are_no_part_of_it() {
        assert_eq!(name("a", "zmq+tcp://127.0.0.1:5?bind"), name("a", "zmq+tcp://127.0.0.1:5"));
        assert_eq!(name("a", "mqtts://x?ca=/one"), name("a", "mqtts://x?ca=/two"));
        assert_eq!(name("a", "mqtt://user:one@x"), name("a", "mqtt://user:two@x"));
    }

    #[test]
    fn a_service_has_its_own_folder_and_a_user_the_usual_one() {
        let usual = |set: &[(&str, &str)]| {
            Place::usual(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        let home = ("HOME", "/home/a");
        assert_eq!(usual(&[home, ("STATE_DIRECTORY", "/var/lib/x:/var/lib/y")]), Some("/var/lib/x/spool".into()));
        assert_eq!(usual(&[home, ("XDG_STATE_HOME", "/state")]), Some("/state/lastbeat/spool".into()));
        assert_eq!(
            usual(&[home, ("XDG_STATE_HOME", "relative")]),
            Some("/home/a/.local/state/lastbeat/spool".into()),
            "the specification says to ignore it"
        );
        assert_eq!(usual(&[home]), Some("/home/a/.local/state/lastbeat/spool".into()));
        assert_eq!(usual(&[("HOME", "")]), None);
    }
}
