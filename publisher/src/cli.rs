//! [`Cli`]: what may stand on the command line. Its help is the user's documentation.

#![expect(clippy::doc_markdown, reason = "these comments are read in a terminal")]

mod endpoint;
mod ping;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lastbeat_transport::Endpoint;
use lastbeat_wire::{Encoding, PublisherId};

use crate::pace::Speed;
use crate::size::Size;
use crate::source::csv::{ColumnType, TimeFormat, parse_zone};
use crate::spool::Place;
use endpoint::Endpoints;
pub use ping::{FormatArg, PING_EXAMPLES, PingArgs};

const EXAMPLES: &str = "\
Examples:
  A row a second, for ever, to the broker's publisher side:
    lastbeat-publisher csv light-sensor.csv --id light-1 --to zmq+tcp://127.0.0.1:5555
  A file at sixty times its own pace, its times being Berlin's, over MQTT:
    lastbeat-publisher csv boiler.csv --id boiler --to mqtt://127.0.0.1 --speed 60 --zone Europe/Berlin
  A file once, as fast as it can, under the times it bears:
    lastbeat-publisher csv boiler.csv --id boiler --to mqtt://127.0.0.1 --every 0 --once --time file
  What hosts, ports and pages answer, as an agent of a swarm (lastbeat-publisher ping --help says more):
    lastbeat-publisher ping --to mqtt://127.0.0.1 a.example b.example:443 https://c.example/
  This machine's own sensors, live; and to a file, for a quarter of an hour:
    lastbeat-publisher host --id web-1 --to zmq+tcp://127.0.0.1:5555
    lastbeat-publisher record --out web-1.csv --for 15m

Signals:
  SIGINT and SIGTERM say goodbye and end; a second one ends at once (exit code 130).

Exit codes:
  0  done, or ended by a signal
  1  it failed: a file that can't be read, a transport that refuses, messages not got through at the end
  2  wrong options, options that don't fit the file, or a bad row with --strict

Environment:
  LASTBEAT_ID, LASTBEAT_TO, LASTBEAT_SPOOL  for --id, --to, --spool
  LASTBEAT_KEY  what would stand in the file key= of zmq+…, where the URL has server= and no key=
  LASTBEAT_LOG  what is logged to stderr: error, warn, info (default), debug
  NO_COLOR      no colours in the log";

/// Publishes readings and beats from CSV files, from this machine's sensors, and what an agent of a swarm measures.
#[derive(Debug, Parser)]
#[command(name = "lastbeat-publisher", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replays a CSV file
    #[command(after_help = EXAMPLES)]
    Csv(Box<CsvArgs>),
    /// Publishes this machine's own sensors
    #[command(after_help = EXAMPLES)]
    Host(Box<HostArgs>),
    /// Measures hosts, ports and pages, as an agent of a swarm
    #[command(after_help = PING_EXAMPLES)]
    Ping(Box<PingArgs>),
    /// Writes this machine's own sensors to a CSV file
    #[command(after_help = EXAMPLES)]
    Record(RecordArgs),
}

/// How to publish, whatever the source.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// The name to publish under; it becomes part of the topics: sensor/light-1
    #[arg(long, value_name = "NAME", env = "LASTBEAT_ID")]
    pub id: PublisherId,
    /// Where to: zmq+tcp://host:port, zmq+ipc:///path (each with ?bind to be connected to), mqtt://user@host:port or
    /// mqtts://…; MQTT's password is better put into LASTBEAT_MQTT_PASSWORD than into the URL. With keys (see
    /// lastbeat-broker keygen): zmq+…?key=FILE&server=FILE.pub; with certificates: mqtts://…?ca=FILE&cert=FILE&key=FILE
    #[arg(long, value_name = "URL", env = "LASTBEAT_TO", hide_env_values = true, value_parser = Endpoints::one())]
    pub to: Endpoint,
    /// How, wherever to.
    #[command(flatten)]
    pub send: SendArgs,
}

/// How to publish, wherever to.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// How messages are written
    #[arg(long, value_enum, default_value_t)]
    pub encoding: EncodingArg,
    /// The silence after which the watchdog raises an alarm; only the default of --beat-every is taken from it
    #[arg(long, value_name = "SPAN", default_value = "50s", value_parser = positive_span)]
    pub threshold: Duration,
    /// How often to say "I am alive", whatever the readings' pace [default: a fifth of --threshold]
    #[arg(long, value_name = "SPAN", value_parser = positive_span)]
    pub beat_every: Option<Duration>,
    /// Where messages are kept until they are through: a folder that publishers may share; off keeps them in memory, up
    /// to 64 MiB [default: $STATE_DIRECTORY/spool, else $XDG_STATE_HOME/lastbeat/spool, else
    /// ~/.local/state/lastbeat/spool]
    #[arg(long, value_name = "DIR|off", env = "LASTBEAT_SPOOL")]
    pub spool: Option<Place>,
    /// How much is held while nobody takes it, in bytes or with a unit as in 64MiB; the oldest is dropped first
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub buffer: Size,
    /// How long what was sent is kept, for a subscriber that missed it and asks for it again; at most 64 MiB of it
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = humantime::parse_duration)]
    pub keep: Duration,
    /// How long to wait for what is held and for the goodbye when a signal ends it; the end of a file waits for as long as
    /// it takes
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = humantime::parse_duration)]
    pub drain: Duration,
}

/// How to replay a file.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct CsvArgs {
    /// The file; it is read anew when it was replaced, and waited for when it is gone for a while
    pub file: PathBuf,
    /// How to publish.
    #[command(flatten)]
    pub link: LinkArgs,

    /// A row every so often; 0 is as fast as they are taken
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = humantime::parse_duration, help_heading = "Pace")]
    pub every: Duration,
    /// The file's own pace, by its time column, so many times faster
    #[arg(long, value_name = "FACTOR", conflicts_with = "every", help_heading = "Pace")]
    pub speed: Option<Speed>,
    /// Stop at the end of the file rather than start over
    #[arg(long, help_heading = "Pace")]
    pub once: bool,

    /// What stands between cells: a character, or tab [default: found]
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = "Format of the file")]
    pub delimiter: Option<u8>,
    /// The first row is names, whatever it looks like
    #[arg(long, conflicts_with = "no_header", help_heading = "Format of the file")]
    pub header: bool,
    /// The first row is a row like the others, whatever it looks like
    #[arg(long, help_heading = "Format of the file")]
    pub no_header: bool,
    /// Names for all columns, the time's included [default: the header; else value, or column_2 by place]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Format of the file")]
    pub columns: Option<Vec<String>>,
    /// The type of a column: integer, float, boolean, string; may be repeated [default: found in the first 1000 rows]
    #[arg(long = "type", value_name = "NAME=TYPE", value_parser = column_type, help_heading = "Format of the file")]
    pub types: Vec<(String, ColumnType)>,
    /// End at the first bad row (exit code 2) rather than report it and leave it out
    #[arg(long, help_heading = "Format of the file")]
    pub strict: bool,

    /// The column that holds the rows' times, by name or number; none if no column does [default: found]
    #[arg(long, value_name = "COLUMN", help_heading = "Times in the file")]
    pub time_column: Option<String>,
    /// How they are written: iso, mdy (2/10/2018 9:50), dmy, unix, unix-ms, unix-us, unix-ns, or a pattern as in
    /// '%d.%m.%Y %H:%M' [default: found]
    #[arg(long, value_name = "FORMAT", help_heading = "Times in the file")]
    pub time_format: Option<TimeFormat>,
    /// The zone of times that don't name theirs, as in Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_zone, help_heading = "Times in the file")]
    pub zone: chrono_tz::Tz,
    /// Which time points have in the databases: that of sending, or the file's
    #[arg(long, value_enum, default_value_t, help_heading = "Times in the file")]
    pub time: TimeArg,
}

/// How to publish this machine's sensors.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// How to publish.
    #[command(flatten)]
    pub link: LinkArgs,
    /// A reading every so often, at least 200ms
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = positive_span)]
    pub every: Duration,
}

/// How to record.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The file to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A row every so often, at least 200ms
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = positive_span)]
    pub every: Duration,
    /// How long [default: until SIGINT]
    #[arg(long = "for", value_name = "SPAN", value_parser = positive_span)]
    pub span: Option<Duration>,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum EncodingArg {
    /// Readable
    #[default]
    Json,
    /// MessagePack: the same in fewer bytes
    Msgpack,
}

/// Which time points have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TimeArg {
    /// That of sending; the row's own travels along as row time
    #[default]
    Sent,
    /// The row's own
    File,
}

impl From<EncodingArg> for Encoding {
    fn from(encoding: EncodingArg) -> Self {
        match encoding {
            EncodingArg::Json => Self::Json,
            EncodingArg::Msgpack => Self::MessagePack,
        }
    }
}

fn positive_span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if span.is_zero() => Err("must be longer than 0".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [b'"' | b'\n' | b'\r'] => Err("a quote or a line's end can't part cells".to_owned()),
        [byte] => Ok(*byte),
        _ => Err("is one ASCII character, or tab".to_owned()),
    }
}

fn column_type(text: &str) -> Result<(String, ColumnType), String> {
    // The last one: a column's name may hold an equals sign, a type's doesn't.
    let (name, kind) = text.rsplit_once('=').ok_or("is NAME=TYPE, as in lux=float")?;
    Ok((name.to_owned(), kind.parse()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::CommandFactory;

    use super::*;

    pub fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    /// Parses each command that a help shows; how many there are.
    fn parse_examples(help: &str) -> usize {
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("lastbeat-publisher "));
        lines.inspect(|line| drop(parse(line).unwrap())).count()
    }

    #[test]
    fn every_example_in_the_help_parses() {
        Cli::command().debug_assert();
        assert_eq!(parse_examples(EXAMPLES), 6);
        assert_eq!(parse_examples(PING_EXAMPLES), 4);
    }

    #[test]
    fn a_password_in_a_url_that_is_none_is_not_shown() {
        for line in ["csv f --id a --to mqtt://kim:secret@a:99999", "ping a --to mqtt://kim:secret@a:99999"] {
            let error = parse(&format!("lastbeat-publisher {line}")).unwrap_err().to_string();
            assert!(error.contains("--to") && error.contains("kim:***@a:99999: is no URL: invalid port"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn wrong_values_are_named() {
        let base = "lastbeat-publisher csv f --id a --to memory://x";
        for (options, wanted) in [
            ("--beat-every 0s", "longer than 0"),
            ("--speed 0", "no number above 0"),
            ("--zone Mars", "Mars"),
            ("--type a", "lux=float"),
            ("--type a=complex", "complex"),
            ("--delimiter ab", "one ASCII character"),
            ("--time-format soon", "soon"),
            ("--every 1s --speed 2", "cannot be used with"),
            ("--buffer 10XB", "10XB"),
        ] {
            let error = parse(&format!("{base} {options}")).unwrap_err().to_string();
            assert!(error.contains(wanted), "{options}: {error}");
        }
        assert!(
            parse("lastbeat-publisher csv f --id a/ --to memory://x").unwrap_err().to_string().contains("empty level")
        );
    }
}
