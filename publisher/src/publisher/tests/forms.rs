//! Readings that go elsewhere than to the publisher's own topic, and what a broker tells their source.

use lastbeat_transport::Told;
use lastbeat_wire::Target;

use super::*;
use crate::source::Form;

/// Gives a reading for each word that the broker tells, in the form of its first letter.
#[derive(Default)]
struct Listener {
    told: VecDeque<char>,
    form: Option<char>,
}

fn target() -> Target {
    "https://a.example/".parse().unwrap()
}

impl Source for Listener {
    fn advance(&mut self, _now: Now) -> anyhow::Result<Step> {
        self.form = self.told.pop_front();
        Ok(if self.form.is_some() { row() } else { Step::Later(Duration::from_millis(200)) })
    }

    fn reading(&self) -> Reading<'_> {
        Reading { fields: [("n".into(), Value::Integer(1))].into_iter().collect(), ..Reading::default() }
    }

    fn form(&self) -> Form {
        match self.form {
            Some('p') => Form::Ping(target()),
            Some('f') => Form::Foreign(target(), b"[]".to_vec()),
            _ => Form::Own,
        }
    }

    fn place(&self) -> String {
        "listener".to_owned()
    }

    fn told(&mut self, told: &Told) {
        assert_eq!(told.topic, "watch");
        self.told.extend(told.payload.iter().map(|byte| char::from(*byte)));
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new(Vec::new(), Pace::live());
    bench.publisher.parts.source = Box::new(Listener::default());
    bench
}

/// Topics and numbers of what was taken.
fn taken(bench: &Bench) -> Vec<(String, Option<u64>)> {
    let number = |topic: &str, payload: &[u8]| {
        let kind = if topic.starts_with("beat/") { Kind::Beat } else { Kind::Sensor };
        decode(kind, payload).ok().and_then(|message| message.header.sequence)
    };
    let taken = bench.link.taken();
    taken.into_iter().map(|(topic, payload)| (topic.clone(), number(&topic, &payload))).collect()
}

#[test]
fn a_result_goes_to_its_target_and_a_foreign_one_takes_no_number() {
    let mut bench = bench();
    bench.link.tell("watch", "pfpo");
    bench.turn_at(0);
    let topic = "ping/https:%2F%2Fa.example%2F";
    let expected = [("beat/x", Some(0)), (topic, Some(1)), (topic, None), (topic, Some(2)), ("sensor/x", Some(3))];
    assert_eq!(taken(&bench), expected.map(|(topic, number)| (topic.to_owned(), number)));
}

#[test]
fn an_agent_s_name_stands_behind_its_targets_where_that_is_wanted() {
    let mut bench = bench();
    bench.publisher.parts.outbox = bench.link.outbox(Spool::in_memory(ROOMY)).with_named_topics("paris".to_owned());
    bench.link.tell("watch", "po");
    bench.turn_at(0);
    let topics: Vec<_> = taken(&bench).into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["beat/x", "ping/https:%2F%2Fa.example%2F/paris", "sensor/x"]);
}

#[test]
fn results_are_held_with_their_times_while_nobody_takes_them_and_later_go_to_their_targets() {
    let mut bench = bench();
    bench.turn_at(0);
    bench.link.open(false);
    for second in 1..4 {
        bench.link.tell("watch", "p");
        bench.turn_at(second * 1_000);
    }
    assert_eq!(bench.publisher.parts.outbox.held(), 3, "they do not wait in their source");
    bench.link.clear();
    bench.link.open(true);
    bench.turn_at(9_000);
    let taken = bench.link.taken();
    let sent_at = |payload: &[u8]| decode(Kind::Sensor, payload).unwrap().header.sent_at.unwrap();
    assert!(taken.iter().all(|(topic, _)| topic.starts_with("ping/")), "{taken:?}");
    let times: Vec<_> = taken.iter().map(|(_, payload)| sent_at(payload)).collect();
    assert_eq!(times, [1_000, 2_000, 3_000].map(|millis| at(millis).utc));
}
