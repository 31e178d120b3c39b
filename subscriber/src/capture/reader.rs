//! [`Reader`]: reads a capture, event by event, in bounded memory; what is wrong with it is told with file, line and value.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use lastbeat_wire::{Header, Monotonic, Now, ProcessIdentity, UtcNanos};

use super::line::{LINE_BYTES, Line, LinkState, Opening, VERSION};

/// So much is shown of what is wrong with a line.
const ERROR_CHARACTERS: usize = 300;

/// A capture that is being read. Its first event is at or after the monotonic time 0, no event is before another one.
#[derive(Debug)]
pub struct Reader<R = BufReader<File>> {
    path: PathBuf,
    lines: R,
    opening: Opening,
    /// The line that was read last, counted from 1.
    number: u64,
    last: Monotonic,
    line: Vec<u8>,
    torn: Option<u64>,
}

/// One thing that was captured.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When; the monotonic time counts from the capture's beginning.
    pub now: Now,
    /// What.
    pub what: What,
}

/// What was captured.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A message came.
    Message(Captured),
    /// A link, told by its place in [`Reader::links`], works from now on.
    LinkUp(u16),
    /// A link is lost.
    LinkDown {
        /// Which, by its place.
        link: u16,
        /// What was seen, for people.
        reason: String,
    },
    /// The capture was ended in order. One that was killed has no such event.
    End,
}

/// A message without what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Captured {
    /// By which link it came.
    pub link: u16,
    /// Its topic; where it is not UTF-8 or very long, not all of it as it was.
    pub topic: String,
    /// Bytes of its payload.
    pub size: u64,
    /// Whether a broker had kept it: history, never a sign of life.
    pub retained: bool,
    /// Whether it was sent again because it had been missed: no sign of life now.
    pub resent: bool,
    /// Whether topic and payload could be read.
    pub readable: bool,
    /// Who sent it, its number, and when it was sent by the publisher's two clocks, where it told.
    pub process: Option<ProcessIdentity>,
    /// Its number.
    pub sequence: Option<u64>,
    /// The publisher's wall clock.
    pub sent_at: Option<UtcNanos>,
    /// The publisher's monotonic clock, in nanoseconds.
    pub uptime: Option<u64>,
}

/// Why a capture can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {problem}", file.display(), line.map(|line| format!(" line {line}")).unwrap_or_default())]
pub struct CaptureError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; `None` where it is the file itself.
    pub line: Option<u64>,
    /// What is wrong, with the value.
    pub problem: Problem,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing is in it.
    #[error("is empty, the first line of a capture is {{\"lastbeat_capture\":{VERSION},…}}")]
    Empty,
    /// Another form than ours.
    #[error("is a capture of version {0}, only {VERSION} is known")]
    Version(u32),
    /// No line of a capture.
    #[error("{shown:?}: {}", for_people(source))]
    Json {
        /// The line's beginning.
        shown: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Longer than any line there is.
    #[error("{0:?}…: has more than {LINE_BYTES} bytes")]
    Long(String),
    /// Time went backwards.
    #[error("at is {at}, the line before has {before}")]
    Backwards {
        /// What it says.
        at: u64,
        /// What the line before said.
        before: u64,
    },
    /// A link that the first line does not name.
    #[error("link is {link}, the first line has {links} links, counted from 0")]
    Link {
        /// What it says.
        link: u16,
        /// How many there are.
        links: usize,
    },
    /// Neither a message nor a change of a link nor the end.
    #[error("{0:?}: has neither link and topic, nor link and state, nor end")]
    Nothing(String),
}

impl Reader {
    /// Opens a capture and reads its first line.
    ///
    /// # Errors
    /// If there is none, or it is none.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let fail = |source: io::Error| CaptureError { file: path.to_owned(), line: None, problem: source.into() };
        Self::new(path, BufReader::new(File::open(path).map_err(fail)?))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a capture from anywhere; `path` is what it is called in errors.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(path: &Path, lines: R) -> Result<Self, CaptureError> {
        let opening = Opening { lastbeat_capture: VERSION, began: UtcNanos(0), links: Vec::new() };
        let (path, line, last) = (path.to_owned(), Vec::new(), Monotonic(0));
        let mut reader = Self { path, lines, opening, number: 0, last, line, torn: None };
        if !reader.next_line()? {
            return Err(reader.fail(Problem::Empty));
        }
        let opening: Opening = serde_json::from_slice(&reader.line).map_err(|source| reader.bad(source))?;
        if opening.lastbeat_capture != VERSION {
            return Err(reader.fail(Problem::Version(opening.lastbeat_capture)));
        }
        reader.opening = opening;
        Ok(reader)
    }

    /// When the capture began, by the wall clock.
    pub fn began(&self) -> UtcNanos {
        self.opening.began
    }

    /// The names of its links.
    pub fn links(&self) -> &[String] {
        &self.opening.links
    }

    /// The number of a last line that was cut off, by a crash or a full disk, and left out; known once all is read.
    pub fn torn(&self) -> Option<u64> {
        self.torn
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// What is wrong with the next line.
    pub fn next_event(&mut self) -> Result<Option<Event>, CaptureError> {
        if self.torn.is_some() || !self.next_line()? {
            return Ok(None);
        }
        let parsed = serde_json::from_slice::<Line<'_>>(&self.line);
        let line = match parsed {
            Ok(line) => line,
            // A line is whole once its last brace is there; one without an end was cut off.
            Err(_) if self.line.last() != Some(&b'\n') => {
                self.torn = Some(self.number);
                return Ok(None);
            }
            Err(source) => return Err(self.bad(source)),
        };
        let at = Monotonic(line.at);
        let event = self.event(line).map_err(|problem| self.fail(problem))?;
        self.last = at;
        Ok(Some(event))
    }

    fn event(&self, told: Line<'_>) -> Result<Event, Problem> {
        if told.at < self.last.0 {
            return Err(Problem::Backwards { at: told.at, before: self.last.0 });
        }
        let links = self.opening.links.len();
        if let Some(link) = told.link.filter(|link| usize::from(*link) >= links) {
            return Err(Problem::Link { link, links });
        }
        let now = Now { monotonic: Monotonic(told.at), utc: told.utc };
        let what = match (told.link, told.topic, told.state) {
            (Some(link), Some(topic), None) => What::Message(Captured {
                link,
                topic: topic.into_owned(),
                size: told.size,
                retained: told.retained,
                resent: told.resent,
                readable: !told.unreadable,
                process: told.process,
                sequence: told.seq,
                sent_at: told.sent,
                uptime: told.up,
            }),
            (Some(link), None, Some(LinkState::Up)) => What::LinkUp(link),
            (Some(link), None, Some(LinkState::Down)) => {
                What::LinkDown { link, reason: told.reason.unwrap_or_default().into_owned() }
            }
            (None, None, None) if told.end => What::End,
            _ => return Err(Problem::Nothing(shown(&self.line))),
        };
        Ok(Event { now, what })
    }

    /// Reads a line with its end; whether there was one.
    fn next_line(&mut self) -> Result<bool, CaptureError> {
        self.line.clear();
        let most = LINE_BYTES as u64 + 1;
        let read = self.lines.by_ref().take(most).read_until(b'\n', &mut self.line);
        self.number += 1;
        match read {
            Ok(0) => Ok(false),
            Ok(bytes) if bytes > LINE_BYTES => Err(self.fail(Problem::Long(shown(&self.line)))),
            Ok(_) => Ok(true),
            Err(error) => Err(self.fail(error.into())),
        }
    }

    fn bad(&self, source: serde_json::Error) -> CaptureError {
        self.fail(Problem::Json { shown: shown(&self.line), source })
    }

    fn fail(&self, problem: Problem) -> CaptureError {
        CaptureError { file: self.path.clone(), line: Some(self.number), problem }
    }
}

impl Captured {
    /// Its header, as far as a capture has it.
    pub fn header(&self) -> Header<'static> {
        Header {
            process: self.process,
            sequence: self.sequence,
            sent_at: self.sent_at,
            uptime: self.uptime,
            host: None,
        }
    }
}

/// What is wrong, which may quote the line: no more than its beginning, and nothing that acts on a terminal.
fn for_people(source: &serde_json::Error) -> String {
    let words = source.to_string();
    let mut shown: String = words.chars().take(ERROR_CHARACTERS).collect();
    if shown.len() < words.len() {
        shown.push('…');
    }
    let escaped =
        |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() };
    shown.chars().map(escaped).collect()
}

/// The beginning of a line, for people.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(120)]).trim_end().to_owned()
}
