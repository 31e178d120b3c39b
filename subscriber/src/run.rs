//! Puts the service together, starts all that runs beside the loop, and takes it down in order.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_host::{Clock, Own};
use lastbeat_log::{Log, LogHandle, LogOptions, Position, Progress};
use lastbeat_swarm::Swarm;
use lastbeat_transport::{Incoming, LinkIndex, SubscribeOptions, Subscription, subscribe};
use lastbeat_watchdog::{HostView, LinkNumber, WatchRules, Watchdog};
use lastbeat_wire::Monotonic;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::announce::Announcer;
use crate::board::{Board, LinkView};
use crate::cli::WatchArgs;
use crate::config::Settings;
use crate::follower::{Following, Lag};
use crate::followers::Followers;
use crate::history::History;
use crate::holding::{self, Holding};
use crate::http::{self, Joints, Listener};
use crate::intake::Intake;
use crate::logging::{self, Tail};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::service::{Service, Wiring};
use crate::standby;
use crate::systemd::Systemd;
use crate::table::Table;

/// Batches that wait for the loop. 64 of at most 512 messages are some milliseconds of work; a full channel makes the
/// transports wait, which is the backpressure.
const INCOMING: usize = 64;
/// Most bytes that wait for the disk before messages are turned away.
const PENDING_BYTES: u64 = 64 << 20;
/// How long the followers may take at the end to catch up with what was taken in. What they don't manage they do after
/// the next start.
const DRAIN: Duration = Duration::from_secs(5);
/// How long whoever reads stdout or stderr may take at the end.
const FLUSH: Duration = Duration::from_secs(1);

/// Watches until it is told to stop.
pub fn run(settings: Settings, args: &WatchArgs) -> anyhow::Result<()> {
    let table = io::stdout().is_terminal() && !args.json && !args.plain;
    let tail = table.then(Tail::default);
    // Where stderr goes elsewhere the log goes with it.
    let stderr = logging::begin(tail.clone().filter(|_| io::stderr().is_terminal()));
    let stdout = Outlet::start("stdout", io::stdout()).context("start a thread")?;
    let announcer = match (args.json, table) {
        (true, _) => Announcer::Json(stdout.clone()),
        (false, true) => Announcer::Quiet,
        (false, false) => Announcer::Text(stdout.clone()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .context("start a runtime")?;
    let watched = runtime.block_on(watch_until_stopped(settings, announcer, tail));
    flush([Some(stdout), stderr]);
    watched
}

/// Has written what was told, if somebody reads it.
pub fn flush(outlets: impl IntoIterator<Item = Option<Outlet>>) {
    outlets.into_iter().flatten().for_each(|outlet| outlet.flush(FLUSH));
}

async fn watch_until_stopped(settings: Settings, announcer: Announcer, tail: Option<Tail>) -> anyhow::Result<()> {
    // What is kept is for whoever runs this, and for nobody else, unless they say so with chmod.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let listener = settings.http.clone().map(Listener::open).transpose()?.flatten();
    let log_dir = settings.log_dir();
    let memory = Memory::in_dir(&log_dir);
    let kept = memory.load()?;
    let wanted = standby::Wanted { influx: settings.influx.is_some(), index: settings.index.is_some() };
    let standings = match settings.standby_for.clone() {
        Some(config) => standby::start(config, &log_dir, wanted)?,
        None => standby::Standings::alone(),
    };
    let followers = Followers::open(&settings, &log_dir, &standings)?;
    let reaches = kept.as_ref().map_or(Position::START, |kept| kept.last().position());
    let not_before = followers.furthest().max(reaches);
    let log = open_log(&log_dir, &settings, not_before)?;
    let log_handle = log.handle().clone();

    let own = Own::read().context("find out about this process")?;
    let now = Clock.now();
    let links = links(&settings, listener.is_some());
    let rules = rules(&settings, &own, &links);
    let new = || (Watchdog::new(rules.clone(), now), Swarm::new(settings.swarm.clone()));
    let (mut watchdog, swarm, watched_until) = memory.bring_back(new, now, kept, &log_handle)?;
    watchdog.begin(now, watched_until);
    if let Some(own) = own_link(&links) {
        watchdog.link_up(now, own);
    }

    let followers_stop = CancellationToken::new();
    let following = followers.start(&log_handle, &followers_stop)?;

    let report_every = settings.threshold / 5;
    let (sender, incoming) = mpsc::channel(INCOMING);
    let (commands, asked) = mpsc::channel(http::COMMANDS);
    let lags: Vec<_> = following.iter().map(|one| (one.name, one.lag.clone())).collect();
    let systemd = Systemd::from_env(now.monotonic);
    let looked_at = tail.is_some() || listener.is_some() || systemd.is_there();
    let metrics = Metrics::new(now.utc);
    let start = || Board::start(now.monotonic, watchdog.len(), lags.clone(), metrics.clone());
    let board = looked_at.then(start).transpose()?;
    let (board, handover) = board.unzip();
    let status = board.clone().and_then(|board| systemd.tell_status(board));
    let subscriptions = open_links(&settings, &own, &sender)?;
    let askers: Vec<_> = subscriptions.iter().map(Subscription::asker).collect();
    let askable: Vec<_> = askers.iter().map(Option::is_some).collect();
    let service = Service::new(
        Wiring {
            holding: Holding::new(&log, PENDING_BYTES, holding::AT_MOST),
            intake: Intake::new(watchdog, log, PENDING_BYTES, askable).judging(swarm),
            incoming,
            commands: asked,
            links,
            askers,
            memory: memory.clone(),
            sync: settings.sync,
            report_every,
            announcer,
            board: handover,
            systemd,
        },
        now,
    );
    let link = LinkIndex(u16::try_from(settings.from.len()).context("links")?);
    let history = History::new(&settings.store, report_every);
    let joints = |board| Joints { board, metrics, commands, incoming: sender.clone(), link, history, standings };
    let server = listener.zip(board.clone()).map(|(listener, board)| listener.serve(joints(board)));
    let server = server.transpose()?;
    drop(sender);
    let progress = log_handle.progress();
    let freeing =
        tokio::spawn(free_disk(log_handle, memory.clone(), lags.iter().map(|(_, lag)| lag.clone()).collect()));
    let table = tail.zip(board).map(|(tail, board)| Table::start(board, lags, tail));

    let intake = service.run(stop).await;

    freeing.abort();
    if let Some(status) = status {
        status.abort();
    }
    if let Some(server) = server {
        server.stop().await;
    }
    // Their threads may be waiting for room in the channel that nobody empties any more; dropping them ends that.
    tokio::task::spawn_blocking(move || drop(subscriptions)).await.context("close the links")?;
    let kept = close_log(intake, memory).await;
    let deadline = Clock.now().monotonic.plus(DRAIN);
    for one in following {
        end_follower(one, deadline, &followers_stop, &progress).await;
    }
    if let Some(table) = table {
        table.stop().await;
    }
    kept
}

/// The links as they stand at first. That of HTTP comes last, and is up as long as this program runs.
fn links(settings: &Settings, http: bool) -> Vec<LinkView> {
    let down = settings.from.iter().map(|endpoint| LinkView::down(endpoint.to_string()));
    down.chain(http.then(|| LinkView::up(http::LINK.to_owned()))).collect()
}

/// Which of them is up from the start.
fn own_link(links: &[LinkView]) -> Option<LinkNumber> {
    (0..).map(LinkNumber).zip(links).find(|(_, link)| link.down.is_none()).map(|(number, _)| number)
}

fn rules(settings: &Settings, own: &Own, links: &[LinkView]) -> WatchRules {
    let host = lastbeat_host::booted_at().map(|booted_at| HostView { process: own.process, booted_at });
    WatchRules {
        threshold: settings.threshold,
        adaptive: settings.adaptive,
        links: links.iter().map(|link| link.name.clone()).collect(),
        own_link: own_link(links),
        host,
        max_publishers: settings.max_publishers,
        publishers: settings.publishers.clone(),
        ..WatchRules::default()
    }
}

fn open_log(dir: &Path, settings: &Settings, not_before: Position) -> anyhow::Result<Log> {
    // Twice as much as messages may take: flips and reports find room even when messages are turned away.
    let options = LogOptions {
        sync: settings.sync.policy(),
        not_before,
        pending_bytes: 2 * PENDING_BYTES,
        retain_bytes: if settings.influx.is_some() || settings.index.is_some() { settings.retain_bytes } else { 0 },
        ..LogOptions::default()
    };
    let (log, recovery) = Log::open(dir, options)?;
    for damage in &recovery.damage {
        tracing::warn!("the log was damaged: {damage}");
    }
    Ok(log)
}

fn open_links(settings: &Settings, own: &Own, sender: &mpsc::Sender<Incoming>) -> anyhow::Result<Vec<Subscription>> {
    let links = (0u16..).map(LinkIndex).zip(&settings.from);
    let open = |(link, endpoint)| {
        let options = SubscribeOptions {
            client: settings.name.clone().unwrap_or_else(|| own.host_name.clone()),
            keepalive: settings.keepalive(),
            canary: true,
            ..SubscribeOptions::default()
        };
        Ok(subscribe(endpoint, options, link, sender.clone())?)
    };
    links.map(open).collect()
}

/// Lets go of what every follower has taken and the snapshot holds, whenever one of them comes on.
async fn free_disk(log: LogHandle, memory: Memory, mut lags: Vec<watch::Receiver<Lag>>) {
    loop {
        let cursors = lags.iter().map(|lag| lag.borrow().cursor);
        if let Some(least) = cursors.chain([memory.position()]).min() {
            log.remove_before(least);
        }
        if lags.is_empty() {
            return;
        }
        let changes = lags.iter_mut().map(|lag| Box::pin(lag.changed()));
        if futures_util::future::select_all(changes).await.0.is_err() {
            return;
        }
    }
}

/// Writes all that was taken in, and the snapshot.
async fn close_log(intake: Intake, memory: Memory) -> anyhow::Result<()> {
    let now = Clock.now();
    let not_kept = intake.totals().not_kept;
    let (watchdog, swarm, log) = intake.into_parts();
    let end = log.end();
    let closing = move || -> anyhow::Result<()> {
        let progress = log.close(DRAIN);
        if progress.synced < end {
            bail!("the disk did not take the last {} of the log within {DRAIN:?}", end.0 - progress.synced.0);
        }
        memory.save(&watchdog, &swarm, now, end).context("write the snapshot")
    };
    tokio::task::spawn_blocking(closing).await.context("close the log")??;
    if not_kept > 0 {
        tracing::error!("{not_kept} messages could not be kept");
    }
    Ok(())
}

/// Lets a follower take what is left, until a deadline; what it does not manage it does after the next start. Returns how
/// many bytes of the log these are, if it had to be stopped.
async fn end_follower(
    mut one: Following,
    deadline: Monotonic,
    stop: &CancellationToken,
    progress: &watch::Receiver<Progress>,
) -> Option<u64> {
    let (ended, in_time) = tokio::select! {
        ended = one.ended() => (ended, true),
        () = tokio::time::sleep_until(Clock.instant(deadline).into()) => {
            stop.cancel();
            (one.ended().await, false)
        }
    };
    if let Err(error) = ended {
        tracing::error!("{error:#}");
    }
    // Not what it was behind when it last said so: the log has grown since, and it may never have said anything.
    let left = one.lag.borrow().cursor.bytes_to(progress.borrow().written);
    if !in_time {
        tracing::warn!("{} goes on after the next start; {left} bytes of the log are left for it", one.name);
    }
    one.join();
    (!in_time).then_some(left)
}

/// The first SIGINT or SIGTERM stops in order, a second one at once.
pub fn stop_on_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                eprintln!("lastbeat-subscriber: stopped at once");
                std::process::exit(1);
            }
            stop.cancel();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follower::{self, Follower};

    /// Takes nothing, and when it is stopped has got as far as this.
    struct Stuck(Position);

    impl Follower for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }

        fn cursor(&self) -> Position {
            Position::START
        }

        async fn follow(self, _: LogHandle, lag: watch::Sender<Lag>, stop: CancellationToken) -> anyhow::Result<()> {
            stop.cancelled().await;
            lag.send_modify(|lag| lag.cursor = self.0);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_left_for_a_follower_is_all_from_its_cursor_to_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = Log::open(folder.path(), LogOptions::default()).unwrap();
        let second = {
            log.append(1, &[&[0; 1_000]]).unwrap();
            log.end()
        };
        log.append(1, &[&[0; 500]]).unwrap();
        let (handle, end) = (log.handle().clone(), log.end());
        assert_eq!(log.close(DRAIN).written, end);
        for (cursor, left) in [(Position::START, end.0), (second, end.0 - second.0)] {
            let stop = CancellationToken::new();
            let following = follower::start(Stuck(cursor), handle.clone(), stop.clone()).unwrap();
            let told = end_follower(following, Monotonic(0), &stop, &handle.progress()).await;
            assert_eq!(told, Some(left));
        }
        let stopped = CancellationToken::new();
        stopped.cancel();
        let following = follower::start(Stuck(end), handle.clone(), stopped.clone()).unwrap();
        let in_time = Clock.now().monotonic.plus(Duration::from_mins(1));
        assert_eq!(end_follower(following, in_time, &stopped, &handle.progress()).await, None);
    }
}
