//! [`Destination`]: where a publisher's messages go.

use std::borrow::Cow;
use std::fmt;

use lastbeat_transport::{Endpoint, Outbound, PublishOptions, TransportError};

/// What several brokers are called together where messages are kept: adding one to the list leaves nothing behind.
pub const SWARM: &str = "swarm";

/// Where a publisher's messages go.
#[derive(Debug)]
pub enum Destination<'a> {
    /// To one place.
    One(&'a Endpoint),
    /// To whichever of some brokers can be had.
    OneOf {
        /// In the order in which they are tried.
        brokers: &'a [Endpoint],
        /// The topics that are listened to there.
        listen: Vec<String>,
        /// The agent whose name stands in the topics of results.
        named: Option<String>,
    },
}

impl Destination<'_> {
    /// Opens the publisher's end.
    ///
    /// # Errors
    /// What trying again can't mend.
    pub fn open(&self, options: PublishOptions) -> Result<Box<dyn Outbound>, TransportError> {
        match self {
            Self::One(endpoint) => lastbeat_transport::publish(endpoint, options),
            Self::OneOf { brokers, listen, .. } => {
                let options = PublishOptions { listen: listen.clone(), ..options };
                lastbeat_transport::publish_to_one_of(brokers, options)
            }
        }
    }

    /// What the folder of kept messages is named after.
    pub fn kept_as(&self) -> Cow<'static, str> {
        match self {
            Self::One(endpoint) => Cow::Owned(endpoint.to_string()),
            Self::OneOf { .. } => Cow::Borrowed(SWARM),
        }
    }
}

/// For people, without passwords.
impl fmt::Display for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(endpoint) => write!(f, "{endpoint}"),
            Self::OneOf { brokers, .. } => {
                let brokers: Vec<_> = brokers.iter().map(ToString::to_string).collect();
                f.write_str(&brokers.join(" or "))
            }
        }
    }
}
