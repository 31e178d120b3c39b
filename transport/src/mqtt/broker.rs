//! [`Broker`]: one broker, and the library's client with its relay that speak with it. Knows nothing of other brokers, nor of
//! messages.

use std::{fmt, sync::Arc, time::Duration};

use paho_mqtt::{AsyncClient, ConnectOptions, ConnectReturnCode, ConnectToken, Error};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Wanted, client, connect_options,
    relay::{Recipient, Relay},
};
use crate::{MqttEndpoint, TransportError, waiting::wait_for};

/// How long the broker's answer to anything but a connection is waited for.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

const GONE: &str = "the broker is gone or did not answer in time";

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

/// A broker that may be connected to, and what we bring along to it alone: its address, our name and password there, its TLS.
pub(super) struct Broker {
    /// Which one of the list it is, from 0.
    pub(super) number: usize,
    /// Its URL without the password, for people.
    pub(super) place: Arc<str>,
    pub(super) client: AsyncClient,
    relay: Relay,
    options: ConnectOptions,
    stop: CancellationToken,
    lost: Arc<Notify>,
}

impl Broker {
    /// Connects to nothing yet. All waiting ends when `stop` is told.
    pub(super) fn new(
        (number, endpoint): (usize, &MqttEndpoint),
        wanted: &Wanted,
        recipient: Recipient,
        stop: CancellationToken,
    ) -> Result<Self, TransportError> {
        let relay = Relay::start(endpoint, wanted.keepalive, recipient)?;
        let client = client(endpoint, wanted, &relay)?;
        let lost = Arc::new(Notify::new());
        let told = Arc::clone(&lost);
        client.set_connection_lost_callback(move |_| told.notify_one());
        let options = connect_options(endpoint, wanted);
        Ok(Self { number, place: endpoint.to_string().into(), client, relay, options, stop, lost })
    }

    /// Waits for an answer of the broker, until told to stop.
    pub(super) fn answer<T>(
        &self,
        token: impl Future<Output = Result<T, Error>>,
        limit: Option<Duration>,
    ) -> Result<T, Failure> {
        self.unless_stopped(token, limit)?.map_err(|error| failure(&error))
    }

    fn unless_stopped<T>(&self, answer: impl Future<Output = T>, limit: Option<Duration>) -> Result<T, Failure> {
        let stoppable = async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(Failure::Stopped),
                answer = answer => Ok(answer),
            }
        };
        wait_for(stoppable, limit).unwrap_or_else(|| Err(Failure::Broken("the broker does not answer".to_owned())))
    }

    /// Whether the broker remembers this client's subscriptions.
    pub(super) fn connect(&self) -> Result<bool, Failure> {
        // An earlier try had got as far as this and failed afterwards.
        self.leave();
        // The library gives up by itself in time.
        let mut connecting = self.client.connect(self.options.clone());
        let connected = self.unless_stopped(&mut connecting, None).inspect_err(|_| self.give_up(connecting))?;
        let response = connected.map_err(|error| match (&error, self.relay.take_error()) {
            // What the broker says counts for more than that it then hangs up.
            (Error::ConnectReturn(_), _) | (_, None) => failure(&error),
            // The library only knows that the relay has hung up.
            (_, Some(reason)) => Failure::Broken(reason),
        })?;
        Ok(response.connect_response().is_some_and(|response| response.session_present))
    }

    /// What the library holds of a connection that is under way would be the last of this client if we let go of ours. It lets
    /// go of its own with its lock held, which the client's end takes, too: that would be the end of all clients.
    fn give_up(&self, connecting: ConnectToken) {
        self.relay.stop();
        if wait_for(connecting, Some(GOODBYE_LIMIT)).is_none() {
            std::mem::forget(self.client.clone());
        }
        // Takes the lock, so whoever told us of the end has let go by then.
        self.client.is_connected();
    }

    pub(super) fn wait_until_lost(&self) -> Failure {
        loop {
            if let Err(stopped) = self.unless_stopped(self.lost.notified(), None) {
                return stopped;
            }
            // It may be the loss of an earlier connection that was told of late.
            if !self.client.is_connected() {
                let known = self.relay.take_error();
                return Failure::Broken(known.unwrap_or_else(|| GONE.to_owned()));
            }
        }
    }

    /// Says goodbye, where there is still a link.
    pub(super) fn leave(&self) {
        if self.client.is_connected() {
            self.disconnect();
        }
    }

    pub(super) fn disconnect(&self) {
        // Who can't say goodbye is gone without; the broker then sends the will, if there is one.
        if let Some(Err(error)) = wait_for(self.client.disconnect(None), Some(GOODBYE_LIMIT)) {
            tracing::debug!("can't say goodbye to the MQTT broker: {error}");
        }
        self.relay.finish(GOODBYE_LIMIT);
    }
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
