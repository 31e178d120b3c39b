//! [`Table`]: the live table in the terminal.

use std::io::{self, Stdout};
use std::time::Duration;

use crossterm::{cursor, execute, terminal};
use lastbeat_host::Clock;
use lastbeat_watchdog::{State, Status};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table as Rows};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::announce::rounded;
use crate::board::{Board, Glance};
use crate::follower::Lag;
use crate::logging::Tail;

/// Lines of the log under the table.
const LOG_LINES: u16 = 6;
/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(500);
/// Cells of the bar that shows silence against threshold.
const BAR: u16 = 10;

/// The live table. Dropping it gives the terminal back.
#[derive(Debug)]
pub struct Table {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// What is drawn.
struct View {
    lags: Vec<(&'static str, watch::Receiver<Lag>)>,
    tail: Tail,
    colours: bool,
}

impl Table {
    /// Draws twice a second, until it is stopped.
    pub fn start(board: Board, lags: Vec<(&'static str, watch::Receiver<Lag>)>, tail: Tail) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let view = View { lags, tail, colours };
        let task = tokio::spawn(async move {
            let mut screen = match Screen::open() {
                Ok(screen) => screen,
                Err(error) => {
                    tracing::warn!("no live table: {error}");
                    return;
                }
            };
            let mut at = Clock.now().monotonic;
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = tokio::time::sleep_until(Clock.instant(at).into()) => {}
                }
                let now = Clock.now();
                at = now.monotonic.plus(EVERY);
                let glance = board.glance(now);
                if let Err(error) = screen.0.draw(|frame| view.draw(frame, &glance)) {
                    tracing::warn!("no live table: {error}");
                    return;
                }
            }
        });
        Self { stop, task }
    }

    /// Gives the terminal back.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!("the live table: {error}");
        }
    }
}

/// The terminal's other screen; the first one is as it was when this is dropped.
struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    fn open() -> io::Result<Self> {
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Terminal::new(CrosstermBackend::new(io::stdout())).map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell if even this fails.
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
    }
}

impl View {
    fn draw(&self, frame: &mut ratatui::Frame<'_>, glance: &Glance) {
        let [head, body, log] =
            Layout::vertical([Constraint::Length(3), Constraint::Min(3), Constraint::Length(LOG_LINES + 1)])
                .areas(frame.area());
        frame.render_widget(Paragraph::new(self.head(glance)), head);
        frame.render_widget(self.rows(glance, body), body);
        let lines: Vec<Line<'_>> = self.tail.newest(usize::from(LOG_LINES)).into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::TOP).title(" log ")), log);
    }

    fn head<'a>(&self, glance: &'a Glance) -> Vec<Line<'a>> {
        let mut first = vec![Span::styled("lastbeat ", Style::new().add_modifier(Modifier::BOLD))];
        for (state, count) in &glance.states {
            first.push(Span::styled(format!(" {} {count} {state} ", mark(*state)), self.style(*state)));
        }
        let links = glance.links.iter().map(|link| match &link.down {
            None => format!("{} up", link.name),
            Some(reason) => format!("{} DOWN ({reason})", link.name),
        });
        let mut figures = format!("{} messages/s, {} in all", (glance.rate + 50) / 100, glance.totals.messages);
        let totals = glance.totals;
        for (count, what) in [
            (totals.refused, "unreadable"),
            (totals.duplicates, "duplicates"),
            (totals.unknown, "beyond the most publishers"),
            (totals.not_kept, "NOT KEPT"),
        ] {
            if count > 0 {
                figures.push_str(&format!(", {count} {what}"));
            }
        }
        for (name, lag) in &self.lags {
            let lag = lag.borrow();
            match &lag.trouble {
                Some(trouble) => figures.push_str(&format!("; {name}: {}", trouble.error)),
                None => figures.push_str(&format!("; {name} {} behind", bytes(lag.behind_bytes))),
            }
            if lag.set_aside > 0 {
                figures.push_str(&format!(", {} set aside", lag.set_aside));
            }
        }
        vec![Line::from(first), Line::from(links.collect::<Vec<_>>().join("; ")), Line::from(figures)]
    }

    fn rows<'a>(&self, glance: &'a Glance, area: Rect) -> Rows<'a> {
        let room = usize::from(area.height.saturating_sub(1));
        let rows = glance.publishers.iter().take(room).map(|status| {
            let counts = status.counts;
            let last = status.silence.map_or_else(|| "never".to_owned(), ago);
            Row::new(vec![
                Line::styled(format!("{} {}", mark(status.state), status.state), self.style(status.state)),
                Line::from(status.publisher.as_str()),
                Line::from(status.host.as_deref().unwrap_or("")),
                Line::from(status.pid.map(|pid| pid.to_string()).unwrap_or_default()).right_aligned(),
                Line::from(last).right_aligned(),
                Line::from(bar(status)),
                Line::from(counts.messages.to_string()).right_aligned(),
                Line::from(counts.missed.to_string()).right_aligned(),
                Line::from(counts.duplicates.to_string()).right_aligned(),
                Line::from(status.cause.to_string()),
            ])
        });
        let widths = [
            Constraint::Length(11),
            Constraint::Fill(2),
            Constraint::Fill(1),
            Constraint::Length(8),
            Constraint::Length(10),
            Constraint::Length(BAR + 6),
            Constraint::Length(10),
            Constraint::Length(6),
            Constraint::Length(5),
            Constraint::Fill(3),
        ];
        let titles = ["STATE", "PUBLISHER", "HOST", "PID", "HEARD", "SILENCE", "MESSAGES", "MISSED", "TWICE", "CAUSE"];
        let header = Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD));
        Rows::new(rows, widths).header(header)
    }

    fn style(&self, state: State) -> Style {
        if !self.colours {
            return Style::new();
        }
        Style::new().fg(match state {
            State::Alive => Color::Green,
            State::Dead | State::Failed => Color::Red,
            State::Silent | State::Suspended | State::Unknown => Color::Yellow,
            State::Blind => Color::Magenta,
            State::Unseen | State::Finished | State::Paused => Color::Gray,
        })
    }
}

/// A shape for each state, for those who can't tell the colours apart.
fn mark(state: State) -> char {
    match state {
        State::Alive => '●',
        State::Silent => '◐',
        State::Suspended => '‖',
        State::Dead => '✖',
        State::Failed => '▲',
        State::Unknown => '?',
        State::Unseen => '○',
        State::Finished => '■',
        State::Paused => '▷',
        State::Blind => '◌',
    }
}

fn ago(silence: Duration) -> String {
    match silence.as_secs() {
        0..60 => format!("{:.1} s", silence.as_secs_f64()),
        seconds => humantime::format_duration(rounded(Duration::from_secs(seconds))).to_string(),
    }
}

/// Silence against threshold: `███░░░░░░░  31%`.
fn bar(status: &Status) -> String {
    let judged = matches!(status.state, State::Alive | State::Silent | State::Suspended | State::Unknown);
    let Some(silence) = status.silence.filter(|_| judged) else { return String::new() };
    let share = silence.as_secs_f64() / status.threshold.as_secs_f64();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
    let full = (share.clamp(0.0, 1.0) * f64::from(BAR)).round() as u16;
    let cells = |count: u16, cell: &str| cell.repeat(usize::from(count));
    format!("{}{} {:>4.0}%", cells(full, "█"), cells(BAR - full, "░"), (share * 100.0).min(999.0))
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}
