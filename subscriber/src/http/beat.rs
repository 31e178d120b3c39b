//! Beats over HTTP: one more link of the watchdog, for whatever can call `curl`.

use std::time::Duration;

use axum::extract::{Path, State};
use lastbeat_host::Clock;
use lastbeat_transport::{Arrival, Batch, Delivery, Incoming};
use lastbeat_wire::{Body, Encoding, Header, Message, encode};

use super::Api;
use super::problem::Problem;
use super::publishers::parse;

/// How long the log may take.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// A sign of life.
///
/// Answered once the log has it.
#[utoipa::path(method(get, post), path = "/api/v1/beat/{id}", tag = "beats",
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    responses(
        (status = 200, description = "It is kept", body = String, content_type = "text/plain", example = "ok\n"),
        (status = 503, description = "The log takes nothing now; try again", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn beat(state: State<Api>, id: Path<String>) -> Result<&'static str, Problem> {
    take(&state, &id, Body::Beat).await
}

async fn take(api: &Api, id: &str, body: Body<'_>) -> Result<&'static str, Problem> {
    let publisher = parse(id)?;
    let topic = body.kind().topic(&publisher);
    let header = Header { sent_at: Some(Clock.now().utc), ..Header::default() };
    let payload = encode(&Message { header, body, log: None }, Encoding::Json);
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
