//! [`Filter`]: which topics a subscriber wants. `sensor/` is all that begins so, `sensor/1` is that topic and not
//! `sensor/10`.

/// The topics asked for; see [`SubscribeOptions::topics`](crate::SubscribeOptions::topics).
#[derive(Debug, Clone)]
pub(crate) struct Filter(Vec<String>);

impl Filter {
    pub(crate) fn new(topics: Vec<String>) -> Self {
        Self(topics)
    }

    pub(crate) fn wants(&self, topic: &[u8]) -> bool {
        self.0.iter().any(|asked| {
            let asked = asked.as_bytes();
            asked == topic || asked.ends_with(b"/") && topic.starts_with(asked)
        })
    }

    /// Whether each topic asked for is a prefix, so that what a ZeroMQ peer sends is wanted without a look at it.
    pub(crate) fn is_prefixes_only(&self) -> bool {
        self.0.iter().all(|asked| asked.ends_with('/'))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(topics: &[&str]) -> Filter {
        Filter::new(topics.iter().map(|&topic| topic.to_owned()).collect())
    }

    #[test]
    fn one_is_not_ten() {
        let exact = filter(&["sensor/1"]);
        assert!(exact.wants(b"sensor/1"));
        assert!(!exact.wants(b"sensor/10"));
        assert!(!exact.wants(b"sensor/1/a"));
        assert!(!exact.is_prefixes_only());
    }

    #[test]
    fn a_slash_at_the_end_stands_for_all_below() {
        let prefix = filter(&["sensor/", "beat/house/"]);
        assert!(prefix.wants(b"sensor/1") && prefix.wants(b"sensor/10/a") && prefix.wants(b"beat/house/1"));
        assert!(!prefix.wants(b"sensors/1") && !prefix.wants(b"sensor") && !prefix.wants(b"beat/1"));
        assert!(prefix.is_prefixes_only());
    }

    #[test]
    fn nothing_asked_is_nothing_wanted() {
        assert!(!filter(&[]).wants(b"sensor/1"));
    }
}
