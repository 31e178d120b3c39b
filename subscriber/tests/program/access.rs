//! Who may, and where it serves.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::{Client, StatusCode, header};

use crate::support::{Subscriber, plain, serving};

/// The status of a GET with headers.
async fn get(url: &str, headers: &[(&str, &str)]) -> StatusCode {
    let mut request = Client::new().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status()
}

/// How it ends that can't start: its exit code and what it says.
fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn with_a_login_only_who_has_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "t0ken\n").unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "s:ecret\n").unwrap();
    let files = [&token, &password].map(|path| path.to_str().unwrap());
    let args = ["--http-user", "watch", "--http-token-file", files[0], "--http-password-file", files[1]];
    let (subscriber, url) = Subscriber::serve(dir.path(), &args);
    let publishers = format!("{url}/api/v1/publishers");
    for path in ["/", "/metrics", "/readyz", "/api/v1/openapi.json", "/api/v1/events", "/api/v1/beat/a"] {
        assert_eq!(get(&format!("{url}{path}"), &[]).await, 401, "{path}");
    }
    assert_eq!(get(&format!("{url}/healthz"), &[]).await, 200, "whoever looks after it has no login");
    let refused = Client::new().get(&publishers).send().await.unwrap();
    assert!(refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic realm="));
    assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/problem+json");
    let authorization = async |value: &str| get(&publishers, &[("authorization", value)]).await;
    assert_eq!(authorization("Bearer t0ken").await, 200);
    assert_eq!(authorization("bearer t0ken").await, 200);
    assert_eq!(authorization("Bearer t0kem").await, 401);
    assert!(subscriber.logged("a login failed").contains("from 127.0.0.1;"));
    for wrong in ["Bearer t0ke", "Bearer t0kenn", "Bearer", "Basic t0ken", "Digest t0ken", "Basic d2F0Y2g=", "Basic !!"]
    {
        assert_eq!(authorization(wrong).await, 401, "{wrong}");
    }
    for (user, password, status) in [
        ("watch", "s:ecret", 200),
        ("anybody", "t0ken", 200),
        ("watch", "secret", 401),
        ("other", "s:ecret", 401),
        ("watch", "", 401),
    ] {
        let request = Client::new().get(&publishers).basic_auth(user, Some(password));
        assert_eq!(request.send().await.unwrap().status(), status, "{user} {password}");
    }
}

#[tokio::test]
async fn a_publishers_token_is_good_for_its_beats_and_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let all = file("all.token", "all\n");
    let [backup, oven] = ["backup", "oven"].map(|name| file(&format!("{name}.token"), &format!("{name}'s\n")));
    let config = file(
        "config.toml",
        &format!(
            "[publishers.backup]\ntoken_file = '{backup}'\n[publishers.'site/backup']\ntoken_file = '{backup}'\n\
             [publishers.oven]\ntoken_file = '{oven}'\n"
        ),
    );
    let (subscriber, url) = Subscriber::serve(dir.path(), &["--config", &config, "--http-token-file", &all]);
    let bearer = async |token: &str, path: &str| {
        get(&format!("{url}{path}"), &[("authorization", &format!("Bearer {token}"))]).await
    };
    for (path, status) in [
        ("/api/v1/beat/backup", 200),
        ("/api/v1/beat/backup/start", 200),
        ("/api/v1/beat/backup/fail", 200),
        ("/api/v1/beat/site%2Fbackup", 200),
        ("/api/v1/beat/%62ackup", 200),
        ("/api/v1/beat/oven", 403),
        ("/api/v1/beat/oven/fail", 403),
        ("/api/v1/beat/backup2", 403),
        ("/api/v1/beat/backup=", 403),
        ("/api/v1/beat/Backup", 403),
        ("/api/v1/beat/backup%2Fx", 403),
        ("/api/v1/beat/../publishers", 403),
        ("/api/v1/publishers", 403),
        ("/api/v1/publishers/backup", 403),
        ("/api/v1/events", 403),
        ("/api/v1/export", 403),
        ("/metrics", 403),
        ("/readyz", 403),
        ("/", 403),
    ] {
        assert_eq!(bearer("backup's", path).await, status, "{path}");
    }
    assert_eq!(bearer("oven's", "/api/v1/beat/oven").await, 200);
    assert_eq!(bearer("oven's", "/api/v1/beat/backup").await, 403);
    let basic = Client::new().get(format!("{url}/api/v1/beat/oven")).basic_auth("oven", Some("oven's"));
    assert_eq!(basic.send().await.unwrap().status(), 200);
    let pause = Client::new().post(format!("{url}/api/v1/publishers/backup/pause")).bearer_auth("backup's").body("{}");
    assert_eq!(pause.send().await.unwrap().status(), 403);
    for path in ["/api/v1/beat/oven", "/api/v1/publishers"] {
        assert_eq!(bearer("all", path).await, 200, "{path}");
        assert_eq!(bearer("oven", path).await, 401, "{path}");
    }
    drop(subscriber);
    let (code, text) = failure(serving(dir.path(), &["--config", &config]).env_remove("LASTBEAT_HTTP_TOKEN"));
    assert!(code == Some(2) && text.contains("publisher backup has a token_file"), "{text}");
    let (code, text) = failure(&mut serving(dir.path(), &["--config", &config, "--http-token-file", &oven]));
    assert!(code == Some(2) && text.contains("good for everything") && !text.contains("oven's"), "{text}");
}

#[tokio::test]
async fn without_a_login_no_other_host_name_leads_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let publishers = format!("{url}/api/v1/publishers");
    for (host, status) in [
        ("localhost:8787", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("127.8.8.8:1", 200),
        ("[::1]:8787", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8787", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.0.2.1", 403),
        ("[2001:db8::1]", 403),
        ("", 403),
    ] {
        assert_eq!(get(&publishers, &[("host", host)]).await, status, "{host:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_can_not_make_a_browser_change_anything() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let authority = url.trim_start_matches("http://");
    let beat = format!("{url}/api/v1/beat/a");
    for (name, value, status) in [
        ("sec-fetch-site", "same-origin", 200),
        ("sec-fetch-site", "none", 200),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", &url, 200),
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("origin", &format!("http://{authority}.evil.example"), 403),
    ] {
        assert_eq!(get(&beat, &[(name, value)]).await, status, "GET beat, {name}: {value}");
        let pause = Client::new().post(format!("{url}/api/v1/publishers/a/pause")).header(name, value);
        let pause = pause.body("{}").send().await.unwrap().status();
        assert_eq!(pause, status, "POST pause, {name}: {value}");
    }
    let read = get(&format!("{url}/api/v1/publishers"), &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(read, 200, "the browser keeps the answer from the page");
}

#[test]
fn an_address_that_others_reach_needs_a_login_and_both_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8787"] {
        let (code, text) = failure(plain(dir.path()).args(["--http", address]));
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(address) && text.contains("--http-user"), "{text}");
    }
    for (args, said) in [
        (&["--http-user", "watch"][..], "\"watch\" has no password"),
        (&["--http-token-file", "/nowhere/token"], "/nowhere/token"),
        (&["--http-certificate", "/nowhere/crt"], "--http-key"),
        (&["--http-key", "/nowhere/key"], "--http-certificate"),
    ] {
        let (code, text) = failure(&mut serving(dir.path(), args));
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(said), "{text}");
    }
    let (code, text) = failure(plain(dir.path()).args(["--http", "here"]));
    assert!(code == Some(2) && text.contains("\"here\""), "{text}");
    let (code, text) = failure(serving(dir.path(), &[]).env("LASTBEAT_HTTP_PASSWORD", "secret"));
    assert!(code == Some(2) && text.contains("--http-user"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn with_nothing_to_hear_from_it_does_not_start_unless_asked_to_serve() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = failure(&mut plain(dir.path()));
    assert!(code == Some(2) && text.contains("--from"), "{text}");
    let (code, text) = failure(plain(dir.path()).args(["--http", "off"]));
    assert!(code == Some(2) && text.contains("--from"), "{text}");
}

#[test]
fn an_address_that_is_taken_ends_it_if_it_was_asked_for_and_else_costs_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = failure(plain(dir.path()).args(["--http", &address]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&address) && text.contains("in use"), "{text}");

    // If this fails somebody else has it, which is as good.
    let _default = TcpListener::bind("127.0.0.1:8787");
    let mut command = plain(dir.path());
    command.args(["--from", "memory://x", "--expect", "somebody", "--threshold", "1s"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let warned = warning(&mut child);
    assert!(warned.contains("127.0.0.1:8787") && warned.contains("--http"), "{warned}");
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The first line about the page.
fn warning(child: &mut std::process::Child) -> String {
    use std::io::BufRead;
    let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    lines.map_while(Result::ok).find(|line| line.contains("live page")).expect("it says that there is no page")
}

#[tokio::test]
async fn with_a_certificate_it_serves_https_and_a_wrong_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let [certificate, key] = ["server.crt", "server.key"].map(|name| dir.path().join(name).display().to_string());
    let args = ["--http-certificate", &certificate, "--http-key", &key];
    let (_subscriber, url) = Subscriber::serve(dir.path(), &args);
    assert!(url.starts_with("https://"), "{url}");
    let root = reqwest::Certificate::from_pem(&std::fs::read(&certificate).unwrap()).unwrap();
    let client = Client::builder().tls_certs_only([root]).build().unwrap();
    let answer = client.get(format!("{url}/api/v1/publishers")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let unencrypted = Client::new().get(url.replace("https", "http")).send().await;
    assert!(unencrypted.is_err(), "{unencrypted:?}");

    let (code, text) = failure(&mut serving(dir.path(), &["--http-certificate", &key, "--http-key", &key]));
    assert!(code == Some(2) && text.contains("server.key"), "{text}");
    std::fs::write(dir.path().join("other.key"), "no key").unwrap();
    let other = dir.path().join("other.key").display().to_string();
    let (code, text) = failure(&mut serving(dir.path(), &["--http-certificate", &certificate, "--http-key", &other]));
    assert!(code == Some(2) && text.contains("other.key"), "{text}");
}

/// Makes a certificate for 127.0.0.1, and its key.
fn certify(dir: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"])
        .args(["-subj", "/CN=lastbeat", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "server.key", "-out", "server.crt"])
        .current_dir(dir)
        .output()
        .expect("this test needs openssl: install Debian's package openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
