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

/// Whatever is no part of the API: the page's files, and the page itself at `/`, at `/swarm` and below `/p/`.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let name = if path == "/" || path == "/swarm" || path.starts_with("/p/") {
        "index.html"
    } else {
        path.trim_start_matches('/')
    };
    match Files::get(name) {
        Some(file) => answer(name, file, request.headers()),
        None if name == "index.html" => Html(WITHOUT).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).into_response(),
    }
}

fn answer(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let kind = file.metadata.mimetype();
    let kind = if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    let hash = file.metadata.sha256_hash();
    let (tag, keep) = caching(name, &hash);
    let mut response = if is_known(&tag, asked) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(file.data).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    for (header, value) in [(header::ETAG, tag), (header::CONTENT_TYPE, kind)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(header, value);
        }
    }
    response
}

/// A file's tag, and how long it may be kept.
fn caching(name: &str, hash: &[u8; 32]) -> (String, &'static str) {
    let hash = hash.first_chunk().map_or(0, |first| u128::from_be_bytes(*first));
    // The names of assets have a hash of their content in them.
    let keep = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    // Weak, for the same file may be sent compressed.
    (format!("W/\"{hash:032x}\""), keep)
}

/// Whether the browser has the file.
fn is_known(tag: &str, asked: &HeaderMap) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    known.split(',').any(|known| known.trim() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bears_its_hash_in_its_name_is_kept_for_good_and_all_else_is_asked_for() {
        assert_eq!(caching("assets/index-abc.js", &[1; 32]).1, "public, max-age=31536000, immutable");
        for name in ["index.html", "favicon.svg"] {
            assert_eq!(caching(name, &[1; 32]).1, "no-cache");
        }
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let (tag, _) = caching("index.html", &[1; 32]);
        assert_ne!(tag, caching("index.html", &[2; 32]).0);
        let asked = |value: &str| HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
        assert!(is_known(&tag, &asked(&tag)));
        assert!(is_known(&tag, &asked(&format!("\"other\", {tag}"))));
        assert!(!is_known(&tag, &asked("\"other\"")));
        assert!(!is_known(&tag, &HeaderMap::new()));
    }
}
