//! Who may: logins, and what a browser may be made to send by a page of somebody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lastbeat_host::Clock;
use lastbeat_wire::{Monotonic, PublisherId};
use subtle::ConstantTimeEq;

use super::config::Credentials;
use super::problem::Problem;

/// What the paths of all beats begin with.
const BEATS: &str = "/api/v1/beat/";
/// Failed logins are told in the log at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Decides who may.
#[derive(Debug, Clone)]
pub struct Access(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    credentials: Credentials,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    told: Option<Monotonic>,
    since: u64,
}

impl Access {
    /// With these credentials; without any for programs and browsers of this machine alone.
    pub fn new(credentials: Credentials) -> Self {
        Self(Arc::new(Rules { credentials, failures: Mutex::default() }))
    }

    fn check(&self, parts: &mut Parts) -> Result<(), Problem> {
        if parts.uri.path() == "/healthz" {
            return Ok(());
        }
        let host = authority(parts);
        if self.0.credentials.are_set() {
            self.log_in(parts)?;
        } else if !host.as_ref().is_some_and(|host| is_loopback(host.host())) {
            let host = host.map_or_else(|| "none".to_owned(), |host| format!("{:?}", host.as_str()));
            let detail = format!(
                "without a login this is served under a name of this machine only, and the host asked for is {host}"
            );
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        if changes_something(parts) { refuse_foreign(parts, host.as_ref()) } else { Ok(()) }
    }

    fn log_in(&self, parts: &mut Parts) -> Result<(), Problem> {
        let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if shown.is_some_and(|shown| self.0.credentials.accept(shown)) {
            return Ok(());
        }
        let beats = shown.map(|shown| self.0.credentials.beats_of(shown)).unwrap_or_default();
        if !beats.is_empty() {
            if !parts.uri.path().starts_with(BEATS) {
                return Err(Problem::new(StatusCode::FORBIDDEN, "this token is good for beats alone"));
            }
            parts.extensions.insert(BeatsOnly(beats.into()));
            return Ok(());
        }
        if shown.is_some() {
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
            self.0.note_failure(peer);
        }
        Err(Problem::new(StatusCode::UNAUTHORIZED, "this needs a login: HTTP Basic, or a bearer token"))
    }
}

/// Of a request whose token is good for the beats of these publishers alone.
#[derive(Debug, Clone)]
pub struct BeatsOnly(Arc<[PublisherId]>);

impl BeatsOnly {
    /// Whether it is good for this one.
    ///
    /// # Errors
    /// If not, the answer.
    pub fn check(&self, publisher: &PublisherId) -> Result<(), Problem> {
        if self.0.contains(publisher) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, format!("this token is not good for the beats of {publisher}")))
    }
}

/// Lets those through who may.
pub async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match access.check(&mut parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => {
            let needs_login = problem.status == StatusCode::UNAUTHORIZED.as_u16();
            let mut response = problem.into_response();
            if needs_login {
                let asked = HeaderValue::from_static(r#"Basic realm="lastbeat", charset="UTF-8""#);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, asked);
            }
            response
        }
    }
}

impl Rules {
    fn note_failure(&self, peer: Option<SocketAddr>) {
        let now = Clock.now().monotonic;
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.since += 1;
        if failures.told.is_none_or(|told| now.since(told) >= TOLD_EVERY) {
            let peer =
                peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.ip().to_canonical().to_string());
            tracing::warn!("HTTP: a login failed, from {peer}; {} since the last such line", failures.since);
            *failures = Failures { told: Some(now), since: 0 };
        }
    }
}

impl Credentials {
    /// Whether the value of `Authorization` is one of these. Takes as long for a wrong one as for a right one.
    fn accept(&self, shown: &str) -> bool {
        match Shown::parse(shown) {
            None => false,
            Some(Shown::Bearer(token)) => self.is_token(&token),
            Some(Shown::Basic(name, password)) => {
                let by_user =
                    self.user.as_ref().is_some_and(|(user, known)| same(&name, user) & same(&password, known.reveal()));
                by_user | self.is_token(&password)
            }
        }
    }

    fn is_token(&self, shown: &str) -> bool {
        self.token.as_ref().is_some_and(|token| same(shown, token.reveal()))
    }

    /// The publishers whose token the value of `Authorization` is. Looks at all of them, whichever it is.
    fn beats_of(&self, shown: &str) -> Vec<PublisherId> {
        let Some(Shown::Bearer(token) | Shown::Basic(_, token)) = Shown::parse(shown) else { return Vec::new() };
        let known = self.beats.iter().filter(|(_, known)| same(&token, known.reveal()));
        known.map(|(publisher, _)| publisher.clone()).collect()
    }
}

/// What the value of `Authorization` holds.
enum Shown {
    Bearer(String),
    Basic(String, String),
}

impl Shown {
    fn parse(shown: &str) -> Option<Self> {
        let (scheme, rest) = shown.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let shown = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (name, password) = shown.split_once(':')?;
        Some(Self::Basic(name.to_owned(), password.to_owned()))
    }
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// The host that was asked for: of HTTP/1 in its header, of HTTP/2 in its address.
fn authority(parts: &Parts) -> Option<Authority> {
    let header = parts.headers.get(header::HOST).map(|host| host.to_str().ok().and_then(|host| host.parse().ok()));
    header.unwrap_or_else(|| parts.uri.authority().cloned())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// Beats change something, also with GET.
fn changes_something(parts: &Parts) -> bool {
    !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) || parts.uri.path().starts_with(BEATS)
}

/// A page of somebody else may make a browser send what changes something, login and all.
fn refuse_foreign(parts: &Parts, host: Option<&Authority>) -> Result<(), Problem> {
    let refused = |what: &str, value: &HeaderValue| {
        let detail =
            format!("a page of another origin may not do this ({what}: {})", String::from_utf8_lossy(value.as_bytes()));
        Problem::new(StatusCode::FORBIDDEN, detail)
    };
    if let Some(site) = parts.headers.get(HeaderName::from_static("sec-fetch-site"))
        && site != "same-origin"
        && site != "none"
    {
        return Err(refused("Sec-Fetch-Site", site));
    }
    if let Some(origin) = parts.headers.get(header::ORIGIN) {
        let named = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
        if !named.is_some_and(|named| host.is_some_and(|host| named.eq_ignore_ascii_case(host.as_str()))) {
            return Err(refused("Origin", origin));
        }
    }
    Ok(())
}
