//! Transport `mqtt` and `mqtts`: at least once (quality of service 1) over MQTT 3.1.1 with a persistent session. What both ends have in common.
//!
//! 3.1.1 and not 5: every broker speaks it, and nothing that 5 adds is needed here. The client library runs one thread
//! for receiving and one for sending for all clients of a process, and holds its lock while it calls us.

mod broker;
mod canary;
mod carry;
mod connector;
mod flow;
mod heard;
mod outbound;
mod own;
pub mod packets;
mod pulse;
mod relay;
mod rounds;
mod subscriber;
mod tls;

use std::time::Duration;

use paho_mqtt::{ConnectOptions, ConnectOptionsBuilder, CreateOptionsBuilder, Message, PersistenceType};

use crate::{MqttEndpoint, Password, TransportError};

pub(crate) use outbound::publish;
use relay::Relay;
pub(crate) use subscriber::subscribe;

/// Where the password is looked for when the URL has a user without one.
const PASSWORD_VARIABLE: &str = "LASTBEAT_MQTT_PASSWORD";

/// However rarely somebody is to be heard, a link that is dead is left after three times as long.
const LONGEST_KEEPALIVE: Duration = Duration::from_mins(1);

/// What one end asks of the client library.
struct Wanted {
    client_id: String,
    keepalive: Duration,
    /// Most messages of ours under way.
    inflight: usize,
    /// Whether the broker keeps what arrives while we are away.
    keeps_session: bool,
    will: Option<(String, Vec<u8>)>,
}

/// How long a broker may take to accept a connection, or bytes.
fn patience(keepalive: Duration) -> Duration {
    keepalive.max(Duration::from_secs(1))
}

/// The library's own, which is in whole seconds; the relay notices sooner. To the library a dead link shows two and a half
/// of MQTT's keepalives after the last packet: one until the ping, one and a half until the missing answer is noticed.
fn mqtt_keepalive(keepalive: Duration) -> Duration {
    let whole_seconds = Duration::from_secs((keepalive / 5 * 2).as_secs());
    whole_seconds.clamp(Duration::from_secs(1), Duration::from_secs(65_535))
}

fn client(endpoint: &MqttEndpoint, wanted: &Wanted, relay: &Relay) -> Result<paho_mqtt::AsyncClient, TransportError> {
    let buffered = i32::try_from(wanted.inflight).unwrap_or(i32::MAX).saturating_add(1);
    CreateOptionsBuilder::new_v3()
        .server_uri(format!("tcp://{}", relay.address()))
        .client_id(&wanted.client_id)
        // What was taken is held here and sent again here; what was received is in the log.
        .persistence(PersistenceType::None)
        .max_buffered_messages(buffered)
        .create_client()
        .map_err(|source| failed(endpoint, "can't make a client", source))
}

fn connect_options(endpoint: &MqttEndpoint, wanted: &Wanted) -> ConnectOptions {
    let mut options = ConnectOptionsBuilder::new_v3();
    options
        .keep_alive_interval(mqtt_keepalive(wanted.keepalive))
        // Reaching the broker, TLS with it and its answer are each given that by the relay, which says what failed.
        .connect_timeout(patience(wanted.keepalive) * 4)
        .clean_session(!wanted.keeps_session)
        .max_inflight(i32::try_from(wanted.inflight).unwrap_or(i32::MAX));
    if let Some((topic, payload)) = &wanted.will {
        options.will_message(Message::new(topic, payload.as_slice(), paho_mqtt::QOS_1));
    }
    if let Some(user) = &endpoint.user {
        options.user_name(user);
        let from_environment = || std::env::var(PASSWORD_VARIABLE).ok().map(Password::new);
        if let Some(password) = endpoint.password.clone().or_else(from_environment) {
            options.password(password.reveal());
        }
    }
    options.finalize()
}

fn failed(endpoint: &MqttEndpoint, doing: &'static str, source: paho_mqtt::Error) -> TransportError {
    TransportError::Mqtt { place: endpoint.to_string(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalive_is_short_enough_to_notice_in_time() {
        assert_eq!(mqtt_keepalive(Duration::from_secs(10)), Duration::from_secs(4));
        assert_eq!(mqtt_keepalive(Duration::from_millis(600)), Duration::from_secs(1));
        assert_eq!(mqtt_keepalive(Duration::MAX), Duration::from_secs(65_535));
    }
}
