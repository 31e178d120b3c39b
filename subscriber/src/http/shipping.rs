//! Which part this subscriber has in shipping to InfluxDB, and how far it has come: what a standby asks its leader.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, LINK, health};
use crate::standby::Part;
use crate::told::Time;

/// The part of this subscriber.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shipping {
    /// `alone`: it stands by for nobody; `holding`: it stands by; `standing_in`: it ships in its leader's place.
    #[schema(value_type = String)]
    part: &'static str,
    /// Why it has this part.
    part_because: String,
    /// Whether a standby may leave shipping to it: it stands by for nobody, judges, hears by all its links, and InfluxDB
    /// takes what it ships.
    leads: bool,
    /// Why it does not lead.
    #[schema(required)]
    why: Option<String>,
    /// Its records up to this time are in InfluxDB.
    #[schema(required)]
    shipped_until: Option<Time>,
    /// The same in nanoseconds since 1970.
    #[schema(required)]
    shipped_until_ns: Option<i64>,
}

/// Does it ship, and how far has it come?
#[utoipa::path(get, path = "/api/v1/shipping", tag = "health",
    responses((status = 200, description = "Its part, and how far it has come", body = Shipping)))]
pub async fn shipping(State(api): State<Api>) -> Json<Shipping> {
    let stand = api.standing.borrow().clone();
    let lag = api.board.lag("influxdb");
    let why = if stand.part != Part::Alone {
        Some("it stands by itself".to_owned())
    } else if !health::turns(&api).await {
        Some("the loop that judges did not answer within a second".to_owned())
    } else if let Some(trouble) = lag.as_ref().and_then(|lag| lag.trouble.as_ref()) {
        Some(trouble.error.to_string())
    } else if lag.is_none() {
        Some("it ships to no InfluxDB".to_owned())
    } else {
        let figures = api.board.figures();
        let deaf = figures.links.iter().find(|link| link.name != LINK && link.down.is_some());
        deaf.map(|link| format!("its link {} is down", link.name))
    };
    let until = lag.and_then(|lag| lag.until);
    Json(Shipping {
        part: stand.part.word(),
        part_because: stand.why.to_string(),
        leads: why.is_none(),
        why,
        shipped_until: until.map(Time),
        shipped_until_ns: until.map(|until| until.0),
    })
}
