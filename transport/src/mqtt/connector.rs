//! [`Connector`]: keeps one MQTT client connected, with capped backoff and jitter. Knows nothing of messages.

use std::{fmt, sync::Arc, time::Duration};

use lastbeat_host::Clock;
use paho_mqtt::{AsyncClient, ConnectOptions, ConnectReturnCode, Error};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::relay::Relay;
use crate::{backoff::Backoff, waiting::wait_for};

const FIRST_WAIT: Duration = Duration::from_millis(100);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A refused password is tried again in case it is put right at the broker, but brokers lock out who tries too often.
const WAIT_WHEN_REFUSED: Duration = Duration::from_mins(1);
/// A link that lasted so long starts the waits afresh. A shorter one may be two clients throwing each other out.
const LASTED: Duration = Duration::from_secs(10);
/// How long the broker's answer to anything but a connection is waited for.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// We were told to stop.
    Stopped,
    /// The broker doesn't let us in.
    Refused(String),
    /// Anything that may pass.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Refused(reason) => write!(f, "the broker refuses to let us in: {reason}"),
            Self::Broken(reason) => f.write_str(reason),
        }
    }
}

/// What one end does when its link comes and goes.
pub(super) trait End {
    /// The link is up; `session_kept` says that the broker remembers this client's subscriptions.
    fn up(&mut self, connector: &Connector, session_kept: bool) -> Result<(), Failure>;

    /// The link is down, or couldn't be brought up.
    fn down(&mut self, failure: &Failure);

    /// The longest wait between two tries to reach a broker that does not answer.
    fn longest_wait(&self) -> Duration {
        LONGEST_WAIT
    }
}

/// Keeps one client connected until it is told to stop.
pub(super) struct Connector {
    pub(super) client: AsyncClient,
    relay: Relay,
    options: ConnectOptions,
    stop: CancellationToken,
    lost: Arc<Notify>,
}

impl Connector {
    pub(super) fn new(client: AsyncClient, relay: Relay, options: ConnectOptions, stop: CancellationToken) -> Self {
        let lost = Arc::new(Notify::new());
        let told = Arc::clone(&lost);
        client.set_connection_lost_callback(move |_| told.notify_one());
        Self { client, relay, options, stop, lost }
    }

    pub(super) fn run(&self, mut end: impl End) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let start = Clock.now().monotonic;
            let (failure, was_up) = match self.connect().and_then(|session_kept| end.up(self, session_kept)) {
                Ok(()) => (self.wait_until_lost(), true),
                Err(failure) => (failure, false),
            };
            if failure == Failure::Stopped {
                return self.disconnect();
            }
            end.down(&failure);
            if Clock.now().monotonic.since(start) >= LASTED {
                backoff.reset();
            }
            let longest = if was_up { LONGEST_WAIT } else { end.longest_wait() };
            let wait = next_wait(&mut backoff, &failure, longest);
            if wait_for(self.stop.cancelled(), Some(wait)).is_some() {
                return self.disconnect();
            }
        }
    }

    /// Waits for an answer of the broker, until told to stop.
    pub(super) fn answer<T>(
        &self,
        token: impl Future<Output = Result<T, Error>>,
        limit: Option<Duration>,
    ) -> Result<T, Failure> {
        let stoppable = async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(Failure::Stopped),
                answer = token => answer.map_err(|error| failure(&error)),
            }
        };
        wait_for(stoppable, limit).unwrap_or_else(|| Err(Failure::Broken("the broker does not answer".to_owned())))
    }

    fn connect(&self) -> Result<bool, Failure> {
        if self.client.is_connected() {
            // An earlier try had got as far as this and failed afterwards.
            self.disconnect();
        }
        // The library gives up by itself in time.
        let connected = self.answer(self.client.connect(self.options.clone()), None);
        // The library only knows that the relay has hung up.
        let response = match (connected, self.relay.take_error()) {
            (Err(Failure::Broken(_)), Some(error)) => return Err(Failure::Broken(error)),
            (connected, _) => connected?,
        };
        Ok(response.connect_response().is_some_and(|response| response.session_present))
    }

    fn wait_until_lost(&self) -> Failure {
        loop {
            let lost = async {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => Failure::Stopped,
                    () = self.lost.notified() => Failure::Broken("the broker is gone or did not answer in time".to_owned()),
                }
            };
            let failure = wait_for(lost, None).expect("invariant: without a limit there is an output");
            // It may be the loss of an earlier connection that was told of late.
            if failure == Failure::Stopped || !self.client.is_connected() {
                return failure;
            }
        }
    }

    fn disconnect(&self) {
        // Who can't say goodbye is gone without; the broker then sends the will, if there is one.
        if let Some(Err(error)) = wait_for(self.client.disconnect(None), Some(GOODBYE_LIMIT)) {
            tracing::debug!("can't say goodbye to the MQTT broker: {error}");
        }
        self.relay.finish(GOODBYE_LIMIT);
    }
}

fn next_wait(backoff: &mut Backoff, failure: &Failure, longest: Duration) -> Duration {
    if matches!(failure, Failure::Refused(_)) { WAIT_WHEN_REFUSED } else { backoff.wait().min(longest) }
}

fn failure(error: &Error) -> Failure {
    use ConnectReturnCode::{BadUserNameOrPassword, IdentifierRejected, NotAuthorized};
    match error {
        Error::ConnectReturn(code @ (BadUserNameOrPassword | NotAuthorized | IdentifierRejected)) => {
            Failure::Refused(format!("{code} (return code {})", *code as u8))
        }
        Error::ConnectReturn(code) => Failure::Broken(format!("{code} (return code {})", *code as u8)),
        error => Failure::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_tried_as_often_as_its_end_wants_and_one_that_refuses_is_let_be() {
        let longest = Duration::from_millis(500);
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let broken = Failure::Broken("refused".to_owned());
        assert!((0..20).all(|_| next_wait(&mut backoff, &broken, longest) <= longest));
        assert!(next_wait(&mut backoff, &broken, LONGEST_WAIT) > longest, "it goes on where it was");
        assert_eq!(next_wait(&mut backoff, &Failure::Refused("no".to_owned()), longest), WAIT_WHEN_REFUSED);
    }
}
