//! [`Curve`]: how a socket's connections are locked (ZeroMQ CURVE, RFC 26): as a client, as a server, or not at all.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Allowed, Gate, Guard, KEY_VARIABLE, KeyPair, PublicKey, Purpose};
use crate::TransportError;

/// What a URL says of keys; nothing of it is read yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Lock {
    /// No keys: anyone may come, and everyone on the way may read.
    #[default]
    Open,
    /// Of whoever connects.
    Client {
        /// The other side's public key, or a file that holds it.
        server: String,
        /// Our own key pair; without it that in `LASTBEAT_KEY`, or else one made for this link.
        key: Option<PathBuf>,
    },
    /// Of whoever is connected to.
    Server {
        /// Our key pair; without it that in `LASTBEAT_KEY`.
        key: Option<PathBuf>,
        /// Who may come; without it whoever knows our public key.
        allow: Option<PathBuf>,
    },
}

/// As the options of a URL, each behind a `?` or `&` that is not part of it.
impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, other, value) = match self {
            Self::Open => return Ok(()),
            Self::Client { server, key } => (key, "server", Some(server.clone())),
            Self::Server { key, allow } => (key, "allow", allow.as_ref().map(|path| path.display().to_string())),
        };
        let key = key.as_ref().map(|path| format!("key={}", path.display()));
        let other = value.map(|value| format!("{other}={value}"));
        f.write_str(&key.into_iter().chain(other).collect::<Vec<_>>().join("&"))
    }
}

/// How connections are locked, with the keys read.
#[derive(Debug)]
pub enum Curve {
    /// Not at all.
    Off,
    /// As whoever connects: the other side must have this key.
    Client {
        /// The other side's.
        server: PublicKey,
        /// Ours.
        key: KeyPair,
    },
    /// As whoever is connected to.
    Server {
        /// Ours.
        key: KeyPair,
        /// Who may come, if not everyone who knows our key.
        allowed: Option<Allowed>,
    },
}

impl Curve {
    /// Reads the keys that a lock names.
    ///
    /// # Errors
    /// A file that is not as it should be, or a libzmq without CURVE.
    pub fn read(lock: &Lock) -> Result<Self, TransportError> {
        match lock {
            Lock::Open => Ok(Self::Off),
            Lock::Client { server, key } => {
                available()?;
                let key = match own_key(key.as_deref())? {
                    Some(key) => key,
                    None => KeyPair::generate()?,
                };
                Ok(Self::Client { server: public_key(server)?, key })
            }
            Lock::Server { key, allow } => {
                available()?;
                let key = own_key(key.as_deref())?.ok_or_else(|| TransportError::Key {
                    place: KEY_VARIABLE.to_owned(),
                    reason: "is not set, and the URL has no key=FILE".to_owned(),
                })?;
                Ok(Self::Server { key, allowed: allow.as_deref().map(Allowed::read).transpose()? })
            }
        }
    }

    /// Sets a socket's keys. To be called before it binds or connects; `purpose` is what those want that connect to it.
    pub fn prepare(&self, socket: &zmq::Socket, purpose: Purpose) -> zmq::Result<()> {
        match self {
            Self::Off => Ok(()),
            Self::Client { server, key } => {
                socket.set_curve_serverkey(server.bytes())?;
                socket.set_curve_publickey(key.public().bytes())?;
                socket.set_curve_secretkey(key.secret())
            }
            Self::Server { key, allowed } => {
                socket.set_curve_server(true)?;
                socket.set_curve_secretkey(key.secret())?;
                if allowed.is_some() { socket.set_zap_domain(purpose.domain()) } else { Ok(()) }
            }
        }
    }

    /// Starts to let in who is on the list, where there is one.
    pub fn gate(&self, context: &zmq::Context) -> zmq::Result<Option<Gate>> {
        self.allowed().map(|allowed| Gate::open(context, allowed.clone())).transpose()
    }

    /// What holds each message against the list, where there is one.
    pub fn guard(&self) -> Option<Guard> {
        self.allowed().cloned().map(Guard::new)
    }

    /// The list, where there is one.
    pub fn allowed(&self) -> Option<&Allowed> {
        match self {
            Self::Server { allowed, .. } => allowed.as_ref(),
            Self::Off | Self::Client { .. } => None,
        }
    }

    /// Whether there are keys at all.
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }
}

fn available() -> Result<(), TransportError> {
    if zmq::has("curve") == Some(true) {
        return Ok(());
    }
    let (major, minor, patch) = zmq::version();
    let reason =
        format!("the libzmq {major}.{minor}.{patch} of this build has no CURVE; link one that is built with libsodium");
    Err(TransportError::Key { place: "CURVE".to_owned(), reason })
}

fn own_key(path: Option<&Path>) -> Result<Option<KeyPair>, TransportError> {
    if let Some(path) = path {
        return KeyPair::read(path).map(Some);
    }
    let text = std::env::var(KEY_VARIABLE).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |reason| TransportError::Key { place: KEY_VARIABLE.to_owned(), reason };
    KeyPair::from_text(&text).map(Some).map_err(wrong)
}

/// A file goes before a key, for a path of 40 characters may look like one.
fn public_key(text: &str) -> Result<PublicKey, TransportError> {
    let path = Path::new(text);
    if path.exists() {
        return PublicKey::read(path);
    }
    text.parse().map_err(|error| TransportError::Key {
        place: format!("server={text}"),
        reason: format!("is no file, and {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_key_or_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate().unwrap();
        let file = pair.write(&folder.path().join("key")).unwrap();
        assert_eq!(public_key(&pair.public().to_string()).unwrap(), pair.public());
        assert_eq!(public_key(file.to_str().unwrap()).unwrap(), pair.public());
        let error = public_key("/no/such/file").unwrap_err().to_string();
        assert!(error.starts_with("server=/no/such/file: is no file, and is no CURVE key"), "{error}");
    }

    #[test]
    fn a_file_that_is_missing_or_no_key_is_named() {
        let lock = |key: &str| Lock::Server { key: Some(key.into()), allow: None };
        let error = Curve::read(&lock("/no/such/key")).unwrap_err().to_string();
        assert!(error.starts_with("/no/such/key: No such file"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hush").unwrap();
        let error = Curve::read(&lock(path.to_str().unwrap())).unwrap_err().to_string();
        assert!(error.contains("is no key file") && !error.contains("hush"), "{error}");
        KeyPair::generate().unwrap().write(&folder.path().join("good")).unwrap();
        let allow = Lock::Server { key: Some(folder.path().join("good")), allow: Some(path) };
        let error = Curve::read(&allow).unwrap_err().to_string();
        assert!(error.contains("/key: "), "{error}");
    }
}
