//! What a broker sends, in pieces of any size: it is cut off, or taken apart into the same packets however it is cut; and what
//! was a message comes out as that message, its payload no longer than it takes to be refused.

use arbitrary::Arbitrary;
use lastbeat_transport::{Packet, Packets};
use lastbeat_wire::MAX_PAYLOAD_BYTES;

#[derive(Debug, Arbitrary)]
enum Piece<'a> {
    Raw(&'a [u8]),
    Publish(Message<'a>),
    Ping,
    Connack(bool),
}

#[derive(Debug, Arbitrary)]
struct Message<'a> {
    topic: &'a [u8],
    payload: &'a [u8],
    repeat: u16,
    retained: bool,
    number: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    Message { topic: Vec<u8>, payload: Vec<u8>, retained: bool, number: Option<u16> },
    Other(Vec<u8>),
}

pub fn packets(bytes: &[u8]) {
    let Some((piece, pieces)) = crate::made_of::<(u8, Vec<Piece<'_>>)>(bytes) else { return };
    let pieces = &pieces[..pieces.len().min(20)];
    let sent: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
    let (came, whole) = taken(&sent, usize::MAX);
    assert_eq!(taken(&sent, usize::from(piece) + 1), (came.clone(), whole));
    for message in &came {
        if let Came::Message { topic, payload, .. } = message {
            assert!(!topic.is_empty() && payload.len() <= MAX_PAYLOAD_BYTES + 1);
        }
    }
    // Up to the first bytes that may be anything, it is known what is to come.
    let known: Vec<Came> = pieces.iter().map_while(Piece::expected).collect();
    assert!(came.starts_with(&known));
    assert!(whole || known.len() < pieces.len());
}

/// What comes out, and whether all of it was MQTT.
fn taken(sent: &[u8], piece: usize) -> (Vec<Came>, bool) {
    let (mut packets, mut came) = (Packets::default(), Vec::new());
    let mut keep = |packet: Packet<'_>| {
        came.push(match packet {
            Packet::Other(packet) => Came::Other(packet.to_vec()),
            Packet::Publish(message) => Came::Message {
                topic: message.topic.to_vec(),
                payload: message.payload.to_vec(),
                retained: message.retained,
                number: message.number,
            },
        });
    };
    let whole = sent.chunks(piece).all(|piece| packets.take(piece, &mut keep).is_ok());
    (came, whole)
}

impl Piece<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Ping => vec![0xd0, 0],
            Self::Connack(kept) => vec![0x20, 2, u8::from(*kept), 0],
            Self::Publish(message) => message.bytes(),
        }
    }

    fn expected(&self) -> Option<Came> {
        match self {
            Self::Ping | Self::Connack(_) => Some(Came::Other(self.bytes())),
            Self::Publish(message) if !message.topic.is_empty() => Some(message.expected()),
            Self::Raw(_) | Self::Publish(_) => None,
        }
    }
}

impl Message<'_> {
    fn topic(&self) -> &[u8] {
        &self.topic[..self.topic.len().min(usize::from(u16::MAX))]
    }

    fn payload(&self) -> Vec<u8> {
        // Few are too large, for they take long.
        let repeat = if self.repeat > 0xfe00 { self.repeat } else { self.repeat % 16 };
        let mut payload = self.payload.repeat(usize::from(repeat) + 1);
        payload.truncate(3 << 20);
        payload
    }

    fn bytes(&self) -> Vec<u8> {
        let (topic, payload) = (self.topic(), self.payload());
        let number = self.number.map(u16::to_be_bytes);
        let number = number.as_ref().map_or(&[][..], |number| number);
        let mut length = 2 + topic.len() + number.len() + payload.len();
        let mut packet = vec![0x30 | if number.is_empty() { 0 } else { 2 } | u8::from(self.retained)];
        while length >= 128 {
            packet.push(u8::try_from(length % 128).expect("below 128") | 128);
            length /= 128;
        }
        packet.push(u8::try_from(length).expect("below 128"));
        packet.extend(u16::try_from(topic.len()).expect("cut above").to_be_bytes());
        [&packet, topic, number, &payload].concat()
    }

    fn expected(&self) -> Came {
        let mut payload = self.payload();
        payload.truncate(MAX_PAYLOAD_BYTES + 1);
        Came::Message { topic: self.topic().to_vec(), payload, retained: self.retained, number: self.number }
    }
}
