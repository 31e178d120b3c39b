//! [`Target`]: what the agents of a swarm measure: a host, a port, a page.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::PING_PREFIX;

/// A target: a host name or an address (`a.example`, `192.0.2.1`, `2001:db8::1`), with a port (`a.example:443`,
/// `[2001:db8::1]:443`), or a page (`https://a.example/health`). At most [`MAX_BYTES`](Self::MAX_BYTES) of ASCII. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(Arc<str>);

/// How a target is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Echo requests.
    Icmp,
    /// The time in which a connection is taken.
    Tcp,
    /// A GET without TLS.
    Http,
    /// A GET with TLS.
    Https,
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("target {target:?}: {reason}")]
pub struct InvalidTarget {
    /// The text without a password, cut after 64 characters.
    pub target: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Probe {
    /// The probe as one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Target {
    /// Most bytes a target may have.
    pub const MAX_BYTES: usize = 200;

    /// Every target of a list that is parted by white space, as it is sent to [`WATCH_TOPIC`](crate::WATCH_TOPIC), each once
    /// and in order; and what in it is none, likewise.
    pub fn list(text: &str) -> (Vec<Self>, Vec<InvalidTarget>) {
        let (mut targets, mut refused) = (Vec::new(), Vec::new());
        let mut known = std::collections::HashSet::new();
        for word in text.split_whitespace().filter(|word| known.insert(*word)) {
            match word.parse() {
                Ok(target) => targets.push(target),
                Err(error) => refused.push(error),
            }
        }
        (targets, refused)
    }

    /// The target as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is measured.
    pub fn probe(&self) -> Probe {
        match self.parts() {
            (Probe::Icmp, _, Some(_), _) => Probe::Tcp,
            (probe, ..) => probe,
        }
    }

    /// Its host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.parts().1
    }

    /// Its port: that of a page without one is 80 or 443, a host that is measured by echo requests has none.
    pub fn port(&self) -> Option<u16> {
        let (probe, _, port, _) = self.parts();
        let usual = match probe {
            Probe::Http => Some(80),
            Probe::Https => Some(443),
            Probe::Icmp | Probe::Tcp => None,
        };
        port.and_then(|port| port.parse().ok()).or(usual)
    }

    /// What follows a page's host and port: its path and query, `/` if it has none. Empty for anything else.
    pub fn path(&self) -> &str {
        let (probe, .., path) = self.parts();
        match probe {
            Probe::Http | Probe::Https if path.is_empty() => "/",
            _ => path,
        }
    }

    /// The topic of its results: `ping/` and the target, in which `%`, `/`, `+`, `#` and `$` are written as in a URL, so that it
    /// is one level: `ping/a.example`, `ping/https:%2F%2Fa.example`.
    pub fn topic(&self) -> String {
        let mut topic = String::from(PING_PREFIX);
        for character in self.0.chars() {
            match character {
                '%' | '/' | '+' | '#' | '$' => topic.push_str(&format!("%{:02X}", u32::from(character))),
                _ => topic.push(character),
            }
        }
        topic
    }

    /// The same with the agent's name behind it, so that a broker can hold each agent to its own: `ping/a.example/paris`.
    pub fn topic_of(&self, agent: &str) -> String {
        format!("{}/{agent}", self.topic())
    }

    /// A target as a topic has it.
    pub(crate) fn unescaped(level: &[u8]) -> Result<Self, InvalidTarget> {
        let text = String::from_utf8_lossy(level);
        unescaped(&text).unwrap_or(text.into_owned()).parse()
    }

    fn parts(&self) -> (Probe, &str, Option<&str>, &str) {
        split(&self.0)
    }
}

/// The probe by its scheme; host, port and path.
fn split(text: &str) -> (Probe, &str, Option<&str>, &str) {
    let (probe, rest) = if let Some(rest) = text.strip_prefix("https://") {
        (Probe::Https, rest)
    } else if let Some(rest) = text.strip_prefix("http://") {
        (Probe::Http, rest)
    } else {
        (Probe::Icmp, text)
    };
    let (place, path) = match probe {
        Probe::Http | Probe::Https => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
        Probe::Icmp | Probe::Tcp => (rest, ""),
    };
    if let Some((host, rest)) = place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        return (probe, host, rest.strip_prefix(':'), path);
    }
    match place.split_once(':') {
        // More than one colon: an IPv6 address without brackets has no port.
        Some((_, port)) if port.contains(':') => (probe, place, None, path),
        Some((host, port)) => (probe, host, Some(port), path),
        None => (probe, place, None, path),
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > Target::MAX_BYTES {
        return Err("is longer than 200 bytes");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a character that is not printable ASCII (write a name of another script in its xn-- form)");
    }
    let (_, host, port, path) = split(text);
    if text.find('@').is_some_and(|at| at < text.len() - path.len()) {
        return Err("has a user or a password in it");
    }
    if text.contains("://") && !text.starts_with("http://") && !text.starts_with("https://") {
        return Err("is a URL of neither http:// nor https://");
    }
    let bracketed = text.contains('[') || text.contains(']');
    if host.contains(':') || bracketed {
        host.parse::<Ipv6Addr>().map_err(|_| "is no IPv6 address")?;
        let place = text.split_once("://").map_or(text, |(_, rest)| rest);
        let rest = place.split_once(']').map_or("", |(_, rest)| rest);
        if bracketed && (!place.starts_with('[') || !(rest == path || rest.starts_with(':'))) {
            return Err("is no IPv6 address in brackets, with or without a port");
        }
        // Without brackets a path could not be told from it.
        if !bracketed && place != text {
            return Err("has an IPv6 address that is not in brackets");
        }
    } else if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        host.parse::<Ipv4Addr>().map_err(|_| "is neither a host name nor an address")?;
    } else if host.len() > 253 || !host.strip_suffix('.').unwrap_or(host).split('.').all(is_label) {
        return Err("is neither a host name nor an address");
    }
    let is_number =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0);
    if port.is_none_or(is_number) { Ok(()) } else { Err("has a port that is no number from 1 to 65535") }
}

/// One level of a host's name; underscores are seen in the wild. One that begins with `-` would be an option to a program.
fn is_label(label: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(is_good) && !label.starts_with('-') && !label.ends_with('-')
}

/// Without what may be a password.
fn shown(text: &str) -> Cow<'_, str> {
    let login = text.find("://").map_or(0, |scheme| scheme + 3);
    match text[login..].rfind('@') {
        Some(at) => format!("{}***{}", &text[..login], &text[login + at..]).into(),
        None => text.into(),
    }
}

/// `None` where a `%` is not followed by two hexadecimal digits, or what they say is no ASCII.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('%') {
        plain.push_str(before);
        let code = u8::from_str_radix(escape.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        plain.push(char::from(code));
        rest = &escape[2..];
    }
    plain.push_str(rest);
    Some(plain)
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        match check(text) {
            Ok(()) => Ok(Self(text.into())),
            Err(reason) => Err(InvalidTarget { target: shown(text).chars().take(64).collect(), reason }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Target {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn takes_hosts_ports_and_pages_and_knows_their_parts() {
        for (text, probe, host, port, path) in [
            ("a.example", Probe::Icmp, "a.example", None, ""),
            ("localhost", Probe::Icmp, "localhost", None, ""),
            ("192.0.2.1", Probe::Icmp, "192.0.2.1", None, ""),
            ("2001:db8::1", Probe::Icmp, "2001:db8::1", None, ""),
            ("[2001:db8::1]", Probe::Icmp, "2001:db8::1", None, ""),
            ("a.example:22", Probe::Tcp, "a.example", Some(22), ""),
            ("[2001:db8::1]:22", Probe::Tcp, "2001:db8::1", Some(22), ""),
            ("http://a.example", Probe::Http, "a.example", Some(80), "/"),
            ("https://a.example/x?y=1:2", Probe::Https, "a.example", Some(443), "/x?y=1:2"),
            ("https://[2001:db8::1]:8443/x", Probe::Https, "2001:db8::1", Some(8443), "/x"),
            ("http://[::1]", Probe::Http, "::1", Some(80), "/"),
        ] {
            let target = target(text);
            assert_eq!(
                (target.probe(), target.host(), target.port(), target.path()),
                (probe, host, port, path),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_none_and_says_why() {
        for (text, reason) in [
            ("", "empty"),
            ("-c", "neither a host name"),
            ("-rf.example", "neither a host name"),
            ("a..example", "neither a host name"),
            ("300.1.1.1", "neither a host name"),
            ("1.2.3", "neither a host name"),
            ("a/b", "neither a host name"),
            ("a.example:0", "port"),
            ("a.example:https", "port"),
            ("a.example:70000", "port"),
            ("a.example:+80", "port"),
            (":80", "neither a host name"),
            ("fe80::1%eth0", "IPv6"),
            ("[::1", "IPv6"),
            ("[::1]x", "IPv6"),
            ("x[::1]", "IPv6"),
            ("http://::1/", "brackets"),
            ("http://", "neither a host name"),
            ("http:///x", "neither a host name"),
            ("ftp://a.example", "neither http://"),
            ("münchen.example", "xn--"),
            ("a b", "ASCII"),
            ("a\u{1b}[2J", "ASCII"),
            (&"x".repeat(201), "200 bytes"),
            (&"x".repeat(64), "neither a host name"),
            ("$(reboot)", "neither a host name"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in
            ["https://kim:secret@a.example/", "http://kim@a.example", "kim:secret@a.example", "http://k:se/secret@a"]
        {
            let error = text.parse::<Target>().unwrap_err();
            assert!(!error.to_string().contains("secret") && error.target.contains("***@a"), "{error}");
        }
        let error = "https://kim:secret@a.example/".parse::<Target>().unwrap_err().to_string();
        assert_eq!(error, r#"target "https://***@a.example/": has a user or a password in it"#);
        assert_eq!(target("https://a.example/@x").path(), "/@x");
    }

    #[test]
    fn a_topic_is_one_level_and_comes_back() {
        assert_eq!(target("a.example").topic(), "ping/a.example");
        assert_eq!(target("https://a.example/100%25+#$").topic(), "ping/https:%2F%2Fa.example%2F100%2525%2B%23%24");
        assert_eq!(target("a.example:80").topic_of("paris"), "ping/a.example:80/paris");
        for text in ["a.example", "[::1]:80", "https://a.example/100%25+#$x"] {
            assert_eq!(Target::unescaped(&target(text).topic().as_bytes()[PING_PREFIX.len()..]), Ok(target(text)));
        }
        for wrong in [&b""[..], b"%zz", b"%", b"\xff"] {
            assert!(Target::unescaped(wrong).is_err());
        }
    }

    #[test]
    fn a_list_gives_each_once_and_names_what_is_none() {
        let (targets, refused) = Target::list(" a.example\tb.example:80\n a.example -c -c ");
        assert_eq!(targets, [target("a.example"), target("b.example:80")]);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].target, "-c");
    }

    proptest! {
        #[test]
        fn whatever_is_taken_has_a_host_and_a_topic_of_one_level(text in "(https?://)?[-a-z0-9.:/%+#$\\[\\]]{0,20}") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert!(!target.host().is_empty() && !target.host().starts_with('-'));
                let topic = target.topic();
                prop_assert!(!topic[PING_PREFIX.len()..].contains(['/', '+', '#']));
                prop_assert_eq!(target.probe() == Probe::Icmp, target.port().is_none());
                prop_assert_eq!(Target::unescaped(&topic.as_bytes()[PING_PREFIX.len()..]), Ok(target));
            }
        }
    }
}
