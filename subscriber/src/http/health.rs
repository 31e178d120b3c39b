//! Whether it serves, whether it watches, and the metrics.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::Problem;
use crate::board::json::{FollowerTold, LinkTold};
use crate::command::Command;

/// The loop that judges has to answer within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Whether it watches.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether the loop that judges answered within a second.
    ready: bool,
    /// The links.
    links: Vec<LinkTold>,
    /// The followers of the log.
    followers: Vec<FollowerTold>,
}

/// Does it serve? Needs no login.
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Does it watch?
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "The loop that judges answered", body = Readiness),
        (status = 503, description = "It did not answer within a second", body = Readiness),
    ))]
pub async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let ready = turns(&api).await;
    let links = api.board.figures().links.iter().map(LinkTold::from).collect();
    let followers = api.board.followers();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, links, followers }))
}

/// Whether the loop that judges answers in time.
pub async fn turns(api: &Api) -> bool {
    let answered = tokio::time::timeout(ANSWER_WITHIN, api.ask(|reply| Command::Ping { reply })).await;
    matches!(answered, Ok(Ok(())))
}

/// What Prometheus scrapes.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Prometheus' text format 0.0.4", body = String, content_type = "text/plain")))]
pub async fn metrics(State(api): State<Api>) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    let text = api.metrics.text(&api.board, api.streams.open(), api.standings.part());
    let text = text.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
