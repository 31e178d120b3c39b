//! [`Address`]: whose topic a message goes to, as it is kept in the spool.

use lastbeat_wire::{Kind, Target};

/// Whose topic a message goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The publisher's own, of a kind.
    Own(Kind),
    /// That of a target: the message is a result of measuring it.
    Ping(Target),
}

impl Address {
    /// What the message is: a result is a reading.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Own(kind) => *kind,
            Self::Ping(_) => Kind::Sensor,
        }
    }
}

impl From<Kind> for Address {
    fn from(kind: Kind) -> Self {
        Self::Own(kind)
    }
}
