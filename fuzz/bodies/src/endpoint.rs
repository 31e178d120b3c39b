//! Any text as the URL of a link: refused, or one that is shown without its password and read again.

use lastbeat_transport::Endpoint;

pub fn endpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let endpoint = match text.parse::<Endpoint>() {
        Ok(endpoint) => endpoint,
        Err(error) => return drop(error.to_string()),
    };
    let shown = endpoint.to_string();
    match &endpoint {
        Endpoint::Zmq(_) | Endpoint::Memory(_) => {
            // A path of ipc is shown as it is, not encoded.
            if !shown.contains(['%', '?', '#', '\\']) && !shown.contains(char::is_whitespace) && !shown.contains("/.") {
                assert_eq!(shown.parse::<Endpoint>().ok(), Some(endpoint), "{shown:?}");
            }
        }
        Endpoint::Mqtt(mqtt) => {
            if let Some(password) = &mqtt.password {
                let password = password.reveal();
                let open = format!("{}{:?}{:?}", mqtt.host, mqtt.user, mqtt.security);
                let long = password.len() > 3 && !open.contains(password) && !shown.starts_with(password);
                assert!(
                    !long || !(shown.contains(password) || format!("{endpoint:?}").contains(&format!("{password:?}")))
                );
            }
        }
    }
}
