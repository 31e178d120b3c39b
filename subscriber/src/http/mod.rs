//! [`Server`]: the live page, the API and the metrics, on a thread of their own, so that serving holds no verdict up.
//!
//! ```text
//!   connections ─▶ Gate ─▶ (TLS) ─▶ headers ─▶ access ─▶ time-out ─▶ compression ─▶ problems ─▶ routes
//!                                                                                                │
//!          board (figures, frames) ◀── overview, events ─────────────────────────────────────────┤
//!          loop ◀── Command ────────── detail, pause, resume, readyz ────────────────────────────┤
//!          loop ◀── Incoming ───────── beats ────────────────────────────────────────────────────┤
//!          store ──▶ History ───────── readings, states, flips, rates, log, export ───────────────┘
//! ```

mod access;
mod beat;
mod config;
mod connection;
mod events;
mod health;
mod page;
mod problem;
mod publishers;
mod routes;
mod shipping;
mod swarm;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use lastbeat_transport::{Incoming, LinkIndex};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::command::Command;
use crate::history::History;
use crate::metrics::Metrics;
use crate::standby::Standings;
pub use config::{HttpConfig, HttpFile};
use connection::Gate;
use events::Streams;
pub use problem::Problem;
#[cfg(test)]
pub use problem::unify;

/// The name of the watchdog's link that beats over HTTP come by.
pub const LINK: &str = "http";
/// Most connections at once: every event stream, and as many more; but no more than half of what this process may open,
/// so that the log and the links find the rest.
fn most_connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 2).unwrap_or(usize::MAX).min(2 * events::MOST)
}

/// How long answers that have begun may take at the end.
const GRACE: Duration = Duration::from_secs(1);
/// Commands that wait for the loop. Who finds no room waits.
pub const COMMANDS: usize = 64;

/// What every route is given.
#[derive(Debug, Clone)]
struct Api {
    board: Board,
    metrics: Metrics,
    commands: mpsc::Sender<Command>,
    incoming: mpsc::Sender<Incoming>,
    link: LinkIndex,
    history: Arc<History>,
    standings: Standings,
    streams: Streams,
    stop: CancellationToken,
}

/// An address that is ours.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    config: HttpConfig,
}

/// What the server is joined to.
#[derive(Debug)]
pub struct Joints {
    /// The live figures.
    pub board: Board,
    /// What Prometheus is told.
    pub metrics: Metrics,
    /// The way to the loop.
    pub commands: mpsc::Sender<Command>,
    /// The way of messages into the loop.
    pub incoming: mpsc::Sender<Incoming>,
    /// The link that beats come by.
    pub link: LinkIndex,
    /// The store's past.
    pub history: Arc<History>,
    /// The part this subscriber has in shipping.
    pub standings: Standings,
}

/// A server at work.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    handle: axum_server::Handle<SocketAddr>,
    thread: std::thread::JoinHandle<()>,
}

impl Listener {
    /// Takes the address. One that nobody asked for may be taken by another program: then there is a warning, and no page.
    ///
    /// # Errors
    /// When an address that was asked for can't be had.
    pub fn open(config: HttpConfig) -> anyhow::Result<Option<Self>> {
        let opened = TcpListener::bind(config.listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match opened {
            Ok(listener) => Ok(Some(Self { listener, config })),
            Err(error) if config.asked_for => Err(anyhow!(error)).with_context(|| format!("--http {}", config.listen)),
            Err(error) => {
                tracing::warn!(
                    "no live page: {} can't be listened on ({error}); --http ADDRESS sets another, --http off none",
                    config.listen
                );
                Ok(None)
            }
        }
    }

    /// The page's address, for people.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.config.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}/", self.listener.local_addr()?))
    }

    /// Begins to serve.
    pub fn serve(self, joints: Joints) -> anyhow::Result<Server> {
        let url = self.url()?;
        let Self { listener, config } = self;
        if config.tls.is_none() && !config.listen.ip().is_loopback() {
            tracing::warn!("logins travel unencrypted: set --http-certificate, or put a proxy with HTTPS in front");
        }
        let stop = CancellationToken::new();
        let handle = axum_server::Handle::new();
        let Joints { board, metrics, commands, incoming, link, history, standings } = joints;
        let streams = Streams::among(most_connections());
        let api = Api { board, metrics, commands, incoming, link, history, standings, streams, stop: stop.clone() };
        let app = routes::router(api, access::Access::new(config.credentials));
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(crate::history::THREADS)
            .enable_all()
            .build()
            .context("start a runtime")?;
        let own_handle = handle.clone();
        let run = async move {
            let server = axum_server::from_tcp(listener)?.handle(own_handle);
            let gate = Gate::new(most_connections());
            match config.tls {
                Some(tls) => {
                    let tls = RustlsAcceptor::new(RustlsConfig::from_config(tls.0)).acceptor(gate);
                    server.acceptor(tls).serve(app).await
                }
                None => server.acceptor(gate).serve(app).await,
            }
        };
        let body = move || {
            if let Err(error) = runtime.block_on(run) {
                tracing::error!("HTTP: {error}");
            }
            // Queries that still run are left behind.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(LINK.to_owned()).spawn(body).context("start a thread")?;
        tracing::info!("the live page is at {url}");
        Ok(Server { stop, handle, thread })
    }
}

impl Server {
    /// Stops: event streams end, answers that have begun get a second.
    pub async fn stop(self) {
        self.stop.cancel();
        self.handle.graceful_shutdown(Some(GRACE));
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the HTTP server's thread panicked");
        }
    }
}

impl Api {
    /// Hands a command to the loop.
    async fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<oneshot::Receiver<T>, Problem> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| stopping())?;
        Ok(answer)
    }

    /// Asks the loop.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Problem> {
        self.send(command).await?.await.map_err(|_| stopping())
    }
}

/// All routes without a login, and without a server before them.
pub fn open_router(joints: Joints) -> axum::Router {
    let Joints { board, metrics, commands, incoming, link, history, standings } = joints;
    let streams = Streams::among(most_connections());
    let stop = CancellationToken::new();
    let api = Api { board, metrics, commands, incoming, link, history, standings, streams, stop };
    routes::router(api, access::Access::new(config::Credentials::default()))
}

fn stopping() -> Problem {
    Problem::unavailable("the subscriber is stopping")
}
