//! [`PublicKey`] and [`KeyPair`]: the keys of ZeroMQ CURVE, as text and in files. Opens no socket.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;

use crate::TransportError;

/// The variable that holds what would stand in a key file, where a link asks for CURVE and names none.
pub const KEY_VARIABLE: &str = "LASTBEAT_KEY";
/// Bytes of a key.
const BYTES: usize = 32;
/// A key file is two lines and some comments; more is no key file.
const MOST_FILE_BYTES: u64 = 16 << 10;

/// The half of a key pair that others may know. As text in Z85, ZeroMQ's own form: 40 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; BYTES]);

/// A key pair. Its `Debug` shows the public half only.
#[derive(Clone)]
pub struct KeyPair {
    public: PublicKey,
    secret: [u8; BYTES],
}

/// The text is no key; says why, and not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no CURVE key: it takes 40 characters of Z85 or 64 hexadecimal digits")]
pub struct NoKey;

impl PublicKey {
    /// The key's 32 bytes, as libzmq takes them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// From the 32 bytes that libzmq gives; `None` of any other number.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// Reads the public key in a key file, or in one that holds nothing else.
    pub fn read(path: &Path) -> Result<Self, TransportError> {
        let file: KeyFile = parse(&text_of(path, MOST_FILE_BYTES)?).map_err(|reason| wrong(path, reason))?;
        file.public.parse().map_err(|error| wrong(path, format!("public {error}")))
    }
}

impl FromStr for PublicKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        decode(text).map(Self).ok_or(NoKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).field("secret", &"***").finish()
    }
}

/// A key file, or the public half of one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    public: String,
    secret: Option<String>,
}

impl KeyPair {
    /// A new one, made at random.
    ///
    /// # Errors
    /// Where libzmq has no CURVE.
    pub fn generate() -> Result<Self, TransportError> {
        let pair = zmq::CurveKeyPair::new().map_err(|source| TransportError::Zmq {
            place: "CURVE".to_owned(),
            doing: "can't make a key pair",
            source,
        })?;
        Ok(Self { public: PublicKey(pair.public_key), secret: pair.secret_key })
    }

    /// The half that others may know.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret half, as libzmq takes it.
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Reads a key file. One that others may read is warned of.
    pub fn read(path: &Path) -> Result<Self, TransportError> {
        let text = text_of(path, MOST_FILE_BYTES)?;
        let mode = fs::metadata(path).map_or(0, |found| found.permissions().mode());
        if mode & 0o077 != 0 {
            let mode = mode & 0o777;
            tracing::warn!("{}: others may read this secret key (mode {mode:o}): chmod 600", path.display());
        }
        Self::from_text(&text).map_err(|reason| wrong(path, reason))
    }

    /// From what stands in a key file. The error does not show the secret.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let file: KeyFile = parse(text)?;
        let public: PublicKey = file.public.parse().map_err(|error: NoKey| format!("public {error}"))?;
        let secret = file.secret.ok_or("has no secret key: it is the public half of a key file")?;
        let secret = decode(&secret).ok_or_else(|| format!("secret {NoKey}"))?;
        Ok(Self { public, secret })
    }

    /// Writes `path`, which only its owner may read, and its public half `path.pub`; neither may be there already.
    /// Gives the name of the public half.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub fn write(&self, path: &Path) -> io::Result<PathBuf> {
        let mut public_path = path.as_os_str().to_owned();
        public_path.push(".pub");
        let public_path = PathBuf::from(public_path);
        let public = format!("public = \"{}\"\n", self.public);
        let secret = format!("{SECRET_HEAD}{public}secret = \"{}\"\n", encode(&self.secret));
        if public_path.exists() {
            return Err(named(&public_path, &io::ErrorKind::AlreadyExists.into()));
        }
        write_new(path, 0o600, &secret)?;
        write_new(&public_path, 0o644, &format!("{PUBLIC_HEAD}{public}"))?;
        Ok(public_path)
    }
}

const SECRET_HEAD: &str =
    "# A key pair for ZeroMQ CURVE. Whoever has this file is who it belongs to: keep it secret.\n";
const PUBLIC_HEAD: &str = "# The public half of a key pair for ZeroMQ CURVE. Anyone may know it.\n";

fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn wrong(path: &Path, reason: impl Into<String>) -> TransportError {
    TransportError::Key { place: path.display().to_string(), reason: reason.into() }
}

/// A file's text, if it is not too large; the errors name it.
pub(super) fn text_of(path: &Path, most_bytes: u64) -> Result<String, TransportError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(most_bytes + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > most_bytes => Err(wrong(path, format!("has more than {most_bytes} bytes"))),
        Ok(_) => Ok(text),
        Err(error) => Err(wrong(path, error.to_string())),
    }
}

/// The error is without the line it is about, for that may hold the secret.
fn parse(text: &str) -> Result<KeyFile, String> {
    toml::from_str(text).map_err(|error| format!("is no key file: {}", error.message()))
}

fn encode(key: &[u8; BYTES]) -> String {
    zmq::z85_encode(key).expect("invariant: 32 bytes are a multiple of four")
}

fn decode(text: &str) -> Option<[u8; BYTES]> {
    let bytes = match text.len() {
        40 => zmq::z85_decode(text).ok()?,
        64 if text.is_ascii() => {
            let digit = |at: usize| char::from(text.as_bytes()[at]).to_digit(16);
            let byte = |at: usize| u8::try_from(digit(2 * at)? * 16 + digit(2 * at + 1)?).ok();
            (0..BYTES).map(byte).collect::<Option<Vec<_>>>()?
        }
        _ => return None,
    };
    let key = bytes.try_into().ok()?;
    // libzmq takes what is no Z85, too, and makes something of it.
    (text.len() == 64 || encode(&key) == text).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_either_form() {
        let pair = KeyPair::generate().unwrap();
        let text = pair.public().to_string();
        assert_eq!(text.len(), 40);
        assert_eq!(text.parse(), Ok(pair.public()));
        let digits: Vec<_> = pair.public().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let hexadecimal = digits.concat();
        assert_eq!(hexadecimal.parse(), Ok(pair.public()));
        assert_eq!(hexadecimal.to_uppercase().parse(), Ok(pair.public()));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let good = KeyPair::generate().unwrap().public().to_string();
        for text in [
            "",
            "short",
            &good[1..],
            &"x".repeat(64),
            &"~".repeat(40),
            &" ".repeat(40),
            &"é".repeat(20),
            &"é".repeat(32),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(NoKey), "{text:?}");
        }
        for text in
            ["", "secret = 'hush hush'", "public = 'x'\nsecret = 'hush hush'", "public = 'x\nhush hush", "hush hush"]
        {
            let error = KeyPair::from_text(text).unwrap_err();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn the_secret_file_is_its_owners_alone_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.key");
        let pair = KeyPair::generate().unwrap();
        let public = pair.write(&path).unwrap();
        assert_eq!(public, folder.path().join("broker.key.pub"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert!(!fs::read_to_string(&public).unwrap().contains("secret"));
        let read = KeyPair::read(&path).unwrap();
        assert_eq!((read.public(), read.secret()), (pair.public(), pair.secret()));
        assert_eq!(PublicKey::read(&public).unwrap(), pair.public());
        assert_eq!(PublicKey::read(&path).unwrap(), pair.public());
        let error = KeyPair::read(&public).unwrap_err().to_string();
        assert!(error.contains("broker.key.pub: has no secret key"), "{error}");
        let before = fs::read(&path).unwrap();
        assert!(KeyPair::generate().unwrap().write(&path).is_err());
        fs::remove_file(&public).unwrap();
        let error = KeyPair::generate().unwrap().write(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("broker.key"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn debugging_shows_no_secret() {
        let pair = KeyPair::generate().unwrap();
        assert!(!format!("{pair:?}").contains(&encode(&pair.secret)));
    }
}
