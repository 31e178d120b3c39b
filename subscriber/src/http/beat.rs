//! Beats over HTTP: one more link of the watchdog, for whatever can call `curl`.

use std::borrow::Cow;
use std::time::Duration;

use axum::Extension;
use axum::body::Body as Content;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures_util::StreamExt;
use lastbeat_host::Clock;
use lastbeat_transport::{Arrival, Batch, Delivery, Incoming};
use lastbeat_wire::{Body, Encoding, Header, Message, encode};

use super::Api;
use super::access::BeatsOnly;
use super::problem::Problem;
use super::publishers::parse;
use crate::command::Command;

/// How long the log may take.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// So much of a request's body is passed on as the report: more than the store keeps, so that it knows of the rest.
const REPORT_BYTES: usize = 100_001;
/// So much of a body is read at most, so that its sender sees the answer.
const BODY_BYTES: usize = 64 << 20;

/// Set where the token is not good for everybody's beats.
type Rights = Option<Extension<BeatsOnly>>;

/// What is answered to every one of them.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "it is the description only")]
enum Answer {
    /// It is kept
    #[response(status = 200, content_type = "text/plain", example = json!("ok\n"))]
    Kept(String),
    /// The log takes nothing now; try again
    #[response(status = 503, content_type = "application/problem+json")]
    NotKept(#[to_schema] Problem),
    /// There are as many publishers as may be: it is not watched
    #[response(status = 507, content_type = "application/problem+json")]
    NotWatched(#[to_schema] Problem),
}

/// It is alive, and what it was to do is done.
///
/// Answered once the log has it. A body is kept as the report: its first 100,000 bytes.
#[utoipa::path(method(get, post), path = "/api/v1/beat/{id}", tag = "beats",
    request_body(content = String, content_type = "text/plain", description = "With POST, a report for people"),
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    responses(Answer))]
pub async fn beat(
    state: State<Api>,
    rights: Rights,
    id: Path<String>,
    content: Content,
) -> Result<&'static str, Problem> {
    take(&state, rights, &id, Body::Beat, content).await
}

/// It begins its work.
///
/// A sign of life, and the start of the time it takes. A failure reported before stands until a beat or a reading.
#[utoipa::path(method(get, post), path = "/api/v1/beat/{id}/start", tag = "beats",
    request_body(content = String, content_type = "text/plain", description = "With POST, a report for people"),
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    responses(Answer))]
pub async fn start(
    state: State<Api>,
    rights: Rights,
    id: Path<String>,
    content: Content,
) -> Result<&'static str, Problem> {
    take(&state, rights, &id, Body::Start, content).await
}

/// Its work failed.
///
/// It is `failed` at once, until a beat or a reading.
#[utoipa::path(method(get, post), path = "/api/v1/beat/{id}/fail", tag = "beats",
    request_body(content = String, content_type = "text/plain", description = "With POST, a report for people"),
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    responses(Answer))]
pub async fn fail(
    state: State<Api>,
    rights: Rights,
    id: Path<String>,
    content: Content,
) -> Result<&'static str, Problem> {
    take(&state, rights, &id, Body::Fail, content).await
}

async fn take(api: &Api, rights: Rights, id: &str, body: Body<'_>, content: Content) -> Result<&'static str, Problem> {
    let publisher = parse(id)?;
    if let Some(Extension(only)) = rights {
        only.check(&publisher)?;
    }
    let report = report(content).await?;
    let topic = body.kind().topic(&publisher);
    let header = Header { sent_at: Some(Clock.now().utc), ..Header::default() };
    let payload = encode(&Message { header, body, log: Some(Cow::Owned(report)) }, Encoding::Json);
    let (batch, kept) =
        Batch::with_receipt(Delivery { topic: topic.as_bytes(), payload: &payload, retained: false, resent: false });
    let incoming = Incoming { link: api.link, arrival: Arrival::Batch(batch) };
    let taken = async {
        api.incoming.send(incoming).await.map_err(|_| "the subscriber is stopping".to_owned())?;
        kept.await.map_err(|_| "the log takes nothing now: the disk is full or failing".to_owned())
    };
    match tokio::time::timeout(KEPT_WITHIN, taken).await {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => return Err(Problem::unavailable(format!("{id:?}: {reason}"))),
        Err(_) => return Err(Problem::unavailable(format!("{id:?}: the log did not take it within {KEPT_WITHIN:?}"))),
    }
    // Who believes to be watched must be.
    let watched = api.ask(|reply| Command::Detail { publisher, reply }).await?;
    watched.map(|_| "ok\n").ok_or_else(|| {
        let detail = format!("{id:?} is not watched: there are as many publishers as may be (max_publishers)");
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail)
    })
}

/// The beginning of a body, as text. The rest is read, too: who still sends does not see an answer.
async fn report(content: Content) -> Result<String, Problem> {
    let mut report = Vec::new();
    let mut read = 0;
    let mut pieces = content.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
        read += piece.len();
        if read > BODY_BYTES {
            let detail = format!("the body is larger than {BODY_BYTES} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        report.extend_from_slice(&piece[..piece.len().min(REPORT_BYTES - report.len())]);
    }
    Ok(String::from_utf8_lossy(&report).into_owned())
}
