//! Asks the leader each second how it stands, and keeps this subscriber's part.

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

use super::Standing;
use super::debt::Debt;
use super::role::{Leader, Part, Role, Stand};

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
    leads: bool,
    why: Option<String>,
    shipped_until_ns: Option<i64>,
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

/// Begins to ask; ends when nobody looks at the part any more. What it has taken upon itself is kept in `dir`.
pub fn start(config: StandbyConfig, dir: &Path) -> anyhow::Result<Standing> {
    let debt = Arc::new(Debt::in_dir(dir));
    let now = Clock.now();
    let mut role = Role::new(now.monotonic, debt.load(now.utc));
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).build().context("set up HTTP")?;
    let (stand, standing) = watch::channel(role.stand().clone());
    tracing::info!("standing by for {}", config.shown());
    tokio::spawn(async move {
        while !stand.is_closed() {
            let next = Clock.instant(Clock.now().monotonic.plus(ASK_EVERY));
            let answer = ask(&client, &config).await;
            if role.heard(Clock.now(), answer) {
                changed(Arc::clone(&debt), role.stand().clone(), &config).await;
            }
            stand.send_if_modified(|told| {
                let differs = told != role.stand();
                told.clone_from(role.stand());
                differs
            });
            tokio::time::sleep_until(next.into()).await;
        }
    });
    Ok(standing)
}

/// Tells of another part, and notes what comes of it before anything is shipped.
async fn changed(debt: Arc<Debt>, stand: Stand, config: &StandbyConfig) {
    match stand.part {
        Part::StandingIn => tracing::warn!("shipping in place of {}: {}", config.shown(), stand.why),
        Part::Holding | Part::Alone => tracing::info!("shipping is left to {}: {}", config.shown(), stand.why),
    }
    let saved = tokio::task::spawn_blocking(move || debt.save(&stand)).await;
    if let Err(error) = saved.map_err(std::io::Error::other).flatten() {
        tracing::warn!("what is to be shipped could not be noted, a restart may leave it to the leader: {error}");
    }
}

async fn ask(client: &reqwest::Client, config: &StandbyConfig) -> Result<Leader, String> {
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
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| format!("its answer can't be read: {error}"))?;
    Ok(Leader { leads: answer.leads, shipped_until: answer.shipped_until_ns.map(UtcNanos), why: answer.why })
}
