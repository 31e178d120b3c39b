//! Judging only what may have changed comes to the same as judging all, as `Whole` does it from the matrix.

use std::collections::BTreeMap;
use std::time::Duration;

use lastbeat_swarm::{
    AgentJudgement, Cell, Common, Grade, Instant, Judgement, Level, Link, Reach, Seen, Swarm, SwarmRules,
    TargetJudgement,
};
use lastbeat_wire::{Fields, Monotonic, Now, UtcNanos, Value};
use proptest::prelude::*;

/// Broker, host and network.
type Traits = (String, Option<String>, Option<String>);

/// What was told, and the traits of the agents.
#[derive(Default)]
struct Whole {
    traits: BTreeMap<String, Traits>,
    targets: BTreeMap<String, TargetJudgement>,
    agents: BTreeMap<String, AgentJudgement>,
}

/// The results by the one name, then by the other.
type Matrix<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Cell<'a>>>;

impl Whole {
    /// Judges all; what is news.
    fn judge(&mut self, cells: &[Cell<'_>], at: UtcNanos) -> Vec<Judgement> {
        let (mut by_target, mut by_agent) = (Matrix::new(), Matrix::new());
        for cell in cells {
            by_target.entry(cell.target).or_default().insert(cell.agent, *cell);
            by_agent.entry(cell.agent).or_default().insert(cell.target, *cell);
        }
        let stands: BTreeMap<_, _> =
            by_agent.iter().map(|(name, found)| (*name, agent(name, found, &by_target, at))).collect();
        self.agents.retain(|name, _| by_agent.contains_key(&**name));
        self.targets.retain(|name, _| by_target.contains_key(&**name));
        let mut news = Vec::new();
        for (name, stand) in &stands {
            let known = self.agents.get(*name);
            let is_news = known.map_or(!matches!(stand.link, Link::Well | Link::Unknown), |old| old.link != stand.link);
            let at = known.filter(|known| known.link == stand.link).map_or(at, |known| known.at);
            let stand = AgentJudgement { at, ..stand.clone() };
            news.extend(is_news.then(|| Judgement::Agent(stand.clone())));
            self.agents.insert((*name).to_owned(), stand);
        }
        for (name, found) in by_target {
            let stand = self.target(name, &found, &stands, at);
            let known = self.targets.get(name);
            let is_same = known.is_some_and(|known| (known.reach, known.level) == (stand.reach, stand.level));
            let is_quiet = known.is_none() && stand.reach == Reach::Unknown && stand.error.is_none();
            let at = known.filter(|_| is_same).map_or(at, |known| known.at);
            let stand = TargetJudgement { at, ..stand };
            news.extend((!is_same && !is_quiet).then(|| Judgement::Target(stand.clone())));
            self.targets.insert(name.to_owned(), stand);
        }
        news
    }

    fn target(
        &self,
        name: &str,
        found: &BTreeMap<&str, Cell<'_>>,
        agents: &BTreeMap<&str, AgentJudgement>,
        at: UtcNanos,
    ) -> TargetJudgement {
        let is_alone = agents.values().filter(|agent| agent.targets > 0).count() == 1;
        let is_down = |agent: &str| agents[agent].link == Link::Down;
        let of = |is: &dyn Fn(Grade) -> bool| -> Vec<&Cell<'_>> {
            found.values().filter(|cell| cell.grade.is_some_and(is)).collect()
        };
        let reaching = of(&|grade| matches!(grade, Grade::Reached(_)));
        let at_least = |least| of(&|grade| matches!(grade, Grade::Reached(level) if level >= least)).len() * 2;
        let (own, failing): (Vec<&Cell<'_>>, Vec<&Cell<'_>>) =
            of(&|grade| grade == Grade::Failed).into_iter().partition(|cell| is_down(cell.agent));
        let is_unclear = is_alone && failing.iter().any(|cell| agents[cell.agent].link == Link::Unclear);
        let reach = match (reaching.len(), failing.len()) {
            (0, 0) => Reach::Unknown,
            (_, 0) => Reach::All,
            (0, _) if is_unclear => Reach::Unclear,
            (0, _) => Reach::None,
            _ => Reach::Some,
        };
        let slow = match (at_least(Level::Warn), at_least(Level::Critical)) {
            (_, many) if many > 0 && many >= reaching.len() => Level::Critical,
            (many, _) if many > 0 && many >= reaching.len() => Level::Warn,
            _ => Level::Well,
        };
        let mut errors = BTreeMap::<&str, i32>::new();
        for cell in failing.iter().copied().chain(of(&|grade| grade == Grade::Unmeasured)) {
            if let Some(error) = &cell.found.error {
                *errors.entry(error).or_default() += 1;
            }
        }
        let level = match reach {
            Reach::All => slow,
            Reach::Some => slow.max(Level::Warn),
            Reach::None => Level::Critical,
            Reach::Unclear => Level::Warn,
            Reach::Unknown if !errors.is_empty() => Level::Warn,
            Reach::Unknown => Level::Well,
        };
        let most = errors.values().max();
        let share = |of: &dyn Fn(&Traits) -> Option<String>| {
            let first = of(&self.traits[failing.first()?.agent])?;
            let has = |cell: &&Cell<'_>| of(&self.traits[cell.agent]).as_ref() == Some(&first);
            let is_shared = failing.len() > 1 && !reaching.is_empty();
            (is_shared && failing.iter().all(has) && !reaching.iter().any(has)).then_some(first)
        };
        let network = share(&|traits| traits.2.clone()).map(Common::Network);
        let host = share(&|traits| traits.1.clone()).map(Common::Host);
        let broker = share(&|traits| Some(traits.0.clone())).map(Common::Broker);
        let count = |count: usize| u32::try_from(count).unwrap();
        TargetJudgement {
            at,
            target: name.to_owned(),
            reach,
            level,
            witnesses: count(reaching.len() + failing.len()),
            reaching: count(reaching.len()),
            slow: count(at_least(Level::Warn) / 2),
            failing: failing.iter().take(20).map(|cell| cell.agent.to_owned()).collect(),
            common: network.into_iter().chain(host).chain(broker).collect(),
            own_links: count(own.len()),
            error: errors.iter().find(|(_, count)| Some(*count) == most).map(|(error, _)| (*error).to_owned()),
        }
    }
}

fn agent(name: &str, found: &BTreeMap<&str, Cell<'_>>, by_target: &Matrix<'_>, at: UtcNanos) -> AgentJudgement {
    let is_reached = |cell: &&Cell<'_>| matches!(cell.grade, Some(Grade::Reached(_)));
    let failing: Vec<_> = found.values().filter(|cell| cell.grade == Some(Grade::Failed)).collect();
    let measured = failing.len() + found.values().filter(is_reached).count();
    let link = match measured {
        0 => Link::Unknown,
        1 => Link::Well,
        measured if failing.len() < measured => Link::Well,
        _ if failing.iter().any(|cell| by_target[cell.target].values().any(|cell| is_reached(&cell))) => Link::Down,
        _ => Link::Unclear,
    };
    let count = |count: usize| u32::try_from(count).unwrap();
    AgentJudgement { at, agent: name.to_owned(), link, targets: count(measured), failing: count(failing.len()) }
}

/// What a restart gives back, kept in parts.
fn restarted(swarm: &Swarm, now: Now) -> Swarm {
    let (mut again, mut to) = (Swarm::new(SwarmRules::default()), None);
    while let Some((kept, next)) = swarm.kept(now.monotonic, to.as_ref(), 2) {
        let kept = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        again.restore(now, now.monotonic.into(), kept);
        to = Some(next);
    }
    again
}

/// A result, or some at once: agent, target, kind, how old it is in seconds, how often it comes, where its agent is; and after how
/// many milliseconds they are judged.
type Step = (Vec<(u8, u8, u8, u64, u8, u8)>, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let age = prop_oneof![8 => Just(0), 2 => 0..120_u64, 1 => Just(4_000)];
    let result = (0..5_u8, 0..4_u8, 0..8_u8, age, 0..3_u8, 0..4_u8);
    let span = prop_oneof![10 => 0..40_000_u64, 2 => Just(65_000), 1 => Just(3_700_000)];
    prop::collection::vec((prop::collection::vec(result, 0..5), span), 1..60)
}

fn fields(kind: u8, every: u8, place: u8) -> Fields<'static> {
    let mut fields = Fields::new();
    let (loss, avg, error) = match kind {
        0 | 1 => (Some(0.0), Some(20.0), None),
        2 => (Some(0.0), Some(300.0), None),
        3 => (Some(20.0), Some(2_000.0), None),
        4 | 5 => (Some(100.0), None, None),
        6 => (Some(100.0), None, Some("refused")),
        _ => (None, None, Some("no such host")),
    };
    let text = |text: &str| Value::Text(text.to_owned().into());
    if let Some(loss) = loss {
        fields.push("loss", Value::Float(loss));
    }
    if let Some(avg) = avg {
        fields.push("avg", Value::Float(avg));
    }
    if let Some(error) = error {
        fields.push("error", text(error));
    }
    if every > 0 {
        fields.push("every", Value::Integer(i64::from(every) * 20));
    }
    if place > 1 {
        fields.push("network", text(&format!("n{place}")));
    }
    fields
}

proptest! {
    #[test]
    fn what_may_have_changed_is_all_that_has(steps in steps()) {
        let (mut swarm, mut whole) = (Swarm::new(SwarmRules::default()), Whole::default());
        let start = Now { monotonic: Monotonic(1_000_000_000_000), utc: UtcNanos(1_700_000_000_000_000_000) };
        let mut now = start;
        for (results, millis) in steps {
            for (agent, target, kind, age, every, place) in results {
                let (agent, target) = (format!("agent-{agent}"), format!("t{target}.example"));
                let (fields, span) = (fields(kind, every, place), Duration::from_secs(age));
                let (broker, host) = (format!("mqtt://b{}", place % 2), (place != 3).then(|| format!("h{}", place / 2)));
                let at = Instant::from(now.monotonic).minus(span);
                let (agent, target, host) = (&*agent, &*target, host.as_deref());
                let seen = Seen { agent, target, at, time: now.utc, broker: Some(&broker), host, fields: &fields };
                if swarm.see(now, &seen) {
                    let network = (place > 1).then(|| format!("n{place}"));
                    whole.traits.insert(agent.to_owned(), (broker, host.map(str::to_owned), network));
                }
            }
            let end = now.monotonic.plus(Duration::from_millis(millis));
            // At each moment at which something is due, and at the end.
            while let Some(at) = swarm.next_deadline().map(|at| at.max(now.monotonic)).filter(|at| *at <= end) {
                now = Now { monotonic: at, utc: start.utc.plus(at.since(start.monotonic)) };
                let news = swarm.due(now);
                let cells: Vec<_> = swarm.cells(at).collect();
                prop_assert_eq!(news, whole.judge(&cells, now.utc));
                prop_assert_eq!(swarm.targets().collect::<Vec<_>>(), whole.targets.values().cloned().collect::<Vec<_>>());
                prop_assert_eq!(swarm.agents().collect::<Vec<_>>(), whole.agents.values().cloned().collect::<Vec<_>>());
            }
            now = Now { monotonic: end, utc: start.utc.plus(end.since(start.monotonic)) };
            if swarm.pairs() % 3 == 1 {
                swarm = restarted(&swarm, now);
            }
            let cells: Vec<_> = swarm.cells(end).collect();
            prop_assert_eq!(swarm.pairs(), cells.len());
            prop_assert!(whole.judge(&cells, now.utc).is_empty(), "nothing was due");
        }
    }
}
