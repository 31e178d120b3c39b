//! [`ServerUrl`]: the URL of a server that is written to, as it stands on a command line: without a password, and none is shown of
//! one that has it.

use std::path::PathBuf;

use url::Url;

/// What InfluxDB's URL and that of an index have in common.
#[derive(Debug)]
pub struct ServerUrl {
    /// The server with its path, without a user, a query and a fragment.
    pub base: Url,
    /// Who asks, if somebody is named.
    pub user: Option<String>,
    /// Names and values of the query, in their order.
    pub query: Vec<(String, String)>,
    text: String,
}

/// Why a text is no server's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("URL {url:?}: {reason}")]
pub struct InvalidUrl {
    /// As it was given, without a password.
    url: String,
    reason: String,
}

impl ServerUrl {
    /// Parses it; `password_variable` is where a password belongs, for a command line can be read by everyone on the machine.
    pub fn parse(text: &str, password_variable: &str) -> Result<Self, InvalidUrl> {
        let mut base = Url::parse(text).map_err(|error| invalid(text, &error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(invalid(text, "is neither http:// nor https://"));
        }
        if base.password().is_some() {
            return Err(invalid(text, &format!("holds a password; put it into {password_variable}")));
        }
        let query = base.query_pairs().into_owned().collect();
        let user = Some(decoded(base.username())).filter(|user| !user.is_empty());
        base.set_query(None);
        base.set_fragment(None);
        let _ = base.set_username("");
        Ok(Self { base, user, query, text: text.to_owned() })
    }

    /// Says that it is not as it should be.
    pub fn invalid(&self, reason: &str) -> InvalidUrl {
        invalid(&self.text, reason)
    }

    /// The file that `ca=` names.
    pub fn authorities(&self, file: &str) -> Result<PathBuf, InvalidUrl> {
        if self.base.scheme() != "https" || file.is_empty() {
            return Err(self.invalid("ca names a file, and is for https"));
        }
        Ok(PathBuf::from(file))
    }
}

/// A part of a URL that is no query, without its percent signs.
pub fn decoded(part: &str) -> String {
    // What `form_urlencoded` takes for its own signs are usual ones outside of a query.
    let part = part.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(part.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

fn invalid(text: &str, reason: &str) -> InvalidUrl {
    InvalidUrl { url: without_password(text), reason: reason.to_owned() }
}

/// It need not be a URL to have a password in it.
fn without_password(text: &str) -> String {
    let Some((before, host)) = text.rsplit_once('@') else { return text.to_owned() };
    let (scheme, user) = before.find("//").map_or(("", before), |slashes| before.split_at(slashes + 2));
    if user.contains(':') { format!("{scheme}***@{host}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrong_no_password_is_shown() {
        for (text, shown) in [
            ("http://me:hunter2@h", "http://***@h"),
            ("http://me:hunter2@h:port", "http://***@h:port"),
            ("http://:hunter2@h:port", "http://***@h:port"),
            ("http://me:hunt@er2@h:port", "http://***@h:port"),
            ("ftp://me:hunter2@h/x", "ftp://***@h/x"),
            ("me:hunter2@h", "***@h"),
            ("http://me@h:port", "http://me@h:port"),
        ] {
            let error = ServerUrl::parse(text, "VARIABLE").unwrap_err().to_string();
            assert!(error.starts_with(&format!("URL {shown:?}: ")), "{error}");
        }
    }

    #[test]
    fn a_user_may_have_any_sign() {
        let url = ServerUrl::parse("https://m%65%40home&+co=x@h:9200/a?b=c%20d#e", "VARIABLE").unwrap();
        assert_eq!((url.base.as_str(), url.user.as_deref()), ("https://h:9200/a", Some("me@home&+co=x")));
        assert_eq!(url.query, [("b".to_owned(), "c d".to_owned())]);
        assert_eq!(ServerUrl::parse("http://h", "VARIABLE").unwrap().user, None);
    }
}
