//! Beats over HTTP: one more link of the watchdog, for whatever can call `curl`.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use lastbeat_host::Clock;
use lastbeat_transport::{Arrival, Batch, Delivery, Incoming};
use lastbeat_wire::{Body, Encoding, Header, Message, encode};

use super::Api;
use super::problem::Problem;
use super::publishers::parse;
use crate::store::REPORT_BYTES;

const REPORT: &str = "A report for people: what a job wrote, say; UTF-8, 100,000 bytes of it are kept";
/// How long the log may take.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// A sign of life; of a job, that it is done.
///
/// What is posted is kept as its report. Answered once the log has it.
#[utoipa::path(method(get, post), path = "/api/v1/beat/{id}", tag = "beats",
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    request_body(content = Option<String>, content_type = "text/plain", description = REPORT),
    responses((status = 200, description = "It is kept", body = String, content_type = "text/plain", example = "ok\n")))]
pub async fn beat(state: State<Api>, id: Path<String>, report: Bytes) -> Result<&'static str, Problem> {
    take(&state, &id, Body::Beat, &report).await
}

/// A job begins: a sign of life that makes no failure good.
///
/// What is posted is kept as its report. Answered once the log has it.
#[utoipa::path(method(get, post), path = "/api/v1/beat/{id}/start", tag = "beats",
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    request_body(content = Option<String>, content_type = "text/plain", description = REPORT),
    responses((status = 200, description = "It is kept", body = String, content_type = "text/plain", example = "ok\n")))]
pub async fn start(state: State<Api>, id: Path<String>, report: Bytes) -> Result<&'static str, Problem> {
    take(&state, &id, Body::Start, &report).await
}

/// A job failed: it is `failed` until it beats or sends a reading.
///
/// What is posted is kept as its report, its beginning as evidence. Answered once the log has it.
#[utoipa::path(method(get, post), path = "/api/v1/beat/{id}/fail", tag = "beats",
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    request_body(content = Option<String>, content_type = "text/plain", description = REPORT),
    responses((status = 200, description = "It is kept", body = String, content_type = "text/plain", example = "ok\n")))]
pub async fn fail(state: State<Api>, id: Path<String>, report: Bytes) -> Result<&'static str, Problem> {
    take(&state, &id, Body::Fail, &report).await
}

async fn take(api: &Api, id: &str, body: Body<'_>, report: &[u8]) -> Result<&'static str, Problem> {
    let publisher = parse(id)?;
    let topic = body.kind().topic(&publisher);
    let header = Header { sent_at: Some(Clock.now().utc), ..Header::default() };
    let report = String::from_utf8_lossy(report);
    // A little more than is kept, so that it is known to have been cut; and no more, for a payload has a limit, too.
    let report = &report[..report.floor_char_boundary(REPORT_BYTES + char::MAX.len_utf8())];
    let log = Some(report).filter(|report| !report.is_empty()).map(Cow::Borrowed);
    let payload = encode(&Message { header, body, log }, Encoding::Json);
    let (batch, kept) = Batch::with_receipt(Delivery { topic: topic.as_bytes(), payload: &payload, retained: false });
    let incoming = Incoming { link: api.link, arrival: Arrival::Batch(batch) };
    let taken = async {
        api.incoming.send(incoming).await.map_err(|_| "the subscriber is stopping".to_owned())?;
        kept.await.map_err(|_| "the log takes nothing now: the disk is full or failing".to_owned())
    };
    match tokio::time::timeout(KEPT_WITHIN, taken).await {
        Ok(Ok(())) => Ok("ok\n"),
        Ok(Err(reason)) => Err(Problem::unavailable(format!("{id:?}: {reason}"))),
        Err(_) => Err(Problem::unavailable(format!("{id:?}: the log did not take it within {KEPT_WITHIN:?}"))),
    }
}
