//! [`Connection`]: carries one connection's bytes. Messages go to the subscriber, and are acknowledged once their receipt was
//! given, in the order they came; all the rest goes to the client library, and all that it sends to the broker.
//!
//! A receipt that was dropped must not end in an acknowledgement, nor may a later one overtake it: the connection is cut, and
//! the broker delivers again on the next one.
//!
//! A broker sends no more than so many messages that are not acknowledged. While receipts are long in coming (the disk is full)
//! nobody is heard, whoever speaks: that is told as a link that is down.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        Notify,
        mpsc::{Receiver, Sender, channel},
        oneshot,
    },
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    packets::{Packet, Packets, Sent},
    pulse::{Pulse, Silence},
    relay::Shared,
};
use crate::{Batch, Delivery, Receipt};

const BUFFER_BYTES: usize = 64 << 10;
/// Most batches that wait for their receipts.
const MOST_OWED: usize = 64;
/// So many keepalives a receipt may take, fewer than make a silence.
const RECEIPT_KEEPALIVES: u32 = 3;
/// PUBACK, PINGREQ and PINGRESP.
const ACKNOWLEDGED: [u8; 2] = [0x40, 2];
const PING: [u8; 2] = [0xc0, 0];
const PONG: [u8; 2] = [0xd0, 0];

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The broker's side.
pub(super) type Far = Box<dyn Stream>;

/// One connection, until one of its sides ends it.
pub(super) struct Connection {
    pub(super) near: TcpStream,
    pub(super) far: Far,
    pub(super) shared: Arc<Shared>,
    /// Ends it, now.
    pub(super) cut: CancellationToken,
    /// Dropped when all that the library wrote has been passed on.
    pub(super) passed_on: DropGuard,
}

/// Why a connection is cut.
enum Cut {
    /// A receipt was dropped.
    NotKept,
    /// What answers is no MQTT broker.
    Malformed,
}

/// Messages that are to be acknowledged.
struct Owed {
    numbers: Vec<u16>,
    since: Instant,
    /// `None` for what is not wanted: there is nothing to wait for.
    receipt: Option<oneshot::Receiver<()>>,
}

impl Connection {
    pub(super) async fn carry(self) {
        let Self { near, far, shared, cut, passed_on } = self;
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = split(far);
        let (owed, owing) = channel(MOST_OWED);
        let asking = Asking::default();
        let outward = Outward { near_in, far_out, owing, oldest: None, stuck: false, asking: &asking, shared: &shared };
        let pulse = Pulse::new(shared.keepalive, shared.patience());
        let inward = Inward { far_in, near_out, owed, asking: &asking, pulse, shared: &shared };
        let outward = async {
            let _passed_on = passed_on;
            outward.run().await
        };
        let ended = tokio::select! {
            biased;
            () = cut.cancelled() => Ok(()),
            ended = async { tokio::try_join!(outward, inward.run()) } => ended.map(drop),
        };
        if let (Err(Cut::NotKept), Some(listener)) = (ended, &shared.listener) {
            listener.say_down("a message could not be kept; the broker will deliver it again").await;
        }
    }
}

/// What the two ways tell each other of questions whether the broker is there.
#[derive(Default)]
struct Asking {
    /// The library has asked.
    library: AtomicBool,
    /// Told when we are to ask.
    relay: Notify,
}

/// From the library to the broker, and the acknowledgements.
struct Outward<'a> {
    near_in: OwnedReadHalf,
    far_out: WriteHalf<Far>,
    owing: Receiver<Owed>,
    oldest: Option<Owed>,
    /// Whether it was told that receipts are long in coming.
    stuck: bool,
    asking: &'a Asking,
    shared: &'a Shared,
}

/// What becomes of what is owed.
enum Due {
    /// It may be acknowledged.
    Now(Owed),
    /// It should have been by now.
    Late,
}

impl Outward<'_> {
    async fn run(mut self) -> Result<(), Cut> {
        let mut sent = Vec::with_capacity(BUFFER_BYTES);
        let mut out = Vec::new();
        let mut broken = false;
        let patience = self.shared.patience();
        let limit = self.shared.keepalive.checked_mul(RECEIPT_KEEPALIVES);
        loop {
            out.clear();
            tokio::select! {
                read = self.near_in.read_buf(&mut sent) => match read {
                    Ok(0) | Err(_) => break,
                    // Our own may come between two packets, not within one.
                    Ok(_) => {
                        let Sent { bytes, pings } = Sent::of(&sent);
                        out.extend(sent.drain(..bytes));
                        self.asking.library.fetch_or(pings, Relaxed);
                    }
                },
                () = self.asking.relay.notified() => out.extend(PING),
                due = due(&mut self.oldest, &mut self.owing, limit.filter(|_| !self.stuck)) => match due? {
                    Due::Late => self.tell_stuck(true).await,
                    Due::Now(owed) => {
                        for number in &owed.numbers {
                            out.extend(ACKNOWLEDGED);
                            out.extend(number.to_be_bytes());
                        }
                        self.tell_stuck(false).await;
                    }
                },
            }
            // When the broker is gone, what the library still writes goes nowhere, but it goes.
            broken = broken || !in_time(patience, self.far_out.write_all(&out)).await;
        }
        in_time(patience, self.far_out.shutdown()).await;
        Ok(())
    }

    async fn tell_stuck(&mut self, stuck: bool) {
        if std::mem::replace(&mut self.stuck, stuck) != stuck
            && let Some(listener) = &self.shared.listener
        {
            listener.say_stuck(stuck).await;
        }
    }
}

/// The oldest of what may be acknowledged, or that it could not be for `limit`. Can be dropped and asked again at any time.
async fn due(oldest: &mut Option<Owed>, owing: &mut Receiver<Owed>, limit: Option<Duration>) -> Result<Due, Cut> {
    if oldest.is_none() {
        *oldest = owing.recv().await;
    }
    if let Some(Owed { receipt: Some(receipt), since, .. }) = oldest {
        let given = match limit.and_then(|limit| since.checked_add(limit)) {
            None => receipt.await,
            Some(at) => match timeout_at(at, receipt).await {
                Ok(given) => given,
                Err(_) => return Ok(Due::Late),
            },
        };
        given.map_err(|_| Cut::NotKept)?;
    }
    match oldest.take() {
        Some(owed) => Ok(Due::Now(owed)),
        None => pending().await,
    }
}

async fn in_time(limit: Duration, done: impl Future<Output = io::Result<()>>) -> bool {
    timeout(limit, done).await.is_ok_and(|done| done.is_ok())
}

/// From the broker to the subscriber, and to the library.
struct Inward<'a> {
    far_in: ReadHalf<Far>,
    near_out: OwnedWriteHalf,
    owed: Sender<Owed>,
    asking: &'a Asking,
    pulse: Pulse,
    shared: &'a Shared,
}

impl Inward<'_> {
    async fn run(mut self) -> Result<(), Cut> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut packets = Packets::default();
        let mut out = Vec::new();
        loop {
            let Some(length) = self.read(&mut buffer).await.filter(|length| *length > 0) else { break };
            out.clear();
            // A broker that sends is there, and its answer may stand behind many messages, which the library does not see.
            if self.asking.library.swap(false, Relaxed) {
                out.extend(PONG);
            }
            let mut messages = Messages::default();
            let taken = packets.take(&buffer[..length], |packet| match packet {
                Packet::Other(packet) => out.extend(packet),
                Packet::Publish(message) => messages.add(message, self.shared),
            });
            if self.near_out.write_all(&out).await.is_err() || !self.hand(messages).await {
                break;
            }
            if let Err(error) = taken {
                tracing::warn!(broker = %self.shared.host_and_port, "what answers there is no MQTT broker: {error}");
                return Err(Cut::Malformed);
            }
        }
        // Of the two ways only this one: the library must still be able to write. One that is gone needs no end.
        let _ = self.near_out.shutdown().await;
        Ok(())
    }

    /// What comes; `None` when nothing more will.
    async fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match timeout(self.pulse.limit(), self.far_in.read(buffer)).await {
                Ok(Ok(length)) => {
                    self.pulse.heard();
                    return Some(length);
                }
                Ok(Err(error)) => {
                    if let Some(reason) = self.shared.tls.as_ref().and_then(|tls| tls.why_broken(&error)) {
                        self.shared.failed(reason);
                    }
                    return None;
                }
                Err(_) => match self.pulse.silent() {
                    Silence::Ask => self.asking.relay.notify_one(),
                    Silence::Gone => {
                        self.shared.failed(format!("{}: the broker does not answer", self.shared.host_and_port));
                        return None;
                    }
                },
            }
        }
    }

    /// Whether anybody wants them.
    async fn hand(&mut self, messages: Messages) -> bool {
        let Messages { mut batch, numbers } = messages;
        let Some(listener) = &self.shared.listener else { return true };
        if !numbers.is_empty() {
            let mut owed = Owed { numbers, since: Instant::now(), receipt: None };
            if !batch.is_empty() {
                let (receipt, given) = Receipt::new();
                (batch.receipt, owed.receipt) = (Some(receipt), Some(given));
            }
            if self.owed.send(owed).await.is_err() {
                return false;
            }
        }
        batch.is_empty() || listener.hand(batch).await.is_ok()
    }
}

/// What came at once.
#[derive(Default)]
struct Messages {
    batch: Batch,
    numbers: Vec<u16>,
}

impl Messages {
    fn add(&mut self, message: super::packets::Publish<'_>, shared: &Shared) {
        self.numbers.extend(message.number);
        // `sensor/#` also stands for `sensor`.
        if shared.listener.as_ref().is_some_and(|listener| listener.wants(message.topic)) {
            let (topic, payload) = (message.topic, message.payload);
            self.batch.push(Delivery { topic, payload, retained: message.retained, resent: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{
        Arrival, Endpoint, Incoming, LinkIndex,
        filter::Filter,
        mqtt::{relay::Relay, subscriber::Listener},
        subscription::Inbox,
    };

    /// A relay with the library's side and the broker's.
    struct Rig {
        relay: Relay,
        near: TcpStream,
        far: TcpStream,
        broker: TcpListener,
        incoming: Receiver<Incoming>,
    }

    impl Rig {
        fn new() -> Self {
            Self::with(Duration::from_mins(1))
        }

        fn with(keepalive: Duration) -> Self {
            let broker = TcpListener::bind("127.0.0.1:0").unwrap();
            let Endpoint::Mqtt(endpoint) = format!("mqtt://{}", broker.local_addr().unwrap()).parse().unwrap() else {
                panic!("not MQTT")
            };
            let (sender, incoming) = channel(1000);
            let inbox = Inbox { link: LinkIndex(0), incoming: sender, stop: CancellationToken::new() };
            let listener = Arc::new(Listener::new(inbox, Filter::new(vec!["sensor/".to_owned()]), "here".to_owned()));
            let relay = Relay::start(&endpoint, keepalive, Some(listener)).unwrap();
            let near = TcpStream::connect(relay.address()).unwrap();
            let (far, _) = broker.accept().unwrap();
            Self { relay, near, far, broker, incoming }
        }

        fn arrival(&mut self) -> Arrival {
            self.incoming.blocking_recv().unwrap().arrival
        }

        fn batch(&mut self) -> Batch {
            match self.arrival() {
                Arrival::Batch(batch) => batch,
                Arrival::Up => self.batch(),
                Arrival::Down { reason } => panic!("down: {reason}"),
            }
        }
    }

    fn publish(number: u8, topic: &[u8]) -> Vec<u8> {
        let topic_length = u8::try_from(topic.len()).unwrap();
        [&[0x32, topic_length + 5, 0, topic_length], topic, &[0, number, b'!']].concat()
    }

    fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn ends(stream: &mut TcpStream) {
        assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
    }

    #[test]
    fn a_broker_that_goes_ends_what_is_read_and_not_what_is_written() {
        let mut rig = Rig::new();
        rig.near.write_all(&PING).unwrap();
        assert_eq!(read(&mut rig.far), PING);
        drop((rig.far, rig.broker));
        ends(&mut rig.near);
        // More than all buffers on the way hold: somebody takes it.
        for _ in 0..(8 << 20) / BUFFER_BYTES {
            rig.near.write_all(&PING.repeat(BUFFER_BYTES)).unwrap();
        }
    }

    #[test]
    fn what_was_written_before_the_end_is_passed_on() {
        let mut rig = Rig::new();
        rig.far.write_all(&PONG).unwrap();
        assert_eq!(read(&mut rig.near), PONG);
        rig.near.write_all(&PING).unwrap();
        drop(rig.near);
        rig.relay.finish(Duration::from_mins(1));
        drop(rig.relay);
        assert_eq!(read(&mut rig.far), PING);
    }

    #[test]
    fn messages_wait_for_their_receipts_together_and_are_acknowledged_in_their_order() {
        let mut rig = Rig::new();
        rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
        assert!(matches!(rig.arrival(), Arrival::Up));
        let mut first = rig.batch();
        rig.far.write_all(&[publish(2, b"sensor/b\xff"), publish(3, b"other/c")].concat()).unwrap();
        let mut second = rig.batch();
        assert_eq!(second.iter().map(|delivery| delivery.topic.to_vec()).collect::<Vec<_>>(), [b"sensor/b\xff"]);
        second.receipt.take().unwrap().give();
        first.receipt.take().unwrap().give();
        // What is not wanted is acknowledged too.
        assert_eq!(read(&mut rig.far), [0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0, 3]);
    }

    #[test]
    fn a_receipt_that_is_dropped_cuts_the_connection_and_no_later_one_is_passed_on() {
        let mut rig = Rig::new();
        rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
        let first = rig.batch();
        rig.far.write_all(&publish(2, b"sensor/b")).unwrap();
        let mut second = rig.batch();
        second.receipt.take().unwrap().give();
        drop(first);
        ends(&mut rig.far);
        ends(&mut rig.near);
        assert!(matches!(rig.arrival(), Arrival::Down { reason } if reason.contains("could not be kept")));
    }

    #[test]
    fn while_receipts_are_long_in_coming_the_link_is_down() {
        let mut rig = Rig::with(Duration::from_millis(200));
        let mut broker = rig.far.try_clone().unwrap();
        let (acknowledged, heard) = std::sync::mpsc::channel();
        // Answers the questions whether it is there.
        let answers = std::thread::spawn(move || {
            let mut kind = [0; 2];
            while broker.read_exact(&mut kind).is_ok() {
                if kind == PING {
                    broker.write_all(&PONG).unwrap();
                } else {
                    let mut number = [0; 2];
                    broker.read_exact(&mut number).unwrap();
                    acknowledged.send(number[1]).unwrap();
                }
            }
        });
        rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
        let mut first = rig.batch();
        assert!(matches!(rig.arrival(), Arrival::Down { reason } if reason.contains("acknowledged")));
        rig.far.write_all(&publish(2, b"sensor/a")).unwrap();
        let Arrival::Batch(mut second) = rig.arrival() else { panic!("it is not up") };
        first.receipt.take().unwrap().give();
        assert!(matches!(rig.arrival(), Arrival::Up));
        second.receipt.take().unwrap().give();
        assert_eq!((heard.recv(), heard.recv()), (Ok(1), Ok(2)));
        drop(rig);
        answers.join().unwrap();
    }

    #[test]
    fn an_acknowledgement_does_not_come_within_a_packet_of_the_library() {
        let mut rig = Rig::new();
        rig.near.write_all(&PING[..1]).unwrap();
        rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
        rig.batch().receipt.take().unwrap().give();
        assert_eq!(read(&mut rig.far), [0x40, 2, 0, 1]);
        rig.near.write_all(&PING[1..]).unwrap();
        assert_eq!(read(&mut rig.far), PING);
    }

    #[test]
    fn a_message_answers_the_librarys_question_whether_the_broker_is_there() {
        let mut rig = Rig::new();
        rig.near.write_all(&PING).unwrap();
        assert_eq!(read(&mut rig.far), PING);
        rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
        assert_eq!(read(&mut rig.near), PONG);
    }

    #[test]
    fn a_broker_that_is_silent_is_asked_between_packets_and_one_that_does_not_answer_is_gone() {
        let mut rig = Rig::with(Duration::ZERO);
        rig.near.write_all(&PING[..1]).unwrap();
        for _ in 0..2 {
            rig.far.write_all(&PONG).unwrap();
            assert_eq!(read(&mut rig.near), PONG);
            assert_eq!(read(&mut rig.far), PING);
        }
        ends(&mut rig.near);
    }

    #[test]
    fn what_is_no_broker_is_cut_off() {
        let mut rig = Rig::new();
        rig.far.write_all(&PONG).unwrap();
        assert_eq!(read(&mut rig.near), PONG);
        rig.far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        ends(&mut rig.near);
        ends(&mut rig.far);
    }

    #[test]
    fn says_why_the_broker_can_not_be_reached() {
        let Rig { relay, broker, .. } = Rig::new();
        let address = broker.local_addr().unwrap();
        drop(broker);
        ends(&mut TcpStream::connect(relay.address()).unwrap());
        let error = relay.take_error().unwrap();
        assert!(error.starts_with(&format!("{address}: Connection refused")), "{error}");
    }

    #[test]
    fn nobody_else_is_let_in_nor_is_our_connection_harmed() {
        let mut rig = Rig::new();
        let port = rig.relay.address().port();
        let say_ping = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf '\\300\\0' >&3; cat <&3");
        let other = std::process::Command::new("bash").args(["-c", &say_ping]).output().unwrap();
        assert_eq!(other.stdout, b"");
        rig.far.write_all(&PONG).unwrap();
        assert_eq!(read(&mut rig.near), PONG);
        rig.broker.set_nonblocking(true).unwrap();
        assert!(rig.broker.accept().is_err());
    }
}
