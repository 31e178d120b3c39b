//! The event stream: what changes, as it changes (server-sent events).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use lastbeat_host::Clock;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::problem::Problem;
use crate::board::{Frame, json};

/// Most streams at once; no more than half of the connections, so that questions find the rest.
pub const MOST: usize = 1_000;
/// A stream on which nothing happened for so long gets a comment, so that it is known to be there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Room for the streams. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Streams {
    places: Arc<Semaphore>,
    most: usize,
}

/// One who reads along.
struct Stream {
    /// What it gets first.
    hello: Option<Bytes>,
    frames: Receiver<Frame>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// What changes, as it changes.
///
/// The events: `hello` first (schema Hello), then `update` (schema Update) within some 50 milliseconds of a change, at most
/// every half second where very much changes and at least every five, `flip` (schema Flip) at once, `judgement` (schema Judgement) of a swarm's
/// target or agent at once, and `resync` when this
/// reader was too slow: then ask for the publishers anew.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    responses((status = 200, description = "Server-sent events without end", body = String, content_type = "text/event-stream")))]
pub async fn events(State(api): State<Api>) -> Result<Response, Problem> {
    let place = api.streams.place()?;
    // In this order: what changes after the hello is in the frames.
    let frames = api.board.frames();
    let hello = Some(Bytes::from(api.board.hello(Clock.now())));
    let stream = Stream { hello, frames, stop: api.stop.clone(), _place: place };
    let body = futures_util::stream::unfold(stream, |mut stream| async move {
        let frame = stream.next().await?;
        Some((Ok::<_, Infallible>(frame), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Asks nginx to pass on each piece at once.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

impl Streams {
    /// For at most half of so many connections.
    pub fn among(connections: usize) -> Self {
        let most = MOST.min(connections / 2);
        Self { places: Arc::new(Semaphore::new(most)), most }
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.most - self.places.available_permits()
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let full = |_| Problem::unavailable(format!("{} event streams are open, no more are possible", self.most));
        Arc::clone(&self.places).try_acquire_owned().map_err(full)
    }
}

impl Stream {
    /// The next piece; `None` when the program stops.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(hello) = self.hello.take() {
            return Some(hello);
        }
        let quiet = Clock.instant(Clock.now().monotonic.plus(KEEP_ALIVE));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            frame = self.frames.recv() => match frame {
                Ok(frame) => Some(frame),
                Err(RecvError::Lagged(_)) => {
                    self.frames = self.frames.resubscribe();
                    Some(Bytes::from(json::resync()))
                }
                Err(RecvError::Closed) => None,
            },
            () = tokio::time::sleep_until(quiet.into()) => Some(Bytes::from_static(b":\n\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast;

    fn stream(frames: Receiver<Frame>) -> Stream {
        let place = Streams::among(2).place().unwrap();
        Stream { hello: Some(Bytes::from_static(b"hello")), frames, stop: CancellationToken::new(), _place: place }
    }

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_to_begin_anew_and_goes_on_with_what_is_new() {
        let frames = broadcast::Sender::new(2);
        let mut stream = stream(frames.subscribe());
        assert_eq!(stream.next().await.unwrap(), "hello");
        for frame in ["1", "2", "3"] {
            frames.send(Bytes::from_static(frame.as_bytes())).unwrap();
        }
        assert_eq!(stream.next().await.unwrap(), json::resync());
        frames.send(Bytes::from_static(b"4")).unwrap();
        assert_eq!(stream.next().await.unwrap(), "4");
    }

    #[test]
    fn there_are_as_many_streams_as_there_are_places() {
        let streams = Streams::among(5);
        let held = [streams.place().unwrap(), streams.place().unwrap()];
        assert_eq!((streams.place().unwrap_err().status, streams.open()), (503, 2));
        drop(held);
        assert_eq!(streams.open(), 0);
        assert_eq!(Streams::among(1_000_000).most, 1_000);
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_program_stops() {
        let frames = broadcast::Sender::new(2);
        let mut stream = stream(frames.subscribe());
        stream.next().await.unwrap();
        stream.stop.cancel();
        assert_eq!(stream.next().await, None);
    }
}
