//! [`Endpoint`]: where a link goes and by which transport, read from a URL. Opens nothing.

use std::{fmt, path::PathBuf, str::FromStr};

use url::Url;

use crate::{TransportError, zeromq::Lock};

/// Where a link goes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `zmq+tcp://host:port[?bind]` or `zmq+ipc:///path[?bind]`; with `server=`, or with `bind` and `key=`, locked.
    Zmq(ZmqEndpoint),
    /// `mqtt://[user[:password]@]host[:1883]` or `mqtts://…[:8883][?ca=file&cert=file&key=file]`.
    Mqtt(MqttEndpoint),
    /// `memory://name`: within this process, for tests.
    Memory(String),
}

/// A ZeroMQ address and which side opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZmqEndpoint {
    /// As libzmq writes it: `tcp://127.0.0.1:5555`, `tcp://[::1]:5555`, `ipc:///run/lastbeat.sock`.
    pub address: String,
    /// Connect to it, or bind it.
    pub way: Way,
    /// Which keys it takes.
    pub lock: Lock,
}

/// Which side of a ZeroMQ link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Go there.
    Connect,
    /// Wait there, for the direct way without a broker.
    Bind,
}

/// An MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttEndpoint {
    /// Name or address; an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Who we are to the broker.
    pub user: Option<String>,
    /// The password, where the URL holds one; else `LASTBEAT_MQTT_PASSWORD` is read when the link is opened.
    pub password: Option<Password>,
    /// Whether and how the link is encrypted.
    pub security: Security,
}

/// Whether and how an MQTT link is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// In the clear.
    Plain,
    /// TLS.
    Tls(Tls),
}

/// Which certificates go with TLS, all in PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities to trust; `None` trusts the system's.
    pub ca: Option<PathBuf>,
    /// What the broker is shown, if it asks.
    pub client: Option<ClientCertificate>,
}

/// A client's certificate and its key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by those that lead to an authority that the broker knows.
    pub certificate: PathBuf,
    /// Its key, not encrypted.
    pub key: PathBuf,
}

/// A password that doesn't print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Wraps a password.
    pub fn new(password: String) -> Self {
        Self(password)
    }

    /// The password in the clear.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Endpoint {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        let refuse = |reason: String| TransportError::Url { url: without_password(text), reason };
        let url = Url::parse(text).map_err(|error| refuse(format!("is no URL: {error}")))?;
        match url.scheme() {
            "zmq+tcp" => zmq_tcp(&url),
            "zmq+ipc" => zmq_ipc(&url),
            "mqtt" => mqtt(&url, 1883, Security::Plain),
            "mqtts" => mqtt(&url, 8883, Security::Tls(Tls::default())),
            "memory" => memory(&url),
            other => Err(format!("no transport is called {other:?}; there are zmq+tcp, zmq+ipc, mqtt, mqtts, memory")),
        }
        .map_err(refuse)
    }
}

/// Also for what turned out to be no URL.
fn without_password(text: &str) -> String {
    let Some(at) = text.rfind('@') else { return text.to_owned() };
    let user = text.find("://").map_or(0, |scheme| scheme + 3);
    match text.get(user..at).and_then(|user| user.find(':')) {
        Some(colon) => format!("{}:***{}", &text[..user + colon], &text[at..]),
        None => text.to_owned(),
    }
}

fn zmq_tcp(url: &Url) -> Result<Endpoint, String> {
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
    let port = url.port().ok_or("names no port: zmq+tcp://host:port")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("ZeroMQ has no users".to_owned());
    }
    no_path(url)?;
    let (way, lock) = way_and_lock(url)?;
    if way == Way::Connect && (host == "*" || port == 0) {
        return Err("\"*\" and port 0 are for ?bind only".to_owned());
    }
    Ok(Endpoint::Zmq(ZmqEndpoint { address: format!("tcp://{host}:{port}"), way, lock }))
}

fn zmq_ipc(url: &Url) -> Result<Endpoint, String> {
    let path = percent_decode(url.path())?;
    // Without the slashes it would be a path from wherever the program was started.
    if url.host_str().is_some_and(|host| !host.is_empty()) || !path.starts_with('/') || path.len() < 2 {
        return Err("names no file: zmq+ipc:///path/to.sock".to_owned());
    }
    if path.contains(char::is_control) {
        return Err("has a control character in its path".to_owned());
    }
    let (way, lock) = way_and_lock(url)?;
    Ok(Endpoint::Zmq(ZmqEndpoint { address: format!("ipc://{path}"), way, lock }))
}

fn way_and_lock(url: &Url) -> Result<(Way, Lock), String> {
    let mut way = Way::Connect;
    let (mut server, mut key, mut allow) = (None, None, None);
    for (name, value) in url.query_pairs() {
        let place = match &*name {
            "bind" if value.is_empty() => {
                way = Way::Bind;
                continue;
            }
            "server" => &mut server,
            "key" => &mut key,
            "allow" => &mut allow,
            other => return Err(format!("no option is called {other:?}; there are bind, server, key and allow")),
        };
        if value.is_empty() {
            return Err(format!("option {name} has no value"));
        }
        *place = Some(value.into_owned());
    }
    let key = key.map(PathBuf::from);
    let lock = match (way, server, allow) {
        (_, None, None) if key.is_none() => Lock::Open,
        (Way::Connect, Some(server), None) => Lock::Client { server, key },
        (Way::Connect, None, None) => return Err("option key needs server=, the other side's public key".to_owned()),
        (Way::Connect, _, Some(_)) => return Err("option allow is for ?bind".to_owned()),
        (Way::Bind, Some(_), _) => return Err("option server is for whoever connects, not for ?bind".to_owned()),
        (Way::Bind, None, allow) => Lock::Server { key, allow: allow.map(PathBuf::from) },
    };
    Ok((way, lock))
}

fn mqtt(url: &Url, default_port: u16, mut security: Security) -> Result<Endpoint, String> {
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?.to_owned();
    no_path(url)?;
    if let Security::Tls(tls) = &mut security {
        *tls = tls_options(url)?;
    } else if let Some((name, _)) = url.query_pairs().next() {
        return Err(format!("option {name} is for mqtts, if there is one"));
    }
    let user = Some(percent_decode(url.username())?).filter(|user| !user.is_empty());
    let password = url.password().map(percent_decode).transpose()?.map(Password);
    if user.is_none() && password.is_some() {
        return Err("has a password without a user".to_owned());
    }
    Ok(Endpoint::Mqtt(MqttEndpoint { host, port: url.port().unwrap_or(default_port), user, password, security }))
}

fn tls_options(url: &Url) -> Result<Tls, String> {
    let (mut ca, mut certificate, mut key) = (None, None, None);
    for (name, value) in url.query_pairs() {
        let place = match &*name {
            "ca" => &mut ca,
            "cert" => &mut certificate,
            "key" => &mut key,
            other => return Err(format!("no option is called {other:?}; there are ca, cert and key")),
        };
        if value.is_empty() {
            return Err(format!("option {name} names no file"));
        }
        *place = Some(PathBuf::from(&*value));
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        _ => return Err("options cert and key come together".to_owned()),
    };
    Ok(Tls { ca, client })
}

fn memory(url: &Url) -> Result<Endpoint, String> {
    let name = url.host_str().filter(|name| !name.is_empty()).ok_or("has no name: memory://name")?;
    no_path(url)?;
    match url.query() {
        None => Ok(Endpoint::Memory(name.to_owned())),
        Some(other) => Err(format!("no option is called {other:?}; there is none")),
    }
}

fn no_path(url: &Url) -> Result<(), String> {
    match url.path() {
        "" | "/" => Ok(()),
        path => Err(format!("has a path {path:?} that means nothing here")),
    }
}

fn percent_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
        let [Some(high), Some(low)] = digits else { return Err("has a % without two hexadecimal digits".to_owned()) };
        bytes.push(u8::try_from(high * 16 + low).expect("invariant: two hexadecimal digits make a byte"));
    }
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 once decoded: {error}"))
}

/// The URL without its password.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zmq(zmq) => zmq.fmt(f),
            Self::Mqtt(mqtt) => mqtt.fmt(f),
            Self::Memory(name) => write!(f, "memory://{name}"),
        }
    }
}

/// The URL; it holds no secret.
impl fmt::Display for ZmqEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, way, lock } = self;
        let options = [if *way == Way::Bind { "bind".to_owned() } else { String::new() }, lock.to_string()];
        let options: Vec<_> = options.into_iter().filter(|option| !option.is_empty()).collect();
        let mark = if options.is_empty() { "" } else { "?" };
        write!(f, "zmq+{address}{mark}{}", options.join("&"))
    }
}

/// The URL without its password.
impl fmt::Display for MqttEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.security == Security::Plain { "mqtt://" } else { "mqtts://" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)?;
        let Security::Tls(Tls { ca, client }) = &self.security else { return Ok(()) };
        let (certificate, key) =
            (client.as_ref().map(|client| &client.certificate), client.as_ref().map(|client| &client.key));
        let mut mark = '?';
        for (name, path) in [("ca", ca.as_ref()), ("cert", certificate), ("key", key)] {
            if let Some(path) = path {
                write!(f, "{mark}{name}={}", path.display())?;
                mark = '&';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
