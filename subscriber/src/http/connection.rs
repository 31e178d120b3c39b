//! [`Gate`]: how many connections there may be, and how long one may do nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use lastbeat_host::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// A connection on which nothing was sent for so long is closed: one that asks nothing, asks too slowly, or does not read
/// its answer. Event streams get something every few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lets connections in while there is room.
#[derive(Debug, Clone)]
pub struct Gate {
    places: Arc<Semaphore>,
    patience: Duration,
    /// How many found no room.
    refused: Arc<AtomicU64>,
}

/// A connection with its place and its limit.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    patience: Duration,
    /// When it is closed if nothing is sent until then.
    limit: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Gate {
    /// For at most so many connections at once.
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), patience: PATIENCE, refused: Arc::default() }
    }

    fn let_in(&self, stream: TcpStream) -> io::Result<Connection> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
            if refused.is_power_of_two() {
                tracing::warn!(refused, "HTTP: there are as many connections as may be");
            }
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        stream.set_nodelay(true)?;
        let patience = self.patience;
        Ok(Connection { stream, patience, limit: Box::pin(tokio::time::sleep_until(after(patience))), _place: place })
    }
}

impl<S> Accept<TcpStream, S> for Gate {
    type Stream = Connection;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready(self.let_in(stream).map(|connection| (connection, service)))
    }
}

fn after(span: Duration) -> tokio::time::Instant {
    Clock.instant(Clock.now().monotonic.plus(span)).into()
}

impl Connection {
    /// Passes on what was written; while nothing can be, looks whether that takes too long.
    fn sent(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if bytes > 0 {
                    let limit = after(self.patience);
                    self.limit.as_mut().reset(limit);
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.limit.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.limit.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.sent(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A client, and its connection as the server has it.
    async fn connect(gate: &Gate) -> (TcpStream, io::Result<Connection>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (client, gate.let_in(stream))
    }

    fn impatient() -> Gate {
        Gate { patience: Duration::from_millis(20), ..Gate::new(1) }
    }

    #[tokio::test]
    async fn who_asks_nothing_or_does_not_read_is_left() {
        let (_client, connection) = connect(&impatient()).await;
        let error = connection.unwrap().read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (_client, connection) = connect(&impatient()).await;
        let error = connection.unwrap().write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_reads_is_not_left_however_long_it_takes() {
        let (mut client, connection) = connect(&Gate { patience: Duration::from_secs(5), ..Gate::new(1) }).await;
        let mut connection = connection.unwrap();
        let limit = connection.limit.deadline();
        connection.write_u8(7).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 7);
        assert!(connection.limit.deadline() > limit, "each byte that is sent moves the limit");
    }

    #[tokio::test]
    async fn there_are_as_many_connections_as_there_are_places() {
        let gate = Gate::new(1);
        let (_first, connection) = connect(&gate).await;
        let held = connection.unwrap();
        assert!(connect(&gate).await.1.is_err());
        drop(held);
        assert!(connect(&gate).await.1.is_ok());
    }
}
