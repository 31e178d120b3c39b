//! [`InfluxConfig`]: which server, and as whom. Parsed from one URL and two environment variables.

use std::path::PathBuf;

use url::{Host, Url};

use crate::secret::Secret;
use crate::server_url::{InvalidUrl, ServerUrl, decoded};

/// The variable that holds the password of an InfluxDB 1.x user.
pub const PASSWORD_VARIABLE: &str = "LASTBEAT_INFLUX_PASSWORD";
/// The variable that holds the token for InfluxDB 2.x or later.
pub const TOKEN_VARIABLE: &str = "LASTBEAT_INFLUX_TOKEN";
const DEFAULT_DATABASE: &str = "lastbeat";

/// A server and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfluxConfig {
    /// Where it listens, without a slash at the end: `http://localhost:8086`.
    pub base: String,
    /// PEM file with the authorities to trust, of a server with `https`: `…?ca=FILE`; `None` trusts the system's.
    pub ca: Option<PathBuf>,
    /// The two generations of InfluxDB.
    pub access: Access,
}

/// What differs between the generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// InfluxDB 1.x: `http://user@host:8086/database?retention=name`; user and retention may be left out.
    V1 {
        /// Created when it isn't there.
        database: String,
        /// A user and its password.
        user: Option<(String, Secret)>,
        /// A retention policy other than the database's default.
        retention: Option<String>,
    },
    /// InfluxDB 2.x or later: `http://host:8086?org=name&bucket=name`.
    V2 {
        /// The organization.
        org: String,
        /// Must be there already.
        bucket: String,
        /// One that may write to the bucket.
        token: Secret,
    },
}

/// Why a URL is no server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a URL.
    #[error("InfluxDB {0}")]
    Url(#[from] InvalidUrl),
    /// A secret that is needed is not in the environment.
    #[error("InfluxDB at {base}: {needed} needs {variable} in the environment")]
    Secret {
        /// The server.
        base: String,
        /// Who or what needs it.
        needed: String,
        /// The variable's name.
        variable: &'static str,
    },
}

impl InfluxConfig {
    /// Whether the server is on this host, as far as its name tells.
    pub fn is_on_this_host(&self) -> bool {
        Url::parse(&self.base).is_ok_and(|url| is_on_this_host(&url))
    }

    /// Parses a URL, with the secrets taken from the environment.
    pub fn from_env(url: &str) -> Result<Self, ConfigError> {
        Self::parse(url, |name| std::env::var(name).ok())
    }

    /// Parses a URL; `secret` looks a variable up.
    pub fn parse(text: &str, secret: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = ServerUrl::parse(text, PASSWORD_VARIABLE)?;
        let (mut org, mut bucket, mut retention, mut ca) = (None, None, None, None);
        for (name, value) in &given.query {
            let place = match name.as_str() {
                "org" => &mut org,
                "bucket" => &mut bucket,
                "retention" => &mut retention,
                "ca" => {
                    ca = Some(given.authorities(value)?);
                    continue;
                }
                other => return Err(given.invalid(&format!("{other:?} is none of org, bucket, retention, ca")).into()),
            };
            *place = Some(value.clone());
        }
        let (mut url, user) = (given.base.clone(), given.user.clone());
        let needs = |variable, base: &str, needed: String| {
            secret(variable).filter(|secret| !secret.is_empty()).map(Secret::new).ok_or(ConfigError::Secret {
                base: base.to_owned(),
                needed,
                variable,
            })
        };
        match (org, bucket) {
            (None, None) => {
                let mut path: Vec<_> = url.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect();
                let database = path.pop().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
                url.set_path(&path.join("/"));
                let base = url.as_str().trim_end_matches('/').to_owned();
                let with_password = |user: String| {
                    let password = needs(PASSWORD_VARIABLE, &base, format!("user {user:?}"))?;
                    Ok::<_, ConfigError>((user, password))
                };
                let user = user.map(with_password).transpose()?;
                Ok(Self { base, ca, access: Access::V1 { database, user, retention } })
            }
            (Some(org), Some(bucket)) if retention.is_none() && user.is_none() => {
                let base = url.as_str().trim_end_matches('/').to_owned();
                let token = needs(TOKEN_VARIABLE, &base, format!("bucket {bucket:?}"))?;
                Ok(Self { base, ca, access: Access::V2 { org, bucket, token } })
            }
            (Some(_), Some(_)) => {
                Err(given.invalid("a user or retention goes with InfluxDB 1.x, org and bucket with 2.x").into())
            }
            _ => Err(given.invalid("org and bucket come together").into()),
        }
    }

    /// What tells this target from others, for logs and for the cursor: no secret in it.
    pub fn target(&self) -> String {
        match &self.access {
            Access::V1 { database, retention: None, .. } => format!("{}/{database}", self.base),
            Access::V1 { database, retention: Some(retention), .. } => {
                format!("{}/{database}?retention={retention}", self.base)
            }
            Access::V2 { org, bucket, .. } => format!("{}?org={org}&bucket={bucket}", self.base),
        }
    }
}

/// Whether a URL names this host, as far as a name tells.
pub fn is_on_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<InfluxConfig, String> {
        InfluxConfig::parse(url, |name| Some(format!("<{name}>"))).map_err(|error| error.to_string())
    }

    #[test]
    fn version_1_is_a_database_in_the_path() {
        let config = parse("http://me%40home@localhost:8086/my%20readings?retention=a%20year").unwrap();
        assert_eq!(config.base, "http://localhost:8086");
        let user = Some(("me@home".to_owned(), Secret::new("<LASTBEAT_INFLUX_PASSWORD>".to_owned())));
        let (database, retention) = ("my readings".to_owned(), Some("a year".to_owned()));
        assert_eq!(config.access, Access::V1 { database, user, retention });
        assert_eq!(parse("http://h:1").unwrap().target(), "http://h:1/lastbeat");
        assert_eq!(parse("https://h/behind/a/proxy/db").unwrap().target(), "https://h/behind/a/proxy/db");
        assert_eq!(parse("https://h/behind/a/proxy/db").unwrap().base, "https://h/behind/a/proxy");
    }

    #[test]
    fn version_2_is_an_org_and_a_bucket() {
        let config = parse("http://localhost:8086/?org=home&bucket=readings").unwrap();
        assert_eq!(config.target(), "http://localhost:8086?org=home&bucket=readings");
        let Access::V2 { token, .. } = config.access else { panic!("{config:?}") };
        assert_eq!(token.reveal(), "<LASTBEAT_INFLUX_TOKEN>");
    }

    #[test]
    fn an_authority_goes_with_https_and_is_no_part_of_the_target() {
        let config = parse("https://h/db?ca=/etc/ca.pem").unwrap();
        assert_eq!((config.ca.as_deref(), config.target().as_str()), (Some("/etc/ca.pem".as_ref()), "https://h/db"));
        assert!(parse("https://h?org=o&bucket=b&ca=/etc/ca.pem").unwrap().ca.is_some());
    }

    #[test]
    fn secrets_are_not_shown() {
        for url in ["http://me@h/db", "http://h?org=o&bucket=b"] {
            let shown = format!("{:?}", parse(url).unwrap());
            assert!(shown.contains("***") && !shown.contains("LASTBEAT"), "{shown}");
        }
        let error = parse("http://me:hunter2@h/db").unwrap_err();
        assert!(error.contains("LASTBEAT_INFLUX_PASSWORD") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, reason) in [
            ("localhost", "relative URL"),
            ("mqtt://h", "neither http"),
            ("http://h?org=o", "come together"),
            ("http://h?orgs=o", "\"orgs\" is none of"),
            ("http://h?ca=x", "is for https"),
            ("https://h?ca=", "names a file"),
            ("http://me@h?org=o&bucket=b", "goes with InfluxDB 1.x"),
            ("http://me:hunter2@h:8086/db", "LASTBEAT_INFLUX_PASSWORD"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
        }
        let error = InfluxConfig::parse("http://me@h:1/db", |_| None).unwrap_err().to_string();
        assert_eq!(error, "InfluxDB at http://h:1: user \"me\" needs LASTBEAT_INFLUX_PASSWORD in the environment");
    }

    #[test]
    fn a_server_is_on_this_host_where_its_name_is_that_of_loopback() {
        let is_here = |url: &str| InfluxConfig::parse(url, |_| None).unwrap().is_on_this_host();
        for url in ["http://localhost:8086", "https://127.0.0.1", "http://127.3.2.1/db", "http://[::1]:8086"] {
            assert!(is_here(url), "{url}");
        }
        for url in ["http://influx:8086", "http://localhost.example", "http://10.0.0.1", "http://[fe80::1]:8086"] {
            assert!(!is_here(url), "{url}");
        }
    }
}
