//! [`Problem`]: what a client is told when there is no answer (RFC 9457).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::HistoryError;

/// Why there is no answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, with its name and its value.
    pub detail: String,
}

impl Problem {
    /// A problem of this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        Self { title, status: status.as_u16(), detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response()
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let status = match &error {
            HistoryError::Parameter { .. } => StatusCode::BAD_REQUEST,
            HistoryError::NoPublisher(_) => StatusCode::NOT_FOUND,
            HistoryError::Busy { .. } | HistoryError::TooLong { .. } => StatusCode::SERVICE_UNAVAILABLE,
            HistoryError::Failed(error) => {
                tracing::warn!("the history: {error:#}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error.to_string())
    }
}

/// The problems that a question about the past can have, for the API's description.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "its derive is all there is to it")]
pub enum Problems {
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
