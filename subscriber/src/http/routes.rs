//! All routes, what is put around them, and their description.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Access, guard};
use super::problem::{self, Problem};
use super::{Api, beat, events, health, page, publishers, shipping, swarm};
use crate::board::json::{Hello, UpdateTold};
use crate::swarm::JudgementTold;
use crate::told::FlipTold;

/// Most bytes of a request's body.
const BODY_BYTES: usize = 1 << 20;
/// How long a request may take until its answer begins.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What every answer bears: a page that could not be made to load, send or show anything but what is its own.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What the description says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lastbeat",
        description = "Who is alive, and why. Times are RFC 3339 in UTC, spans are seconds; errors are problems (RFC 9457)."
    ),
    components(schemas(Problem, Hello<'_>, UpdateTold, FlipTold, JudgementTold))
)]
struct Description;

/// All that is served.
pub fn router(api: Api, access: Access) -> Router {
    let history = crate::history::routes(Arc::clone(&api.history));
    let (routes, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(publishers::overview))
        .routes(routes!(publishers::one))
        .routes(routes!(publishers::pause))
        .routes(routes!(publishers::resume))
        .routes(routes!(beat::beat))
        .routes(routes!(beat::start))
        .routes(routes!(beat::fail))
        .routes(routes!(events::events))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(shipping::shipping))
        .routes(routes!(swarm::swarm))
        .with_state(api)
        .nest("/api/v1", history)
        .split_for_parts();
    complete(&mut description);
    routes
        .route("/api/v1/openapi.json", get(|| async { Json(description) }))
        .fallback(page::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn(problem::unify))
        .layer(CompressionLayer::new())
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(access, guard))
        .layer(from_fn(with_headers))
}

/// Whatever is asked may end in a problem; and each operation has a name of its own.
fn complete(description: &mut utoipa::openapi::OpenApi) {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let problem =
        ResponseBuilder::new().description("It was not possible").content(problem::MEDIA_TYPE, content).build();
    for item in description.paths.paths.values_mut() {
        if let (Some(get), Some(post)) = (&item.get, &mut item.post)
            && get.operation_id == post.operation_id
        {
            post.operation_id = post.operation_id.take().map(|name| format!("post_{name}"));
        }
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.responses.responses.entry("default".to_owned()).or_insert_with(|| problem.clone().into());
        }
    }
}

/// An answer that does not begin in time is none.
async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("the request was not answered within {ANSWER_WITHIN:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
    })
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What has no word on it is news.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
