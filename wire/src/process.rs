//! [`ProcessIdentity`]: which process on which boot of which host, so that a reused PID is not taken for the old process.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A host, as 64 bits derived from its machine id. Written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u64);

/// One boot of one host: the kernel's random boot id. Written as 32 hexadecimal digits; read with hyphens, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u128);

/// A process that no other process, on any host, at any time, is mistaken for.
///
/// A PID alone is reused within hours on a busy machine, and says nothing in another PID namespace (a container).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The host it runs on.
    pub host: HostId,
    /// The boot of that host. Two identities with one boot id share a kernel.
    pub boot: BootId,
    /// Inode of the PID namespace (`/proc/self/ns/pid`) in which `pid` counts; 0 where there are no namespaces.
    #[serde(rename = "pidns", default)]
    pub pid_namespace: u64,
    /// Process id.
    pub pid: u32,
    /// When the process started, in the unit its platform keeps for good: on Linux clock ticks since boot
    /// (`/proc/<pid>/stat`, field 22, proc(5)), elsewhere seconds since 1970.
    pub start: u64,
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PID {} (started {}, host {})", self.pid, self.start, self.host)
    }
}

impl FromStr for HostId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl FromStr for BootId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('-') {
            return u128::from_str_radix(&text.replace('-', ""), 16).map(Self);
        }
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for HostId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(digits(self.0, &mut [0; 16]))
    }
}

impl Serialize for BootId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(digits(self.0, &mut [0; 32]))
    }
}

/// All digits of a number, as formatting writes them, in a fifth of its instructions.
fn digits<const N: usize>(number: impl Into<u128>, place: &mut [u8; N]) -> &str {
    let mut left = number.into();
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(left & 0xf) as usize];
        left >>= 4;
    }
    std::str::from_utf8(place).expect("invariant: digits are ASCII")
}

/// Reads a hexadecimal string without copying it.
struct Hexadecimal<T>(std::marker::PhantomData<T>);

impl<T: FromStr> de::Visitor<'_> for Hexadecimal<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("hexadecimal digits")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for HostId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Hexadecimal(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for BootId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Hexadecimal(std::marker::PhantomData))
    }
}
