//! The routes of the history, to be mounted under `/api/v1`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use lastbeat_host::Clock;
use lastbeat_wire::UtcNanos;
use rusqlite::Connection;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::flips::{Flips, FlipsQuestion};
use super::rates::{Rates, RatesQuestion};
use super::readings::{Readings, ReadingsQuestion};
use super::reports::{Log, LogQuestion};
use super::states::{States, StatesQuestion};
use super::stream::ExportQuestion;
use super::{History, HistoryError};
use crate::http::Problem;

/// The routes, their paths relative to the API's root.
pub fn routes(history: Arc<History>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(readings))
        .routes(routes!(states))
        .routes(routes!(publisher_flips))
        .routes(routes!(log))
        .routes(routes!(flips))
        .routes(routes!(rates))
        .routes(routes!(export))
        .with_state(history)
}

/// The problems that a question about the past can have.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "its derive is all there is to it")]
enum Problems {
    /// A parameter is not as it should be.
    #[response(status = 400, content_type = "application/problem+json")]
    Parameter(#[to_schema] Problem),
    /// There is no such publisher in the store.
    #[response(status = 404, content_type = "application/problem+json")]
    NoPublisher(#[to_schema] Problem),
    /// Too many ask, or the answer takes too long.
    #[response(status = 503, content_type = "application/problem+json")]
    NotNow(#[to_schema] Problem),
}

/// Asks, and writes the answer's JSON on the blocking thread, too.
async fn json<T: Serialize>(
    history: &Arc<History>,
    question: impl FnOnce(&Connection) -> Result<T, HistoryError> + Send + 'static,
) -> Result<Response, Problem> {
    let json = history.ask(|db| Ok(serde_json::to_vec(&question(db)?).map_err(anyhow::Error::from)?)).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

fn now() -> UtcNanos {
    Clock.now().utc
}

/// A publisher's readings as series for a chart.
///
/// Exact while there are at most as many as `points`, else the least, the greatest and the mean of each bucket.
#[utoipa::path(
    get, path = "/publishers/{id}/readings", tag = "history",
    params(
        ("id" = String, Path, description = "The publisher, percent-encoded as one segment"),
        ("since" = Option<String>, Query, description = "From when on: a span before now (1h, 7d) or an RFC 3339 time [default: 1h before the end]"),
        ("until" = Option<String>, Query, description = "Before when, given like since [default: now]"),
        ("points" = Option<u32>, Query, minimum = 1, maximum = 5000, description = "Most points in the answer [default: 600]"),
        ("field" = Option<Vec<String>>, Query, description = "A field; may be given several times [default: all]"),
    ),
    responses(
        (status = 200, body = Readings),
        Problems,
    ),
)]
async fn readings(
    State(history): State<Arc<History>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let question = ReadingsQuestion::parse(id, query.as_deref(), now())?;
    json(&history, |db| question.answer(db)).await
}

/// In which states a publisher was, and what share of the time it was alive.
#[utoipa::path(
    get, path = "/publishers/{id}/states", tag = "history",
    params(
        ("id" = String, Path, description = "The publisher, percent-encoded as one segment"),
        ("since" = Option<String>, Query, description = "From when on: a span before now (1h, 7d) or an RFC 3339 time [default: 24h before the end]"),
        ("until" = Option<String>, Query, description = "Before when, given like since [default: now]"),
    ),
    responses(
        (status = 200, body = States),
        Problems,
    ),
)]
async fn states(
    State(history): State<Arc<History>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let question = StatesQuestion::parse(id, query.as_deref(), now())?;
    json(&history, |db| question.answer(db)).await
}

/// A publisher's changes of state, newest first.
#[utoipa::path(
    get, path = "/publishers/{id}/flips", tag = "history",
    params(
        ("id" = String, Path, description = "The publisher, percent-encoded as one segment"),
        ("since" = Option<String>, Query, description = "From when on: a span before now (1h, 7d) or an RFC 3339 time [default: all]"),
        ("until" = Option<String>, Query, description = "Before when, given like since [default: all]"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most flips in the answer [default: 100]"),
        ("before" = Option<i64>, Query, description = "The next of the page before"),
    ),
    responses(
        (status = 200, body = Flips),
        Problems,
    ),
)]
async fn publisher_flips(
    State(history): State<Arc<History>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let question = FlipsQuestion::parse(Some(id), query.as_deref(), now())?;
    json(&history, |db| question.answer(db)).await
}

/// The changes of state of all publishers, newest first.
#[utoipa::path(
    get, path = "/flips", tag = "history",
    params(
        ("since" = Option<String>, Query, description = "From when on: a span before now (1h, 7d) or an RFC 3339 time [default: all]"),
        ("until" = Option<String>, Query, description = "Before when, given like since [default: all]"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most flips in the answer [default: 100]"),
        ("before" = Option<i64>, Query, description = "The next of the page before"),
    ),
    responses(
        (status = 200, body = Flips),
        Problems,
    ),
)]
async fn flips(State(history): State<Arc<History>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let question = FlipsQuestion::parse(None, query.as_deref(), now())?;
    json(&history, |db| question.answer(db)).await
}

/// What a publisher reported of its own work, newest first.
#[utoipa::path(
    get, path = "/publishers/{id}/log", tag = "history",
    params(
        ("id" = String, Path, description = "The publisher, percent-encoded as one segment"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most entries in the answer [default: 50]"),
    ),
    responses(
        (status = 200, body = Log),
        Problems,
    ),
)]
async fn log(
    State(history): State<Arc<History>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let question = LogQuestion::parse(id, query.as_deref())?;
    json(&history, |db| question.answer(db)).await
}

/// Messages a second of up to 100 publishers, from the counts of their stored heartbeats.
///
/// A publisher that the store does not know has null everywhere.
#[utoipa::path(
    get, path = "/rates", tag = "history",
    params(
        ("id" = Vec<String>, Query, description = "A publisher; may be given up to 100 times"),
        ("since" = Option<String>, Query, description = "From when on: a span before now (1h, 7d) or an RFC 3339 time [default: 30m before the end]"),
        ("until" = Option<String>, Query, description = "Before when, given like since [default: now]"),
        ("points" = Option<u32>, Query, minimum = 1, maximum = 5000, description = "How many buckets [default: 30]"),
    ),
    responses(
        (status = 200, body = Rates),
        Problems,
    ),
)]
async fn rates(State(history): State<Arc<History>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let question = RatesQuestion::parse(query.as_deref(), now())?;
    let report_every = history.report_every;
    json(&history, move |db| question.answer(db, report_every)).await
}

/// Readings or heartbeats as a table, as a file to be saved.
#[utoipa::path(
    get, path = "/export", tag = "history",
    params(
        ("measurement" = Option<String>, Query, description = "sensor or heartbeat [default: sensor]"),
        ("publisher" = Option<Vec<String>>, Query, description = "Only this publisher; may be given several times [default: all]"),
        ("since" = Option<String>, Query, description = "From when on: a span before now (1h, 7d) or an RFC 3339 time [default: all]"),
        ("until" = Option<String>, Query, description = "Before when, given like since [default: all]"),
        ("format" = Option<String>, Query, description = "csv or jsonl [default: csv]"),
    ),
    responses(
        (status = 200, description = "The table", content((String = "text/csv"), (String = "application/x-ndjson"))),
        Problems,
    ),
)]
async fn export(State(history): State<Arc<History>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let download = history.export(ExportQuestion::parse(query.as_deref(), now())?).await?;
    let headers = [
        (header::CONTENT_TYPE, download.content_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", download.file_name)),
    ];
    Ok((headers, download.body).into_response())
}
