//! [`Writer`]: writes a capture, line by line. It never writes over a file that is there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use lastbeat_transport::{Delivery, LinkIndex};
use lastbeat_wire::{Header, Kind, Now, PublisherId, Topic, decode, decode_ping};

use super::line::{Line, LinkState, Opening, TOPIC_BYTES, VERSION};

/// So many publishers are told apart for the summary.
const PUBLISHERS: usize = 100_000;

/// A capture that is being written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    began: Now,
    line: Vec<u8>,
    publishers: HashSet<PublisherId>,
    /// What was written so far.
    pub summary: Summary,
}

/// What a capture holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages of every kind.
    pub messages: u64,
    /// Those among them that could not be read.
    pub unreadable: u64,
    /// Different publishers, as far as [`PUBLISHERS`] goes.
    pub publishers: usize,
    /// Bytes written.
    pub bytes: u64,
}

impl Writer {
    /// Makes the file and writes the first line.
    ///
    /// # Errors
    /// If there is such a file, or it can't be written.
    pub fn create(path: &Path, began: Now, links: Vec<String>) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| format!("--out {}", path.display()))?;
        let mut writer = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            began,
            line: Vec::new(),
            publishers: HashSet::new(),
            summary: Summary::default(),
        };
        writer.write(&Opening { lastbeat_capture: VERSION, began: began.utc, links })?;
        writer.flush()?;
        Ok(writer)
    }

    /// Writes down that a message came; nothing of what it says but its header.
    pub fn message(&mut self, now: Now, link: LinkIndex, delivery: Delivery<'_>) -> anyhow::Result<()> {
        if let Some(Ok((agent, message))) = decode_ping(delivery.topic, delivery.payload) {
            // As the subscriber takes it: a reading of the agent.
            let topic = Kind::Sensor.topic(&agent);
            return self.arrival(now, link, Delivery { topic: topic.as_bytes(), ..delivery }, Some(&message.header));
        }
        let topic = Topic::parse(delivery.topic);
        let message = topic.as_ref().ok().and_then(|topic| decode(topic.kind, delivery.payload).ok());
        self.arrival(now, link, delivery, message.as_ref().map(|message| &message.header))
    }

    /// A message with its header, if it could be read.
    fn arrival(
        &mut self,
        now: Now,
        link: LinkIndex,
        delivery: Delivery<'_>,
        header: Option<&Header<'_>>,
    ) -> anyhow::Result<()> {
        if let Ok(topic) = Topic::parse(delivery.topic) {
            self.count(topic.publisher);
        }
        let is_unreadable = header.is_none();
        let nothing = Header::default();
        let header = header.unwrap_or(&nothing);
        self.summary.messages += 1;
        self.summary.unreadable += u64::from(is_unreadable);
        let arrival = Line {
            topic: Some(String::from_utf8_lossy(&delivery.topic[..delivery.topic.len().min(TOPIC_BYTES)])),
            size: delivery.payload.len() as u64,
            retained: delivery.retained,
            resent: delivery.resent,
            unreadable: is_unreadable,
            process: header.process,
            seq: header.sequence,
            sent: header.sent_at,
            up: header.uptime,
            ..self.at(now, Some(link))
        };
        self.write(&arrival)
    }

    /// Writes down that a link works from now on.
    pub fn link_up(&mut self, now: Now, link: LinkIndex) -> anyhow::Result<()> {
        let change = Line { state: Some(LinkState::Up), ..self.at(now, Some(link)) };
        self.write(&change)
    }

    /// Writes down that a link is lost.
    pub fn link_down(&mut self, now: Now, link: LinkIndex, reason: &str) -> anyhow::Result<()> {
        let reason = reason.chars().take(TOPIC_BYTES).collect::<String>().into();
        let change = Line { state: Some(LinkState::Down), reason: Some(reason), ..self.at(now, Some(link)) };
        self.write(&change)
    }

    /// Hands what was written to the kernel, so that only the death of the machine loses it.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| self.path.display().to_string())
    }

    /// Ends the capture, and has it on the disk.
    pub fn end(mut self, now: Now) -> anyhow::Result<Summary> {
        let line = Line { end: true, ..self.at(now, None) };
        self.write(&line)?;
        self.flush()?;
        self.file.get_ref().sync_all().with_context(|| self.path.display().to_string())?;
        Ok(self.summary)
    }

    fn at(&self, now: Now, link: Option<LinkIndex>) -> Line<'static> {
        let at = now.monotonic.0.saturating_sub(self.began.monotonic.0);
        Line { at, utc: now.utc, link: link.map(|link| link.0), ..Line::default() }
    }

    fn count(&mut self, publisher: &str) {
        if self.publishers.len() < PUBLISHERS && !self.publishers.contains(publisher) {
            self.publishers.extend(publisher.parse::<PublisherId>());
            self.summary.publishers = self.publishers.len();
        }
    }

    fn write(&mut self, line: &impl serde::Serialize) -> anyhow::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line).context("invariant: a line has a JSON form")?;
        self.line.push(b'\n');
        self.summary.bytes += self.line.len() as u64;
        self.file.write_all(&self.line).with_context(|| self.path.display().to_string())
    }
}
