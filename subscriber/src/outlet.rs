//! [`Outlet`]: lines for stdout or stderr, written by a thread of its own: whoever does not read them holds nothing up.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Most bytes that wait for the reader: a flip of each of a hundred thousand publishers. Beyond that lines are left out.
const WAITING_BYTES: usize = 64 << 20;
/// So many bytes are written at once, and a line more.
const AT_ONCE_BYTES: usize = 64 << 10;

/// A place for whole lines. Cloning shares it. Its thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Outlet {
    lines: Sender<Line>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    /// All before it is written: whoever waits is told.
    Flush(Sender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    left_out: AtomicU64,
}

impl Outlet {
    /// Starts the thread.
    pub fn start(name: &'static str, to: impl Write + Send + 'static) -> io::Result<Self> {
        // Bounded by its bytes.
        let (lines, waiting) = channel();
        let shared = Arc::new(Shared::default());
        let counted = Arc::clone(&shared);
        let body = move || write_all(name, to, &waiting, &counted);
        std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { lines, shared })
    }

    /// Hands over a line, its line feed included. Never waits.
    pub fn put(&self, line: Vec<u8>) {
        let length = line.len();
        if self.shared.waiting_bytes.fetch_add(length, Ordering::AcqRel) + length > WAITING_BYTES {
            self.shared.waiting_bytes.fetch_sub(length, Ordering::AcqRel);
            self.shared.left_out.fetch_add(1, Ordering::AcqRel);
        } else {
            // In vain only if its thread has panicked.
            let _ = self.lines.send(Line::Text(line));
        }
    }

    /// Waits until all that was handed over is written, for a limited time: perhaps nobody reads.
    pub fn flush(&self, patience: Duration) {
        let (done, written) = channel();
        if self.lines.send(Line::Flush(done)).is_ok() {
            let _ = written.recv_timeout(patience);
        }
    }
}

fn write_all(name: &str, mut to: impl Write, lines: &Receiver<Line>, shared: &Shared) {
    let mut text = Vec::new();
    for first in lines {
        // What waits by now goes in one piece: a million lines were a million calls of the system.
        let mut next = Some(first);
        while let Some(Line::Text(line)) = next {
            text.extend_from_slice(&line);
            next = if text.len() < AT_ONCE_BYTES { lines.try_recv().ok() } else { None };
        }
        if !text.is_empty() {
            // Whoever read may have gone: what comes is taken all the same.
            let _ = to.write_all(&text).and_then(|()| to.flush());
            shared.waiting_bytes.fetch_sub(text.len(), Ordering::AcqRel);
            text.clear();
            let left_out = shared.left_out.swap(0, Ordering::AcqRel);
            if left_out > 0 {
                tracing::warn!("{name}: {left_out} lines were left out, for nobody read it");
            }
        }
        if let Some(Line::Flush(done)) = next {
            // Whoever waited may have lost patience.
            let _ = done.send(());
        }
    }
}

/// For [`tracing_subscriber`], which writes each event in one piece.
impl<'a> MakeWriter<'a> for Outlet {
    type Writer = OutletWriter;
    fn make_writer(&'a self) -> OutletWriter {
        OutletWriter(self.clone())
    }
}

/// Puts what it is given into an outlet.
#[derive(Debug)]
pub struct OutletWriter(Outlet);

impl Write for OutletWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes.to_vec());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::SyncSender;

    use super::*;

    /// Passes on what it is given once somebody takes it.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read_and_what_waits_is_bounded() {
        let (pipe, reader) = std::sync::mpsc::sync_channel(0);
        let outlet = Outlet::start("test", Pipe(pipe)).unwrap();
        let line = vec![b'x'; WAITING_BYTES / 8];
        for _ in 0..20 {
            outlet.put(line.clone());
        }
        assert_eq!(outlet.shared.left_out.load(Ordering::Acquire), 12);
        for _ in 0..8 {
            assert_eq!(reader.recv().unwrap().len(), line.len());
        }
        outlet.flush(Duration::from_mins(1));
        assert_eq!(outlet.shared.waiting_bytes.load(Ordering::Acquire), 0);
        outlet.put(b"again\n".to_vec());
        assert_eq!(reader.recv().unwrap(), b"again\n");
    }

    #[test]
    fn lines_that_wait_are_written_in_one_piece_and_in_their_order() {
        let (pipe, reader) = std::sync::mpsc::sync_channel(0);
        let outlet = Outlet::start("test", Pipe(pipe)).unwrap();
        let lines: Vec<_> = (0..1000).map(|number| format!("{number}\n")).collect();
        for line in &lines {
            outlet.put(line.clone().into_bytes());
        }
        // How many waited already when the first was taken is up to the thread; all others do while that is read.
        let (first, others) = (reader.recv().unwrap(), lines.concat().into_bytes());
        if first.len() < others.len() {
            assert_eq!(reader.recv().unwrap(), others[first.len()..]);
        }
        assert!(others.starts_with(&first));
        outlet.flush(Duration::from_mins(1));
        assert_eq!(outlet.shared.waiting_bytes.load(Ordering::Acquire), 0);
    }
}
