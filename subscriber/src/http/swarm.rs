//! The swarm: targets and agents.

use axum::Json;
use axum::extract::State;

use super::Api;
use super::problem::Problem;
use crate::command::Command;
use crate::swarm::SwarmTold;

/// How targets and agents of a swarm stand.
#[utoipa::path(get, path = "/api/v1/swarm", tag = "swarm",
    responses((status = 200, description = "Judgements, and the last result of each agent for each target", body = SwarmTold)))]
pub async fn swarm(State(api): State<Api>) -> Result<Json<SwarmTold>, Problem> {
    let told = api.ask(|reply| Command::Swarm { reply }).await?;
    Ok(Json(*told))
}
