//! [`Gate`]: answers libzmq's question who may come in (ZAP, RFC 27), on a thread of its own, one for a context.
//!
//! ```text
//!  libzmq, a handshake ── inproc://zeromq.zap.01 ── REP ── decide ── AllowList
//! ```
//!
//! Who comes in gets its name as `User-Id`, which libzmq then attaches to each of its messages.

use std::{
    thread::{self, JoinHandle},
    time::Duration,
};

use lastbeat_host::Clock;
use lastbeat_wire::Monotonic;

use super::{AllowList, Allowed, PublicKey, Purpose};

const ADDRESS: &str = "inproc://zeromq.zap.01";
const CONTROL: &str = "inproc://zap-control";
const VERSION: &[u8] = b"1.0";
/// How often refused keys are warned of, at most; whoever knocks must not fill the log.
const WARN_EVERY: Duration = Duration::from_secs(10);

impl Purpose {
    /// What a socket calls those who come, so that the question says what they come for.
    pub(super) fn domain(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// The thread that answers. Dropping it ends the thread, as it must before the context ends; nobody new is let in then.
pub struct Gate {
    stop: zmq::Socket,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    /// To be opened before any socket of the context that asks binds.
    pub fn open(context: &zmq::Context, allowed: Allowed) -> zmq::Result<Self> {
        let (questions, control, stop) =
            (context.socket(zmq::REP)?, context.socket(zmq::PAIR)?, context.socket(zmq::PAIR)?);
        for socket in [&questions, &control, &stop] {
            socket.set_linger(0)?;
        }
        questions.bind(ADDRESS)?;
        control.bind(CONTROL)?;
        stop.connect(CONTROL)?;
        let keeper = Keeper { questions, control, allowed, warned: None, refused: 0 };
        let thread = thread::Builder::new().name("zap".to_owned()).spawn(move || keeper.run());
        let thread = thread.map_err(|_| zmq::Error::ENOMEM)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // The thread may have ended by itself.
        let _ = self.stop.send("", zmq::DONTWAIT);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that lets keys in had panicked");
        }
    }
}

struct Keeper {
    questions: zmq::Socket,
    control: zmq::Socket,
    allowed: Allowed,
    warned: Option<Monotonic>,
    /// Since the last warning.
    refused: u64,
}

impl Keeper {
    fn run(mut self) {
        loop {
            let mut items = [&self.questions, &self.control].map(|socket| socket.as_poll_item(zmq::POLLIN));
            match zmq::poll(&mut items, -1) {
                Ok(_) | Err(zmq::Error::EINTR) => {}
                Err(error) => return tracing::error!("can't wait for keys to let in: {error}"),
            }
            if items[1].is_readable() {
                return;
            }
            if items[0].is_readable()
                && let Err(error) = self.answer()
            {
                tracing::error!("can't answer whether a key may come in: {error}");
            }
        }
    }

    fn answer(&mut self) -> zmq::Result<()> {
        let question = self.questions.recv_multipart(0)?;
        let verdict = decide(&self.allowed.list(), &question);
        if let Err(refusal) = &verdict {
            self.warn(refusal);
        }
        self.questions.send_multipart(reply(&question, verdict.as_deref()), 0)
    }

    fn warn(&mut self, refusal: &str) {
        self.refused += 1;
        let now = Clock.now().monotonic;
        if self.warned.is_none_or(|warned| now.since(warned) >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!("refused: {refusal} ({} since the last such line)", self.refused);
            self.refused = 0;
        }
    }
}

/// The name of who may come in, or why not. A question has seven frames: version, number, domain, address, routing id,
/// mechanism, the public key.
fn decide(list: &AllowList, question: &[Vec<u8>]) -> Result<String, String> {
    let [version, _number, domain, address, _routing_id, mechanism, key] = question else {
        return Err(format!("a question of {} frames", question.len()));
    };
    let address = String::from_utf8_lossy(address);
    if version != VERSION || mechanism != b"CURVE" {
        return Err(format!("{address}: without a key"));
    }
    let purpose = [Purpose::Publish, Purpose::Subscribe];
    let purpose = purpose.into_iter().find(|purpose| purpose.domain().as_bytes() == domain);
    let purpose = purpose.ok_or_else(|| format!("{address}: of no domain of ours"))?;
    let key = PublicKey::from_bytes(key).ok_or_else(|| format!("{address}: a key of {} bytes", key.len()))?;
    list.admit(&key, purpose).map(str::to_owned).map_err(|refusal| format!("{address}: the key {key} {refusal}"))
}

/// Version, number, status, text, name, metadata. Only 400 is told to whoever knocks, who then tries again later; 300
/// would leave it waiting.
fn reply(question: &[Vec<u8>], verdict: Result<&str, &String>) -> [Vec<u8>; 6] {
    let number = question.get(1).cloned().unwrap_or_default();
    let (status, text, name) = match verdict {
        Ok(name) => ("200", "", name),
        Err(_) => ("400", "refused", ""),
    };
    [VERSION.to_vec(), number, status.into(), text.into(), name.into(), Vec::new()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zeromq::KeyPair;

    fn question(domain: &str, mechanism: &str, key: &[u8]) -> Vec<Vec<u8>> {
        let frames = [VERSION, b"7", domain.as_bytes(), b"192.0.2.1", b"", mechanism.as_bytes(), key];
        frames.into_iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn decides_by_the_key_and_by_what_it_comes_for() {
        let (known, stranger) = (KeyPair::generate().unwrap().public(), KeyPair::generate().unwrap().public());
        let list = AllowList::parse(&format!("[kim]\nkey = '{known}'\npublish = ['a']")).unwrap();
        assert_eq!(decide(&list, &question("publish", "CURVE", known.bytes())), Ok("kim".to_owned()));
        for (domain, mechanism, key, said) in [
            ("subscribe", "CURVE", known.bytes(), "may not subscribe"),
            ("publish", "CURVE", stranger.bytes(), "is not on the list"),
            ("", "CURVE", known.bytes(), "no domain"),
            ("publish", "CURVE", &known.bytes()[1..], "31 bytes"),
            ("publish", "NULL", known.bytes(), "without a key"),
        ] {
            let refusal = decide(&list, &question(domain, mechanism, key)).unwrap_err();
            assert!(refusal.starts_with("192.0.2.1: ") && refusal.contains(said), "{refusal}");
        }
        assert!(decide(&list, &[]).is_err());
    }

    #[test]
    fn a_reply_bears_the_questions_number_and_a_name_only_for_who_may_come_in() {
        let question = question("publish", "CURVE", b"");
        let text = |frames: [Vec<u8>; 6]| frames.map(|frame| String::from_utf8(frame).unwrap());
        assert_eq!(text(reply(&question, Ok("kim"))), ["1.0", "7", "200", "", "kim", ""]);
        assert_eq!(text(reply(&question, Err(&"no".to_owned()))), ["1.0", "7", "400", "refused", "", ""]);
        assert_eq!(text(reply(&[], Err(&"no".to_owned())))[1], "");
    }
}
