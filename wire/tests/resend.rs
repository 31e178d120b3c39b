//! Properties of requests to send again and of their answers: what goes in comes out, and no bytes bring them down.

mod strategies;

use lastbeat_wire::{Inbox, PublisherId, ResendGone, ResendRequest, Resent, Wanted};
use proptest::prelude::*;
use strategies::process;

fn range() -> impl Strategy<Value = (u64, u64)> {
    (any::<u64>(), any::<u64>()).prop_filter_map("not empty", |(a, b)| (a != b).then(|| (a.min(b), a.max(b))))
}

fn publisher() -> impl Strategy<Value = PublisherId> {
    any::<String>().prop_filter_map("an id", |text| text.parse().ok())
}

fn request() -> impl Strategy<Value = ResendRequest> {
    let range = (publisher(), process(), range()).prop_map(|(publisher, process, (from, to))| Wanted::Range {
        publisher,
        process,
        from,
        to,
    });
    let wanted = prop_oneof![9 => range, 1 => Just(Wanted::Last)];
    (any::<u64>(), wanted).prop_map(|(inbox, wanted)| ResendRequest { inbox: Inbox(inbox), wanted })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(request in request(), process in process(), (from, to) in range()) {
        prop_assert_eq!(ResendRequest::decode(&request.encode()), Ok(request));
        let gone = ResendGone { process, from, to };
        prop_assert_eq!(ResendGone::decode(&gone.encode()), Ok(gone));
    }

    #[test]
    fn an_inbox_and_a_publisher_are_found_in_a_topic_again(inbox: u64, publisher in publisher()) {
        let inbox = Inbox(inbox);
        prop_assert_eq!(inbox.to_string().parse(), Ok(inbox));
        let topic = inbox.gone_topic(&publisher);
        let behind = topic.strip_prefix(&inbox.prefix()).unwrap();
        prop_assert_eq!(Resent::parse(behind.as_bytes()), Ok(Resent::Gone(publisher.as_str())));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_200)) {
        let _ = ResendRequest::decode(&bytes);
        let _ = ResendGone::decode(&bytes);
        let _ = Resent::parse(&bytes);
    }

    #[test]
    fn damage_does_not_make_it_panic_nor_an_empty_range(request in request(), place: usize, byte: u8, cut: usize) {
        let mut bytes = request.encode();
        let place = place % bytes.len();
        bytes[place] = byte;
        bytes.truncate(cut % (bytes.len() + 1));
        if let Ok(ResendRequest { wanted: Wanted::Range { from, to, .. }, .. }) = ResendRequest::decode(&bytes) {
            prop_assert!(from < to);
        }
    }
}
