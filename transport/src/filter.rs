//! [`Filter`]: which topics a subscriber wants. `sensor/` is all that begins so, `sensor/1` is that topic and not
//! `sensor/10`. And where what was asked for again comes in.

use lastbeat_wire::Inbox;

/// The topics asked for; see [`SubscribeOptions::topics`](crate::SubscribeOptions::topics).
#[derive(Debug, Clone)]
pub(crate) struct Filter(Vec<String>);

/// A [`Filter`] on a link with an inbox, for what was lost and is sent again.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    filter: Filter,
    inbox: Inbox,
    /// What topics in the inbox begin with.
    prefix: String,
}

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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Admission {
    /// With an inbox that nobody else has.
    pub(crate) fn new(filter: Filter) -> Self {
        let inbox = Inbox(rand::random());
        Self { filter, inbox, prefix: inbox.prefix() }
    }

    pub(crate) fn inbox(&self) -> Inbox {
        self.inbox
    }

    /// The prefixes that a ZeroMQ peer must be asked for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.filter.iter().chain([&*self.prefix])
    }

    /// The topic as it was first sent, and whether it was sent again; `None` if it is not wanted.
    pub(crate) fn admit<'a>(&self, topic: &'a [u8]) -> Option<(&'a [u8], bool)> {
        let Some(behind) = topic.strip_prefix(self.prefix.as_bytes()) else {
            return self.filter.wants(topic).then_some((topic, false));
        };
        (behind.starts_with(b"gone/") || self.filter.wants(behind)).then_some((behind, true))
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
    }

    #[test]
    fn a_slash_at_the_end_stands_for_all_below() {
        let prefix = filter(&["sensor/", "beat/house/"]);
        assert!(prefix.wants(b"sensor/1") && prefix.wants(b"sensor/10/a") && prefix.wants(b"beat/house/1"));
        assert!(!prefix.wants(b"sensors/1") && !prefix.wants(b"sensor") && !prefix.wants(b"beat/1"));
    }

    #[test]
    fn what_was_sent_again_comes_by_its_own_inbox_and_is_filtered_as_before() {
        let admission = Admission::new(filter(&["sensor/1", "beat/"]));
        let again = |topic: &str| admission.inbox().topic(topic).into_bytes();
        assert_eq!(admission.admit(b"sensor/1"), Some((&b"sensor/1"[..], false)));
        assert_eq!(admission.admit(&again("sensor/1")), Some((&b"sensor/1"[..], true)));
        assert_eq!(admission.admit(&again("gone/x")), Some((&b"gone/x"[..], true)));
        assert_eq!(admission.admit(&again("sensor/10")), None);
        let other = Admission::new(filter(&["sensor/1"]));
        assert_eq!(admission.admit(other.inbox().topic("sensor/1").as_bytes()), None);
        assert_eq!(admission.iter().last(), Some(&*admission.inbox().prefix()));
    }

    #[test]
    fn nothing_asked_is_nothing_wanted() {
        assert!(!filter(&[]).wants(b"sensor/1"));
    }
}
