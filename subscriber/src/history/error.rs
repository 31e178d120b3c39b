//! [`HistoryError`]: why a question about the past has no answer, and what the client is told.

use std::time::Duration;

use axum::http::StatusCode;

use crate::http::Problem;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A parameter that is not as it should be.
    #[error("{name}={value}: {reason}")]
    Parameter {
        /// Its name.
        name: String,
        /// What was given, cut after 100 characters.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody of this name is in the store.
    #[error("publisher {0:?} is not in the store")]
    NoPublisher(String),
    /// Others are being answered.
    #[error("{most} {what} are being answered already; try again later")]
    Busy {
        /// Of what there are too many.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// It took too long.
    #[error("the answer took longer than {} s; ask for a shorter time or for less", longest.as_secs())]
    TooLong {
        /// How long it may take.
        longest: Duration,
    },
    /// The store can't be read, or holds what nobody understands.
    #[error("no answer from the store: {0:#}")]
    Failed(#[from] anyhow::Error),
}

impl HistoryError {
    /// A parameter that is not as it should be.
    pub fn parameter(name: impl Into<String>, value: &str, reason: impl Into<String>) -> Self {
        Self::Parameter { name: name.into(), value: value.chars().take(100).collect(), reason: reason.into() }
    }

    /// Whether SQLite was told to stop.
    pub(super) fn is_interrupt(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
        code == Some(rusqlite::ErrorCode::OperationInterrupted)
    }
}

impl From<rusqlite::Error> for HistoryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
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
