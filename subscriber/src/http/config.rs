//! [`HttpConfig`]: where the page and the API are served, to whom, and with which certificate.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lastbeat_transport::Password;
use lastbeat_wire::PublisherId;
use serde::Deserialize;

use super::tls;
use crate::cli::HttpArgs;

/// Where it listens unless told otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);

/// How the page and the API are served.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address.
    pub listen: SocketAddr,
    /// Whether somebody asked for this address. If not, the program goes on without it where it is taken.
    pub asked_for: bool,
    /// Who may.
    pub credentials: Credentials,
    /// With it HTTPS, else HTTP.
    pub tls: Option<tls::Certificate>,
}

/// What whoever asks has to show; nothing where all of it is `None`.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The name and the password of HTTP Basic.
    pub user: Option<(String, Password)>,
    /// A bearer token, or a password of HTTP Basic with any name.
    pub token: Option<Password>,
    /// Tokens that are good for the beats of one publisher, and for nothing else.
    pub beats: Vec<(PublisherId, Password)>,
}

/// The table `[http]` of the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpFile {
    listen: Option<String>,
    user: Option<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Credentials {
    /// Whether there are any.
    pub fn are_set(&self) -> bool {
        self.user.is_some() || self.token.is_some()
    }

    /// Adds the token in a file, which is good for the beats of one publisher alone.
    ///
    /// # Errors
    /// When there is no token in it, or no login for all else: who needs none needs no token.
    pub fn add_beats(&mut self, publisher: PublisherId, file: &Path) -> anyhow::Result<()> {
        if !self.are_set() {
            bail!(
                "publisher {publisher} has a token_file, but the page and the API need no login: set --http-user and its \
                 password, or LASTBEAT_HTTP_TOKEN"
            );
        }
        let token = read_secret(file)?;
        if self.token.as_ref().is_some_and(|all| all.reveal() == token.reveal()) {
            bail!("publisher {publisher}: {} holds the token that is good for everything", file.display());
        }
        self.beats.push((publisher, token));
        Ok(())
    }
}

impl HttpConfig {
    /// Puts the command line, the file and the environment's secrets together; `None`: nothing is to be served.
    pub fn from_env(args: &HttpArgs, file: HttpFile) -> anyhow::Result<Option<Self>> {
        let asked = args.http.as_ref().or(file.listen.as_ref());
        let listen = match asked.map(String::as_str) {
            Some("off") => return Ok(None),
            Some(text) => address(text)?,
            None => DEFAULT,
        };
        let password = secret(args.http_password_file.as_deref(), "LASTBEAT_HTTP_PASSWORD")?;
        let token = secret(args.http_token_file.as_deref(), "LASTBEAT_HTTP_TOKEN")?;
        let user = match (args.http_user.clone().or(file.user), password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            (Some(user), None) => bail!(
                "the HTTP user {user:?} has no password: set LASTBEAT_HTTP_PASSWORD or give --http-password-file FILE"
            ),
            (None, Some(_)) => bail!("there is an HTTP password, but no user: give --http-user NAME"),
        };
        let credentials = Credentials { user, token, beats: Vec::new() };
        let certificate = args.http_certificate.clone().or(file.certificate);
        let tls = match (certificate, args.http_key.clone().or(file.key)) {
            (Some(certificate), Some(key)) => Some(tls::Certificate::load(&certificate, &key)?),
            (None, None) => None,
            (Some(_), None) => bail!("there is an HTTP certificate, but no key: give --http-key FILE"),
            (None, Some(_)) => bail!("there is an HTTP key, but no certificate: give --http-certificate FILE"),
        };
        if !listen.ip().is_loopback() && !credentials.are_set() {
            bail!(
                "--http {listen} can be reached from other machines, so it needs a login: give --http-user NAME and set \
                 LASTBEAT_HTTP_PASSWORD (or --http-password-file FILE), or set LASTBEAT_HTTP_TOKEN (or --http-token-file \
                 FILE); or listen on 127.0.0.1"
            );
        }
        Ok(Some(Self { listen, asked_for: asked.is_some(), credentials, tls }))
    }
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse()
        .with_context(|| format!("--http {text:?} is neither \"off\" nor an address like 127.0.0.1:8787 or [::1]:8787"))
}

/// A secret from a file, else from the environment. An empty one there is none.
fn secret(file: Option<&Path>, variable: &str) -> anyhow::Result<Option<Password>> {
    if let Some(path) = file {
        return read_secret(path).map(Some);
    }
    Ok(std::env::var(variable).ok().filter(|text| !text.is_empty()).map(Password::new))
}

/// A secret from a file, its last line's end left out.
fn read_secret(path: &Path) -> anyhow::Result<Password> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        bail!("{}: holds no secret", path.display());
    }
    Ok(Password::new(text.to_owned()))
}
