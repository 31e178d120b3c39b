//! Requests to the routes as they run, without a socket: each has an answer, a bounded one, and none of them is a fault
//! of ours.

use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use futures_util::StreamExt;
use lastbeat_wire::UtcNanos;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Publishers that there may be: few, so that their limit is met, too.
const MOST_PUBLISHERS: usize = 20;
/// An answer has no more bytes than this, with so few publishers.
const MOST_BYTES: usize = 4 << 20;
/// So many requests are put to one subscriber before the next one takes its place, so that what it keeps stays small.
const REQUESTS: u32 = 2_000;

/// A subscriber at work.
struct Place {
    runtime: Runtime,
    router: Router,
    _folder: TempDir,
    requests: u32,
}

static PLACE: Mutex<Option<Place>> = Mutex::new(None);

impl Place {
    fn new() -> Self {
        let folder = crate::folder();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(8)
            .enable_all()
            .build()
            .expect("a runtime");
        let entered = runtime.enter();
        let router = lastbeat_subscriber::fuzzed::router(folder.path(), MOST_PUBLISHERS);
        drop(entered);
        Self { router: router.expect("a subscriber"), runtime, _folder: folder, requests: 0 }
    }

    fn ask(&mut self, request: Request<Body>) {
        self.requests += 1;
        let streams = request.uri().path() == "/api/v1/events";
        let shown = format!("{} {}", request.method(), request.uri());
        let router = self.router.clone();
        self.runtime.block_on(async {
            let answered = tokio::time::timeout(Duration::from_mins(1), router.oneshot(request));
            let response = answered.await.expect("an answer within a minute").expect("an answer");
            let status = response.status();
            // There is no such method; there are as many publishers as may be; it is busy.
            let stated =
                [StatusCode::NOT_IMPLEMENTED, StatusCode::INSUFFICIENT_STORAGE, StatusCode::SERVICE_UNAVAILABLE];
            assert!(!status.is_server_error() || stated.contains(&status), "{shown}: {status}");
            let mut pieces = response.into_body().into_data_stream();
            let mut bytes = 0;
            while let Some(piece) = pieces.next().await {
                bytes += piece.as_ref().map_or(0, Bytes::len);
                assert!(bytes <= MOST_BYTES, "{shown}: an answer without end");
                if streams {
                    break;
                }
            }
        });
    }
}

/// A request as text: `METHOD path?query`, header lines, an empty line, the body. Without `Host` it is one of this machine's.
pub fn request(bytes: &[u8]) {
    let Some(request) = made(bytes) else { return };
    let mut place = PLACE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if place.as_ref().is_none_or(|place| place.requests >= REQUESTS)
        && let Some(old) = place.replace(Place::new())
    {
        old.runtime.shutdown_timeout(Duration::from_secs(1));
    }
    place.as_mut().expect("made above").ask(request);
}

fn made(bytes: &[u8]) -> Option<Request<Body>> {
    let (line, mut rest) = cut(bytes)?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let method = Method::from_bytes(&line[..space]).ok()?;
    let mut request = Request::builder().method(method).uri(&line[space + 1..]);
    let mut has_host = false;
    loop {
        let (header, more) = cut(rest).unwrap_or((rest, &[]));
        rest = more;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&header[..colon]).ok()?;
        has_host |= name == header::HOST;
        request = request.header(name, HeaderValue::from_bytes(header[colon + 1..].trim_ascii()).ok()?);
    }
    if !has_host {
        request = request.header(header::HOST, "localhost");
    }
    request.body(Body::from(rest.to_vec())).ok()
}

/// The first line, and what is behind it.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Any id and any query put to each question about the past.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (id, query) = text.split_once('\n').unwrap_or(("light-1", text));
    lastbeat_subscriber::fuzzed::parameters(id, query, UtcNanos(1_700_000_000_000_000_000));
}
