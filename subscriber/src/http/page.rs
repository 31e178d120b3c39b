//! The page's files, which are part of the program.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use super::problem::Problem;

/// What `npm run build` made of `web/`; nothing where that was not done.
#[derive(Embed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Files;

/// Shown where the page is not part of the program.
const WITHOUT: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Lastbeat</title>
<h1>Lastbeat</h1>
<p>This program was built without its page. Add it with</p>
<pre>cd web &amp;&amp; npm ci &amp;&amp; npm run build</pre>
<p>and build the subscriber again; <code>make run</code> does both. The API is here:
<a href=\"/api/v1/publishers\">publishers</a>, <a href=\"/api/v1/openapi.json\">its description</a>,
<a href=\"/metrics\">metrics</a>.</p>
";

/// Whatever is no part of the API: the page's files, and the page itself at `/` and below `/p/`.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let name = if path == "/" || path.starts_with("/p/") { "index.html" } else { path.trim_start_matches('/') };
    match Files::get(name) {
        Some(file) => answer(name, file, request.headers()),
        None if name == "index.html" => Html(WITHOUT).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).into_response(),
    }
}

fn answer(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let hash = hash.first_chunk().map_or(0, |first| u128::from_be_bytes(*first));
    // Weak, for the same file may be sent compressed.
    let tag = format!("W/\"{hash:032x}\"");
    let known = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.to_str().is_ok_and(|tags| tags.split(',').any(|known| known.trim() == tag)));
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(file.data).into_response() };
    let headers = response.headers_mut();
    // The names of assets have a hash of their content in them.
    let keep = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    for (header, value) in [(header::ETAG, tag.as_str()), (header::CONTENT_TYPE, file.metadata.mimetype())] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(header, value);
        }
    }
    response
}
