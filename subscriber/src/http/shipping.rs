//! Which part this subscriber has in shipping to InfluxDB and to an index, and how far it has come: what a standby asks its leader.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, LINK, health};
use crate::standby::{Part, Standing};
use crate::told::Time;

/// The part of this subscriber.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shipping {
    /// In shipping to InfluxDB.
    #[serde(flatten)]
    influxdb: TargetShipping,
    /// In shipping to an index.
    index: TargetShipping,
}

/// The part of this subscriber in shipping to one target.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetShipping {
    /// `alone`: it stands by for nobody; `holding`: it stands by; `standing_in`: it ships in its leader's place.
    #[schema(value_type = String)]
    part: &'static str,
    /// Why it has this part.
    part_because: String,
    /// Whether a standby may leave shipping to it: it stands by for nobody, judges, hears by all its links, and the target
    /// takes what it ships.
    leads: bool,
    /// Why it does not lead.
    #[schema(required)]
    why: Option<String>,
    /// Its records up to this time are there.
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
    let hindrance = hindrance(&api).await;
    let of =
        |standing: &Standing, follower, target| target_shipping(&api, standing, follower, target, hindrance.as_ref());
    Json(Shipping {
        influxdb: of(&api.standings.influx, "influxdb", "InfluxDB"),
        index: of(&api.standings.index, "index", "index"),
    })
}

/// Why nothing can be left to it, whatever the target.
async fn hindrance(api: &Api) -> Option<String> {
    if !health::turns(api).await {
        return Some("the loop that judges did not answer within a second".to_owned());
    }
    let figures = api.board.figures();
    let deaf = figures.links.iter().find(|link| link.name != LINK && link.down.is_some());
    deaf.map(|link| format!("its link {} is down", link.name))
}

fn target_shipping(
    api: &Api,
    standing: &Standing,
    follower: &str,
    target: &str,
    hindrance: Option<&String>,
) -> TargetShipping {
    let stand = standing.borrow().clone();
    let lag = api.board.lag(follower);
    let why = match &lag {
        _ if stand.part != Part::Alone => Some("it stands by itself".to_owned()),
        None => Some(format!("it ships to no {target}")),
        Some(lag) => lag.trouble.as_ref().map(|trouble| trouble.error.to_string()).or_else(|| hindrance.cloned()),
    };
    let until = lag.and_then(|lag| lag.until);
    TargetShipping {
        part: stand.part.word(),
        part_because: stand.why.to_string(),
        leads: why.is_none(),
        why,
        shipped_until: until.map(Time),
        shipped_until_ns: until.map(|until| until.0),
    }
}
