//! Publishers: the overview, one of them in full, and maintenance.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lastbeat_host::Clock;
use lastbeat_watchdog::{Detail, State as PublisherState};
use lastbeat_wire::{Now, PublisherId, UtcNanos};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::problem::Problem;
use crate::board::json::{Overview, RowTold};
use crate::board::{Board, Question, Sort};
use crate::command::{Changed, Command};
use crate::history::Field;
use crate::told::{AdaptiveTold, EvidenceTold, Process, Time};

/// Publishers in one piece of an answer.
const PIECE: usize = 256;
/// How long the disk may take for a pause.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Which publishers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those in these states, separated by commas.
    state: Option<String>,
    /// Only those with each of these words in their id or their host's name, capitals or not.
    search: Option<String>,
    /// At most so many.
    limit: Option<usize>,
    /// Without the first so many of these.
    offset: Option<usize>,
    /// In the order of `state` (trouble first), `id`, `host`, `cause`, `heard`, `silence` (in thresholds), `rate` or `missed`, from the
    /// greatest down with `-` before it; else in the order in which they became known.
    sort: Option<String>,
}

/// One publisher, with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Publisher {
    /// As in the overview.
    #[serde(flatten)]
    row: RowTold,
    /// Its process, where it told it.
    #[schema(required)]
    process: Option<Process>,
    /// Until when it is paused; null where it is not, or until it is resumed.
    #[schema(required)]
    paused_until: Option<Time>,
    /// What its threshold is learned from; null where that is fixed.
    #[schema(required)]
    adaptive: Option<AdaptiveTold>,
    /// What its present state rests on.
    evidence: Vec<EvidenceTold>,
    /// The fields of its readings, with what they were last.
    fields: Vec<Field>,
}

/// For how long a publisher is not to be watched; with neither until it is resumed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// So long: `2h`, `30m`, `1day`.
    #[serde(rename = "for")]
    span: Option<String>,
    /// Until this time, in RFC 3339.
    until: Option<String>,
}

/// How all stands.
#[utoipa::path(get, path = "/api/v1/publishers", tag = "publishers", params(Filter),
    responses(
        (status = 200, description = "All publishers, or those asked for", body = Overview),
        (status = 400, description = "What was asked for is not known", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn overview(State(api): State<Api>, Query(filter): Query<Filter>) -> Result<Response, Problem> {
    let sort = |text: &str| Sort::parse(text).ok_or_else(|| Problem::bad(format!("sort: there is no order {text:?}")));
    let question = Question {
        states: filter.state.as_deref().map(states).transpose()?,
        words: filter.search.iter().flat_map(|text| text.split_whitespace()).map(str::to_lowercase).collect(),
        sort: filter.sort.as_deref().map(sort).transpose()?,
        offset: filter.offset.unwrap_or(0),
        limit: filter.limit,
    };
    let board = api.board;
    let (now, asked) = (Clock.now(), board.clone());
    let found = tokio::task::spawn_blocking(move || asked.overview(now, &question)).await;
    let (overview, found) = found.map_err(|error| Problem::unavailable(format!("the question failed: {error}")))?;
    Ok(told(board, now, &overview, found.places))
}

/// The answer, in pieces: that of a million publishers has hundreds of megabytes, and is never held as a whole.
fn told(board: Board, now: Now, overview: &Overview, places: Vec<u32>) -> Response {
    let head = json(overview);
    let (head, end) = head.split_at(head.len() - b"]}".len());
    let (head, end) = (Bytes::copy_from_slice(head), Bytes::copy_from_slice(end));
    let pieces = (0..places.len()).step_by(PIECE).map(move |from| {
        let rows = json(&board.rows(now, &places[from..places.len().min(from + PIECE)]));
        let rows = Bytes::from(rows).slice(1..);
        let rows = rows.slice(..rows.len() - 1);
        if from == 0 { vec![rows] } else { vec![Bytes::from_static(b","), rows] }
    });
    let all = std::iter::once(head).chain(pieces.flatten()).chain(std::iter::once(end));
    let body = Body::from_stream(futures_util::stream::iter(all.map(Ok::<_, Infallible>)));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("invariant: what is told has only string keys")
}

/// One publisher.
#[utoipa::path(get, path = "/api/v1/publishers/{id}", tag = "publishers",
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    responses(
        (status = 200, description = "All that is known of it", body = Publisher),
        (status = 404, description = "There is no such publisher", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Publisher>, Problem> {
    let publisher = parse(&id)?;
    let detail = api.ask(|reply| Command::Detail { publisher, reply }).await?;
    let detail = detail.ok_or_else(|| Problem::unknown_publisher(&id))?;
    // How it stands is told, whatever the store can tell.
    let fields = api.history.fields(id).await.unwrap_or_else(|error| {
        tracing::warn!("the history: {error}");
        Vec::new()
    });
    Ok(Json(Publisher {
        row: row(&api, &detail),
        process: detail.process.map(Process::from),
        paused_until: detail.paused_until.map(Time),
        adaptive: detail.adaptive.map(AdaptiveTold::from),
        evidence: detail.evidence.iter().map(EvidenceTold::from).collect(),
        fields,
    }))
}

/// Do not watch a publisher for a while.
///
/// Answered once the pause is on the disk, so that it outlives this program.
#[utoipa::path(post, path = "/api/v1/publishers/{id}/pause", tag = "publishers",
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    request_body(content = Maintenance, description = "For how long; may be empty"),
    responses(
        (status = 200, description = "It is paused", body = RowTold),
        (status = 404, description = "There is no such publisher", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn pause(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> Result<Json<RowTold>, Problem> {
    let publisher = parse(&id)?;
    let asked = if body.is_empty() { Maintenance::default() } else { read(&body)? };
    let span = asked.span(Clock.now())?;
    let reply = api.send(|reply| Command::Pause { publisher, span, reply }).await?;
    changed(&api, &id, reply).await
}

/// Watch a publisher again.
#[utoipa::path(post, path = "/api/v1/publishers/{id}/resume", tag = "publishers",
    params(("id" = String, Path, description = "The publisher, percent-encoded as one segment")),
    responses(
        (status = 200, description = "It is watched", body = RowTold),
        (status = 404, description = "There is no such publisher", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It was not paused", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn resume(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<RowTold>, Problem> {
    let publisher = parse(&id)?;
    let reply = api.send(|reply| Command::Resume { publisher, reply }).await?;
    changed(&api, &id, reply).await
}

async fn changed(api: &Api, id: &str, reply: oneshot::Receiver<Changed>) -> Result<Json<RowTold>, Problem> {
    let not_written =
        |why: &str| Problem::unavailable(format!("it is so, but may not outlive a restart of the subscriber: {why}"));
    match tokio::time::timeout(WRITTEN_WITHIN, reply).await {
        Ok(Ok(Changed::Kept(detail))) => Ok(Json(row(api, &detail))),
        Ok(Ok(Changed::NotKept(error))) => Err(not_written(&error)),
        Ok(Ok(Changed::Unknown)) => Err(Problem::unknown_publisher(id)),
        Ok(Ok(Changed::NotPaused)) => Err(Problem::new(StatusCode::CONFLICT, format!("{id:?} is not paused"))),
        Ok(Err(_)) => Err(not_written("it is stopping")),
        Err(_) => Err(not_written(&format!("the disk did not take it within {WRITTEN_WITHIN:?}"))),
    }
}

fn row(api: &Api, detail: &Detail) -> RowTold {
    RowTold::new(detail.index, &detail.status, api.board.rate(detail.index))
}

/// The id of a publisher as it stands in a path.
pub fn parse(id: &str) -> Result<PublisherId, Problem> {
    id.parse().map_err(|error: lastbeat_wire::InvalidPublisherId| Problem::bad(error.to_string()))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad(format!("the body: {error}")))
}

fn states(text: &str) -> Result<Vec<PublisherState>, Problem> {
    let state = |word: &str| {
        PublisherState::ALL
            .into_iter()
            .find(|state| state.word() == word.trim())
            .ok_or_else(|| Problem::bad(format!("state: there is no state {word:?}")))
    };
    text.split(',').map(state).collect()
}

impl Maintenance {
    fn span(&self, now: Now) -> Result<Option<Duration>, Problem> {
        match (&self.span, &self.until) {
            (Some(_), Some(_)) => Err(Problem::bad("\"for\" and \"until\" exclude each other")),
            (Some(span), None) => humantime::parse_duration(span)
                .map(Some)
                .map_err(|error| Problem::bad(format!("\"for\" {span:?} is no span like 2h: {error}"))),
            (None, Some(until)) => {
                let time = chrono::DateTime::parse_from_rfc3339(until).ok();
                let time = time.as_ref().and_then(UtcNanos::from_chrono);
                let time = time
                    .ok_or_else(|| Problem::bad(format!("\"until\" {until:?} is no time like 2026-01-31T12:00:00Z")))?;
                if time <= now.utc {
                    return Err(Problem::bad(format!("\"until\" {until:?} is over; it is {} now", now.utc)));
                }
                Ok(Some(time.since(now.utc)))
            }
            (None, None) => Ok(None),
        }
    }
}
