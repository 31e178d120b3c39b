//! [`Prober`]: one target, ready to be sent probes. One file for each way to measure; a new one is a file and an arm here.

mod icmp;
mod page;
mod tcp;
#[cfg(test)]
mod tests;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lastbeat_wire::{Probe, Target};
use tokio::time::timeout;

use super::outcome::Answer;
use super::politeness::TIMEOUT;
pub use trust::Trust;

/// How long a name may take to be resolved: a resolver that loses a question asks again after five seconds.
const NAME_TIMEOUT: Duration = Duration::from_secs(6);

/// One target, its address found, its sockets made.
#[derive(Clone)]
pub enum Prober {
    /// Echo requests.
    Icmp(icmp::Echo),
    /// Connections.
    Tcp(SocketAddr),
    /// Pages.
    Page(Arc<page::Request>),
}

impl Prober {
    /// Finds a target's address, the first of those that the system gives, and makes ready.
    ///
    /// # Errors
    /// Why it can't be measured, in words.
    pub async fn open(target: &Target, trust: &Trust) -> Result<Self, String> {
        let address = resolve(target.host(), target.port().unwrap_or(0)).await?;
        match target.probe() {
            Probe::Icmp => icmp::Echo::open(address.ip()).map(Self::Icmp),
            Probe::Tcp => Ok(Self::Tcp(address)),
            Probe::Http => page::Request::new(target, address, None).map(Arc::new).map(Self::Page),
            Probe::Https => page::Request::new(target, address, Some(trust)).map(Arc::new).map(Self::Page),
        }
    }

    /// Sends a probe and waits for its answer; what it ended in otherwise, in words.
    pub async fn probe(self, number: u16) -> Result<Answer, String> {
        let probe = async {
            match self {
                Self::Icmp(echo) => echo.probe(number).await,
                Self::Tcp(address) => tcp::probe(address).await,
                Self::Page(request) => request.probe().await,
            }
        };
        timeout(TIMEOUT, probe).await.unwrap_or_else(|_| Err(no_answer()))
    }
}

fn no_answer() -> String {
    format!("no answer within {}", humantime::format_duration(TIMEOUT))
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = timeout(NAME_TIMEOUT, tokio::net::lookup_host((host, port))).await;
    let mut found = found
        .map_err(|_| format!("the name was not resolved within {}", humantime::format_duration(NAME_TIMEOUT)))?
        .map_err(|error| format!("the name does not resolve: {error}"))?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}
