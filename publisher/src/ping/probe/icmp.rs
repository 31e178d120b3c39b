//! [`Echo`]: echo requests over the sockets that need no privilege (Linux: `ping_group_range`), or else over raw ones.

use std::io;
use std::net::IpAddr;

use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, Pinger, SurgeError};

use super::no_answer;
use crate::ping::outcome::Answer;
use crate::ping::politeness::TIMEOUT;

/// As much as iputils' ping sends.
const PAYLOAD: [u8; 56] = [0; 56];
/// RFC 792, RFC 4443.
const V4_REPLY: u8 = 0;
const V6_REPLY: u8 = 129;

/// One address, and the socket of one family.
#[derive(Clone)]
pub struct Echo {
    client: Client,
    address: IpAddr,
    identifier: PingIdentifier,
}

impl Echo {
    /// Opens a socket, within a runtime.
    ///
    /// # Errors
    /// Where that is not permitted: what to permit.
    pub fn open(address: IpAddr) -> Result<Self, String> {
        let kind = if address.is_ipv4() { ICMP::V4 } else { ICMP::V6 };
        let client = Client::new(&Config::builder().kind(kind).build()).map_err(|error| refused(&error))?;
        Ok(Self { client, address, identifier: PingIdentifier(rand::random()) })
    }

    /// One request and its reply.
    pub async fn probe(self, number: u16) -> Result<Answer, String> {
        let mut pinger: Pinger = self.client.pinger(self.address, self.identifier).await;
        // One of the two ends first; either says the same.
        pinger.timeout(TIMEOUT);
        match pinger.ping(PingSequence(number), &PAYLOAD).await {
            Ok((packet, took)) => told(&packet).map_or(Ok(Answer { took, page: None }), Err),
            Err(SurgeError::Timeout { .. }) => Err(no_answer()),
            Err(SurgeError::IOError(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What to permit, where that is what is missing.
fn refused(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "ICMP is not permitted: as root, `sysctl net.ipv4.ping_group_range=\"0 2147483647\"`, or else \
         `setcap cap_net_raw+ep` on the program (in a systemd unit `AmbientCapabilities=CAP_NET_RAW`)"
            .to_owned()
    } else {
        format!("no socket for ICMP: {error}")
    }
}

/// What it is, where it is no reply.
fn told(packet: &IcmpPacket) -> Option<String> {
    let (sort, code, reply, unreachable, exceeded) = match packet {
        IcmpPacket::V4(packet) => (packet.get_icmp_type().0, packet.get_icmp_code().0, V4_REPLY, 3, 11),
        IcmpPacket::V6(packet) => (packet.get_icmpv6_type().0, packet.get_icmpv6_code().0, V6_REPLY, 1, 3),
    };
    if sort == reply {
        None
    } else if sort == unreachable {
        Some(format!("destination unreachable (ICMP code {code})"))
    } else if sort == exceeded {
        Some("time to live exceeded on the way".to_owned())
    } else {
        Some(format!("answered by ICMP type {sort}, code {code}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_permit_is_said_exactly() {
        let denied = refused(&io::ErrorKind::PermissionDenied.into());
        assert!(denied.contains("sysctl net.ipv4.ping_group_range=\"0 2147483647\""), "{denied}");
        assert!(denied.contains("setcap cap_net_raw+ep"), "{denied}");
        assert!(denied.contains("AmbientCapabilities=CAP_NET_RAW"), "setcap is not heeded in a unit: {denied}");
        assert!(refused(&io::ErrorKind::Unsupported.into()).starts_with("no socket for ICMP: "));
    }
}
