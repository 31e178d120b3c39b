//! [`Measured`]: what was found out about a target, as the fields of a result and as a line for people. Measures nothing.

use std::fmt;
use std::time::Duration;

use lastbeat_wire::{Fields, Target, Value, field};

/// What was found out about a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// About which.
    pub target: Target,
    /// What.
    pub outcome: Outcome,
    /// After what time it is measured again, if it is.
    pub every: Option<Duration>,
}

/// What came of measuring a target.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It could not be measured, and why.
    Failed(String),
    /// It was sent probes: what each ended in, in their order.
    Probed(Vec<Result<Answer, String>>),
}

/// An answer to a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The whole round trip.
    pub took: Duration,
    /// Of a page, its parts.
    pub page: Option<Page>,
}

/// The parts of a page's way, each counted from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Until the connection stood.
    pub connect: Duration,
    /// Until TLS was agreed on, where there is any.
    pub tls: Option<Duration>,
    /// Until the first byte came.
    pub first_byte: Duration,
    /// Its status.
    pub status: u16,
}

/// The round trips in short, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RoundTrips {
    min: f64,
    avg: f64,
    max: f64,
    mdev: f64,
}

impl Measured {
    /// The fields of a result, in the order in which they are shown; times in milliseconds.
    pub fn fields(&self, agent: &str, network: Option<&str>) -> Fields<'static> {
        let mut fields = Fields::with_capacity(16);
        fields.push(field::AGENT, text(agent));
        fields.push(field::PROBE, Value::Text(self.target.probe().word().into()));
        match &self.outcome {
            Outcome::Failed(error) => fields.push(field::ERROR, text(error)),
            Outcome::Probed(probes) => push_probes(&mut fields, probes),
        }
        if let Some(every) = self.every {
            fields.push(field::EVERY, Value::Float(rounded(every.as_secs_f64())));
        }
        if let Some(network) = network {
            fields.push(field::NETWORK, text(network));
        }
        fields
    }
}

/// For people: `a.example: 0 % of 10 lost, 1.2/1.4/2.0 ms`.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.target.as_str())?;
        let probes = match &self.outcome {
            Outcome::Failed(error) => return write!(f, "not measured: {error}"),
            Outcome::Probed(probes) => probes,
        };
        write!(f, "{} % of {} lost", loss(probes), probes.len())?;
        match (RoundTrips::of(&answers(probes)), probes.last()) {
            (Some(RoundTrips { min, avg, max, .. }), _) => {
                // Within a building they are shorter than a tenth.
                let places = if avg < 1.0 { 3 } else { 1 };
                write!(f, ", {min:.places$}/{avg:.places$}/{max:.places$} ms")
            }
            (None, Some(Err(error))) => write!(f, ": {error}"),
            (None, _) => Ok(()),
        }
    }
}

fn push_probes(fields: &mut Fields<'static>, probes: &[Result<Answer, String>]) {
    let answers = answers(probes);
    fields.push(field::SENT, whole(probes.len()));
    fields.push(field::RECEIVED, whole(answers.len()));
    fields.push(field::LOSS, Value::Float(loss(probes)));
    if let Some(RoundTrips { min, avg, max, mdev }) = RoundTrips::of(&answers) {
        let named = [(field::MIN, min), (field::AVG, avg), (field::MAX, max), (field::MDEV, mdev)];
        for (name, millis) in named {
            fields.push(name, Value::Float(rounded(millis)));
        }
    } else if let Some(Err(error)) = probes.last() {
        fields.push(field::ERROR, text(error));
    }
    let pages: Vec<_> = answers.iter().filter_map(|answer| Some((answer.took, answer.page?))).collect();
    let mean = |of: &dyn Fn(&(Duration, Page)) -> Option<Duration>| {
        let times: Vec<_> = pages.iter().filter_map(of).map(millis).collect();
        mean(&times).map(rounded)
    };
    for (name, millis) in [
        (field::CONNECT, mean(&|(_, page)| Some(page.connect))),
        (field::TLS, mean(&|(_, page)| page.tls)),
        (field::FIRST_BYTE, mean(&|(_, page)| Some(page.first_byte))),
        (field::WHOLE, mean(&|(took, _)| Some(*took))),
    ] {
        if let Some(millis) = millis {
            fields.push(name, Value::Float(millis));
        }
    }
    if let Some((_, page)) = pages.last() {
        fields.push(field::STATUS, Value::Integer(page.status.into()));
    }
}

impl RoundTrips {
    /// `None` where nothing was answered. The deviation is that of iputils' ping: of all answers, not of a sample.
    fn of(answers: &[Answer]) -> Option<Self> {
        let times: Vec<_> = answers.iter().map(|answer| millis(answer.took)).collect();
        let avg = mean(&times)?;
        let squares: Vec<_> = times.iter().map(|time| (time - avg).powi(2)).collect();
        let mdev = mean(&squares)?.sqrt();
        let (min, max) = times.iter().fold((avg, avg), |(min, max), time| (min.min(*time), max.max(*time)));
        Some(Self { min, avg, max, mdev })
    }
}

fn answers(probes: &[Result<Answer, String>]) -> Vec<Answer> {
    probes.iter().filter_map(|probe| probe.as_ref().ok().copied()).collect()
}

/// In percent.
#[expect(clippy::cast_precision_loss, reason = "at most twenty probes")]
fn loss(probes: &[Result<Answer, String>]) -> f64 {
    let lost = probes.iter().filter(|probe| probe.is_err()).count();
    rounded(lost as f64 * 100.0 / probes.len().max(1) as f64)
}

#[expect(clippy::cast_precision_loss, reason = "at most twenty answers")]
fn mean(figures: &[f64]) -> Option<f64> {
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// To three places: microseconds, where it is milliseconds.
fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

fn whole(count: usize) -> Value<'static> {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn text(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

#[cfg(test)]
mod tests {
    use lastbeat_wire::encode_swarming;

    use super::*;

    /// Probes that were answered after so many microseconds.
    fn answered<const N: usize>(micros: [u64; N]) -> Vec<Result<Answer, String>> {
        micros.map(|micros| Ok(Answer { took: Duration::from_micros(micros), page: None })).into()
    }

    fn measured(target: &str, outcome: Outcome) -> Measured {
        Measured { target: target.parse().unwrap(), outcome, every: Some(Duration::from_millis(63_500)) }
    }

    fn shown(measured: &Measured, network: Option<&str>) -> String {
        let fields = measured.fields("paris", network);
        let shown = fields.iter().map(|(name, value)| match value {
            Value::Text(text) => format!("{name}={text}"),
            Value::Integer(number) => format!("{name}={number}"),
            Value::Float(number) => format!("{name}={number:?}"),
            Value::Boolean(_) => panic!("{name}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn answers_become_the_figures_of_ping() {
        let lost = Err("no answer within 2 s".to_owned());
        let some = measured("a.example", Outcome::Probed([answered([1000]), vec![lost], answered([3000])].concat()));
        assert_eq!(
            shown(&some, Some("dsl")),
            "agent=paris probe=icmp sent=3 received=2 loss=33.333 min=1.0 avg=2.0 max=3.0 mdev=1.0 every=63.5 network=dsl"
        );
        assert_eq!(some.to_string(), "a.example: 33.333 % of 3 lost, 1.0/2.0/3.0 ms");
        let all = measured("a.example", Outcome::Probed(answered([1200, 1600])));
        assert_eq!(all.to_string(), "a.example: 0 % of 2 lost, 1.2/1.4/1.6 ms");
        let near = measured("a.example", Outcome::Probed(answered([41, 45])));
        assert_eq!(near.to_string(), "a.example: 0 % of 2 lost, 0.041/0.043/0.045 ms");
    }

    #[test]
    fn nothing_answered_is_a_loss_of_all_and_not_being_able_to_measure_is_none() {
        let refused = Err("connection refused".to_owned());
        let lost = measured("a.example:80", Outcome::Probed(vec![Err("first".to_owned()), refused]));
        assert_eq!(
            shown(&lost, None),
            "agent=paris probe=tcp sent=2 received=0 loss=100.0 error=connection refused every=63.5"
        );
        assert_eq!(lost.to_string(), "a.example:80: 100 % of 2 lost: connection refused");
        let failed = measured("a.example", Outcome::Failed("no such host".to_owned()));
        assert_eq!(shown(&failed, None), "agent=paris probe=icmp error=no such host every=63.5");
        assert_eq!(failed.to_string(), "a.example: not measured: no such host");
    }

    #[test]
    fn a_page_has_its_parts_on_the_mean_and_the_last_status() {
        let page = |connect, status| {
            let millis = Duration::from_millis;
            let (first_byte, tls) = (millis(connect + 20), Some(millis(connect + 10)));
            Ok(Answer {
                took: millis(connect + 30),
                page: Some(Page { connect: millis(connect), tls, first_byte, status }),
            })
        };
        let pages = measured("https://a.example/", Outcome::Probed(vec![page(1, 200), page(3, 503)]));
        assert!(
            shown(&pages, None).contains("mdev=1.0 connect=2.0 tls=12.0 first_byte=22.0 whole=32.0 status=503 every"),
            "{}",
            shown(&pages, None)
        );
    }

    #[test]
    fn the_same_is_written_like_the_original() {
        let swarming = |outcome| {
            let fields = measured("a.example", outcome).fields("paris", Some("dsl"));
            String::from_utf8(encode_swarming("paris", &fields)).unwrap()
        };
        assert_eq!(
            swarming(Outcome::Probed(answered([1000, 3000]))),
            r#"["paris","ok",{"Error":null,"loss":0.0,"Round trip":[1.0,2.0,3.0,1.0]}]"#
        );
        assert_eq!(
            swarming(Outcome::Probed(vec![Err("no answer within 2 s".to_owned())])),
            r#"["paris","ok",{"Error":"no answer within 2 s","loss":100.0}]"#
        );
        assert_eq!(
            swarming(Outcome::Failed("no such host".to_owned())),
            r#"["paris","error",{"Error":"no such host"}]"#
        );
    }
}
