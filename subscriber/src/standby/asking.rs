//! Asks the leader each second how it stands, and keeps this subscriber's part in each target.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_transport::Password;
use lastbeat_wire::UtcNanos;
use serde::Deserialize;
use tokio::sync::watch;
use url::Url;

use super::debt::Debt;
use super::role::{Leader, Part, Role, Stand};
use super::{Standing, Standings};

/// The variable that holds the token of the leader's API.
const TOKEN_VARIABLE: &str = "LASTBEAT_STANDBY_TOKEN";
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The leader has to answer within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Most bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 64 << 10;

/// The leader, and how to get in.
#[derive(Debug, Clone)]
pub struct StandbyConfig {
    url: Url,
    token: Option<Password>,
}

/// What the leader answers: `GET /api/v1/shipping`.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(flatten)]
    influxdb: Told,
    /// An older version says nothing of it.
    index: Option<Told>,
}

/// What it says of one target.
#[derive(Debug, Clone, Deserialize)]
struct Told {
    leads: bool,
    why: Option<String>,
    shipped_until_ns: Option<i64>,
}

/// A target that can be shipped to in the leader's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    InfluxDb,
    Index,
}

/// To which targets this subscriber ships, when it does.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// To InfluxDB.
    pub influx: bool,
    /// To an index.
    pub index: bool,
}

/// One target, and this subscriber's part in it.
struct Duty {
    target: Target,
    role: Role,
    debt: Arc<Debt>,
    stand: watch::Sender<Stand>,
}

impl StandbyConfig {
    /// The address of the leader's page; a token, if one is needed, is in the environment.
    pub fn from_env(text: &str) -> anyhow::Result<Self> {
        let mut url: Url = text.parse().with_context(|| format!("standby_for {text:?}"))?;
        anyhow::ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "standby_for {text:?}: the address of the other subscriber's page is wanted, as http://watch-1.example:8787"
        );
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).map(Password::new);
        Ok(Self { url, token })
    }

    /// The address, for people.
    pub fn shown(&self) -> &str {
        self.url.as_str()
    }
}

/// Begins to ask; ends when nobody looks at the parts any more. What it has taken upon itself is kept in `dir`. Of a target that is
/// not wanted it has no part.
pub fn start(config: StandbyConfig, dir: &Path, wanted: Wanted) -> anyhow::Result<Standings> {
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).build().context("set up HTTP")?;
    let mut standings = Standings::alone();
    let mut duties = Vec::new();
    if wanted.influx {
        let (duty, standing) = Duty::begin(Target::InfluxDb, Debt::at(dir.join("standby.json")));
        standings.influx = standing;
        duties.push(duty);
    }
    if wanted.index {
        let (duty, standing) = Duty::begin(Target::Index, Debt::at(dir.join("standby-index.json")));
        standings.index = standing;
        duties.push(duty);
    }
    tracing::info!("standing by for {}", config.shown());
    tokio::spawn(async move {
        while duties.iter().any(|duty| !duty.stand.is_closed()) {
            let next = Clock.instant(Clock.now().monotonic.plus(ASK_EVERY));
            let answer = ask(&client, &config).await;
            for duty in &mut duties {
                duty.heard(&answer, &config).await;
            }
            tokio::time::sleep_until(next.into()).await;
        }
    });
    Ok(standings)
}

impl Duty {
    fn begin(target: Target, debt: Debt) -> (Self, Standing) {
        let now = Clock.now();
        let role = Role::new(now.monotonic, debt.load(now.utc));
        let (stand, standing) = watch::channel(role.stand().clone());
        (Self { target, role, debt: Arc::new(debt), stand }, standing)
    }

    async fn heard(&mut self, answer: &Result<Answer, String>, config: &StandbyConfig) {
        let told = answer.as_ref().map_err(Clone::clone).and_then(|answer| answer.of(self.target));
        if self.role.heard(Clock.now(), told) {
            self.changed(config).await;
        }
        self.stand.send_if_modified(|told| {
            let differs = told != self.role.stand();
            told.clone_from(self.role.stand());
            differs
        });
    }

    /// Tells of another part, and notes what comes of it before anything is shipped.
    async fn changed(&self, config: &StandbyConfig) {
        let (stand, target) = (self.role.stand().clone(), self.target.word());
        match stand.part {
            Part::StandingIn => tracing::warn!("shipping to {target} in place of {}: {}", config.shown(), stand.why),
            Part::Holding | Part::Alone => {
                tracing::info!("shipping to {target} is left to {}: {}", config.shown(), stand.why);
            }
        }
        let debt = Arc::clone(&self.debt);
        let saved = tokio::task::spawn_blocking(move || debt.save(&stand)).await;
        if let Err(error) = saved.map_err(std::io::Error::other).flatten() {
            tracing::warn!(
                "what is to be shipped to {target} could not be noted, a restart may leave it to the leader: {error}"
            );
        }
    }
}

impl Target {
    fn word(self) -> &'static str {
        match self {
            Self::InfluxDb => "InfluxDB",
            Self::Index => "the index",
        }
    }
}

impl Answer {
    /// What it says of a target; what it does not say is no leading.
    fn of(&self, target: Target) -> Result<Leader, String> {
        let told = match target {
            Target::InfluxDb => &self.influxdb,
            Target::Index => self.index.as_ref().ok_or("it says nothing of an index")?,
        };
        let Told { leads, why, shipped_until_ns } = told.clone();
        Ok(Leader { leads, shipped_until: shipped_until_ns.map(UtcNanos), why })
    }
}

async fn ask(client: &reqwest::Client, config: &StandbyConfig) -> Result<Answer, String> {
    let url = config.url.join("api/v1/shipping").map_err(|error| error.to_string())?;
    let mut request = client.get(url);
    if let Some(token) = &config.token {
        request = request.bearer_auth(token.reveal());
    }
    let failed = |error: reqwest::Error| crate::influx::chain(&error.without_url());
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            return Err(format!("an answer of more than {ANSWER_BYTES} bytes"));
        }
    }
    if !status.is_success() {
        return Err(format!("it answers {status}"));
    }
    serde_json::from_slice(&body).map_err(|error| format!("its answer can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str, target: Target) -> Result<Leader, String> {
        serde_json::from_str::<Answer>(body).unwrap().of(target)
    }

    #[test]
    fn who_can_not_ship_to_one_target_leads_in_the_other_all_the_same() {
        let body = r#"{"part":"alone","part_because":"","leads":true,"why":null,"shipped_until":null,"shipped_until_ns":7,
            "index":{"part":"alone","part_because":"","leads":false,"why":"401","shipped_until":null,"shipped_until_ns":5}}"#;
        let leader = |leads, until, why: Option<&str>| {
            Ok(Leader { leads, shipped_until: Some(UtcNanos(until)), why: why.map(str::to_owned) })
        };
        assert_eq!(told(body, Target::InfluxDb), leader(true, 7, None));
        assert_eq!(told(body, Target::Index), leader(false, 5, Some("401")));
    }

    #[test]
    fn an_older_leader_says_nothing_of_an_index_and_is_stood_in_for_there() {
        let body = r#"{"part":"alone","leads":true,"why":null,"shipped_until":null,"shipped_until_ns":null}"#;
        assert!(told(body, Target::InfluxDb).unwrap().leads);
        assert_eq!(told(body, Target::Index), Err("it says nothing of an index".to_owned()));
    }
}
