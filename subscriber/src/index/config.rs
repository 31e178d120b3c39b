//! [`IndexConfig`]: which Elasticsearch or OpenSearch, and as whom. Parsed from one URL and two environment variables.

use std::path::PathBuf;

use url::Url;

use super::name::{IndexName, InvalidName};
use crate::secret::Secret;
use crate::server_url::{InvalidUrl, ServerUrl};

/// The variable that holds the password of the user in the URL.
pub const PASSWORD_VARIABLE: &str = "LASTBEAT_INDEX_PASSWORD";
/// The variable that holds an API key, in the form in which it is sent: base64 of `id:key`.
pub const API_KEY_VARIABLE: &str = "LASTBEAT_INDEX_API_KEY";

/// A server and how to get in: `https://user@host:9200/?index=logstash-%Y.%m.%d&ca=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexConfig {
    /// Where it listens, with a slash at the end: `http://localhost:9200/`.
    pub base: Url,
    /// Where documents go.
    pub index: IndexName,
    /// PEM file with the authorities to trust besides the public ones, of a server with `https`.
    pub ca: Option<PathBuf>,
    /// Who asks.
    pub access: Access,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nobody: a server without a login.
    Open,
    /// A user and its password.
    User(String, Secret),
    /// An API key.
    ApiKey(Secret),
}

/// Why a URL is no server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a URL.
    #[error("index {0}")]
    Url(#[from] InvalidUrl),
    /// The name of the index.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// What the environment has.
    #[error("index at {base}: {reason}")]
    Secret {
        /// The server.
        base: String,
        /// What is missing or wrong.
        reason: String,
    },
}

impl IndexConfig {
    /// Parses a URL, with the secrets taken from the environment.
    pub fn from_env(url: &str) -> Result<Self, ConfigError> {
        Self::parse(url, |name| std::env::var(name).ok())
    }

    /// Parses a URL; `secret` looks a variable up.
    pub fn parse(text: &str, secret: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let url = ServerUrl::parse(text, PASSWORD_VARIABLE)?;
        let (mut index, mut ca) = (IndexName::default(), None);
        for (name, value) in &url.query {
            match name.as_str() {
                "index" => index = value.parse()?,
                "ca" => ca = Some(url.authorities(value)?),
                other => return Err(url.invalid(&format!("{other:?} is none of index, ca")).into()),
            }
        }
        let mut base = url.base;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let access = access(&base, url.user, secret)?;
        Ok(Self { base, index, ca, access })
    }

    /// What tells this target from others, for logs and for the cursor: no secret in it.
    pub fn target(&self) -> String {
        format!("{}?index={}", self.base, self.index)
    }
}

fn access(base: &Url, user: Option<String>, secret: impl Fn(&str) -> Option<String>) -> Result<Access, ConfigError> {
    let wrong = |reason: String| Err(ConfigError::Secret { base: base.to_string(), reason });
    let found = |name| secret(name).filter(|text| !text.is_empty());
    match (user, found(API_KEY_VARIABLE)) {
        (Some(user), Some(_)) => {
            wrong(format!("user {user:?}, and {API_KEY_VARIABLE} in the environment: one or the other"))
        }
        (Some(user), None) => match found(PASSWORD_VARIABLE) {
            Some(password) => Ok(Access::User(user, Secret::new(password))),
            None => wrong(format!("user {user:?} needs {PASSWORD_VARIABLE} in the environment")),
        },
        // It stands in a header.
        (None, Some(key)) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            wrong(format!("{API_KEY_VARIABLE} is not the base64 form of a key"))
        }
        (None, Some(key)) => Ok(Access::ApiKey(Secret::new(key))),
        (None, None) => Ok(Access::Open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, variable: &str) -> Result<IndexConfig, String> {
        let secret = |name: &str| (name == variable).then(|| "hunter2".to_owned());
        IndexConfig::parse(url, secret).map_err(|error| error.to_string())
    }

    #[test]
    fn an_index_of_each_day_is_usual_and_one_for_all_may_be_named() {
        let config = parse("http://localhost:9200", "").unwrap();
        assert_eq!(config.target(), "http://localhost:9200/?index=logstash-%Y.%m.%d");
        assert_eq!(parse(&config.target(), "").unwrap(), config);
        assert_eq!(
            parse("https://h/behind/a/proxy?index=swarm", "").unwrap().target(),
            "https://h/behind/a/proxy/?index=swarm"
        );
    }

    #[test]
    fn who_asks_is_a_user_or_a_key_and_never_shown() {
        let user = parse("http://me%40home&+co@h:9200/?index=swarm", PASSWORD_VARIABLE).unwrap();
        assert!(
            matches!(&user.access, Access::User(name, secret) if name == "me@home&+co" && secret.reveal() == "hunter2")
        );
        let key = parse("https://h/?ca=/etc/ca.pem", API_KEY_VARIABLE).unwrap();
        assert!(matches!(&key.access, Access::ApiKey(secret) if secret.reveal() == "hunter2"));
        assert_eq!(key.ca, Some("/etc/ca.pem".into()));
        for config in [user, key] {
            assert!(!format!("{config:?} {}", config.target()).contains("hunter2"));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, variable, reason) in [
            ("localhost:9200", "", "neither http"),
            ("http://me:hunter2@h", "", "LASTBEAT_INDEX_PASSWORD"),
            ("http://me@h", "", "user \"me\" needs LASTBEAT_INDEX_PASSWORD"),
            ("http://me@h", API_KEY_VARIABLE, "one or the other"),
            ("http://h?indices=x", "", "\"indices\" is none of"),
            ("http://h?index=Swarm", "", "index \"Swarm\": begins with"),
            ("http://h?ca=x", "", "is for https"),
            ("http://me:hunter2@h:port", "", "invalid port"),
            ("ftp://me:hunter2@h", "", "neither http"),
            ("me:hunter2@h:9200", "", "neither http"),
            ("http://me:hunter2@@h:x", "", "invalid port"),
        ] {
            let error = parse(url, variable).unwrap_err();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{url}: {error}");
        }
        let error = IndexConfig::parse("http://h", |_| Some("a\nb".to_owned())).unwrap_err().to_string();
        assert!(error.contains("base64"), "{error}");
    }
}
