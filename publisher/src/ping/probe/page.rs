//! [`Request`]: a GET over HTTP/1.1, a connection of its own each time, and how long each part of it took.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use lastbeat_host::Clock;
use lastbeat_wire::{Monotonic, Target};
use openssl::x509::X509VerifyResult;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_openssl::SslStream;

use super::Trust;
use crate::ping::outcome::{Answer, Page};

/// So much of a page is read at most.
const MOST_BYTES: usize = 64 << 10;

/// What is asked, of whom.
pub struct Request {
    address: SocketAddr,
    /// For TLS.
    host: String,
    trust: Option<Trust>,
    /// What the header `Host` says.
    authority: String,
    path: Uri,
}

/// What came of a page, when.
struct Came {
    first_byte: Monotonic,
    whole: Monotonic,
    status: u16,
}

impl Request {
    /// For a page at an address; with `trust`, over TLS.
    ///
    /// # Errors
    /// If its path can't stand in a request.
    pub fn new(target: &Target, address: SocketAddr, trust: Option<&Trust>) -> Result<Self, String> {
        let host = target.host().to_owned();
        let name = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let usual = if trust.is_some() { 443 } else { 80 };
        let authority = if address.port() == usual { name } else { format!("{name}:{}", address.port()) };
        let path = target.path().split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let path = path.parse().map_err(|error| format!("the path can't be asked for: {error}"))?;
        Ok(Self { address, host, trust: trust.cloned(), authority, path })
    }

    /// One GET, its page read to the end or [`MOST_BYTES`].
    pub async fn probe(&self) -> Result<Answer, String> {
        let start = Clock.now().monotonic;
        let since = |end: Monotonic| end.since(start);
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        let connect = since(Clock.now().monotonic);
        let (came, tls) = match &self.trust {
            None => (self.get(stream).await?, None),
            Some(trust) => {
                let stream = shake(trust, &self.host, stream).await?;
                let tls = since(Clock.now().monotonic);
                (self.get(stream).await?, Some(tls))
            }
        };
        let page = Page { connect, tls, first_byte: since(came.first_byte), status: came.status };
        Ok(Answer { took: since(came.whole), page: Some(page) })
    }

    async fn get(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Came, String> {
        let first_byte = Arc::new(OnceLock::new());
        let stream = Noticing { stream, first_byte: Arc::clone(&first_byte) };
        let said = |error: hyper::Error| words(&error);
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(MOST_BYTES).handshake(TokioIo::new(stream)).await.map_err(said)?;
        // Ends with this function.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = hyper::Request::get(self.path.clone())
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("lastbeat-publisher/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let mut response = sender.send_request(request).await.map_err(said)?;
        let status = response.status().as_u16();
        let mut bytes = 0;
        while bytes < MOST_BYTES
            && let Some(frame) = response.frame().await
        {
            bytes += frame.map_err(said)?.data_ref().map_or(0, Bytes::len);
        }
        let whole = Clock.now().monotonic;
        Ok(Came { first_byte: first_byte.get().copied().unwrap_or(whole), whole, status })
    }
}

async fn shake(trust: &Trust, host: &str, stream: TcpStream) -> Result<SslStream<TcpStream>, String> {
    let ssl = trust.client(host).map_err(|error| format!("TLS: {error}"))?;
    let mut stream = SslStream::new(ssl, stream).map_err(|error| format!("TLS: {error}"))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => {
            let verdict = stream.ssl().verify_result();
            let distrusted = verdict != X509VerifyResult::OK;
            Err(if distrusted { format!("TLS: {}", verdict.error_string()) } else { format!("TLS: {error}") })
        }
    }
}

/// An error with what it comes from.
fn words(error: &hyper::Error) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// A stream that takes note of when its first byte is read.
struct Noticing<S> {
    stream: S,
    first_byte: Arc<OnceLock<Monotonic>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.first_byte.get_or_init(|| Clock.now().monotonic);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticing<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
