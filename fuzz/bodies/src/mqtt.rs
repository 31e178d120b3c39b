//! What a broker sends, in pieces of any size: it is cut off, or comes out as packets whose topics are text and whose
//! payloads are not too large; what is well comes out as it went in, however it is cut into pieces.

use arbitrary::Arbitrary;
use lastbeat_transport::Screen;
use lastbeat_wire::MAX_PAYLOAD_BYTES;

#[derive(Debug, Arbitrary)]
enum Piece<'a> {
    Raw(&'a [u8]),
    Publish { topic: &'a [u8], flags: u8, payload: &'a [u8], repeat: u16 },
    Ping,
    Connack(bool),
}

pub fn packets(bytes: &[u8]) {
    let Some((piece, pieces)) = crate::made_of::<(u8, Vec<Piece<'_>>)>(bytes) else { return };
    let sent: Vec<u8> = pieces.iter().take(20).flat_map(Piece::bytes).collect();
    let at_once = through(&sent, usize::MAX);
    let in_pieces = through(&sent, usize::from(piece) + 1);
    assert_eq!(at_once, in_pieces);
    let (passed, whole) = at_once;
    assert!(passed.len() <= sent.len());
    check(&passed, whole);
    // It has nothing to mend any more.
    assert_eq!(through(&passed, usize::MAX).0, passed);
}

/// What comes out, and whether all of it was MQTT.
fn through(sent: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let (mut screen, mut out) = (Screen::default(), Vec::new());
    let whole = sent.chunks(piece).all(|piece| screen.pass(piece, &mut out).is_ok());
    (out, whole)
}

/// Takes the packets apart in another way than the screen does.
fn check(mut passed: &[u8], whole: bool) {
    while !passed.is_empty() {
        let mut length = 0;
        let mut head = 1;
        loop {
            let byte = passed[head];
            length += usize::from(byte % 128) * 128_usize.pow(u32::try_from(head - 1).expect("at most 4"));
            head += 1;
            if byte < 128 {
                break;
            }
            assert!(head <= 4);
        }
        let packet = &passed[head..passed.len().min(head + length)];
        if passed[0] / 16 == 3 {
            let topic = usize::from(packet[0]) * 256 + usize::from(packet[1]);
            let text = std::str::from_utf8(&packet[2..2 + topic]).expect("a topic is text");
            assert!(!text.contains('\0') && !text.is_empty());
            assert!(length <= 2 + topic + 2 + MAX_PAYLOAD_BYTES + 1);
        }
        // The last one may not be through yet.
        assert!(packet.len() == length || !whole || passed.len() < head + length);
        passed = &passed[head + packet.len()..];
    }
}

impl Piece<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Ping => vec![0xd0, 0],
            Self::Connack(kept) => vec![0x20, 2, u8::from(*kept), 0],
            Self::Publish { topic, flags, payload, repeat } => {
                let topic = &topic[..topic.len().min(usize::from(u16::MAX))];
                let number = if flags & 6 == 0 { &[][..] } else { &[0, 1] };
                // Few are too large, for they take long.
                let repeat = if *repeat > 0xfe00 { *repeat } else { repeat % 16 };
                let payload = payload.repeat(usize::from(repeat) + 1);
                let payload = &payload[..payload.len().min(3 << 20)];
                let mut length = 2 + topic.len() + number.len() + payload.len();
                let mut packet = vec![0x30 | flags & 0x0f];
                while length >= 128 {
                    packet.push(u8::try_from(length % 128).expect("below 128") | 128);
                    length /= 128;
                }
                packet.push(u8::try_from(length).expect("below 128"));
                packet.extend(u16::try_from(topic.len()).expect("cut above").to_be_bytes());
                [&packet, topic, number, payload].concat()
            }
        }
    }
}
