//! The stand-in against a client that is none of ours: rsyslog's omelasticsearch, on its documented settings
//! (<https://www.rsyslog.com/doc/configuration/modules/omelasticsearch.html>). What that is answered by a real server it has to
//! be answered here: it writes in bulk, tells what was refused and sends again what was turned away.

use std::path::Path;
use std::process::{Child, Command};

use serde_json::json;

use super::standin::{Contents, Scripted, StandIn};

const RSYSLOGD: &str = "/usr/sbin/rsyslogd";
const MISSING: &str =
    "this test needs rsyslog's omelasticsearch: install Debian's packages rsyslog and rsyslog-elasticsearch";

/// Ended when it is dropped.
struct Rsyslog(Child);

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Rsyslog {
    /// Sends each of 200 lines as a document to an index; what was turned away again, if `retry` is `on`.
    fn start(dir: &Path, address: &str, retry: &str) -> Self {
        let (host, port) = address.split_once(':').unwrap();
        let (input, errors, work) = (dir.join("input.log"), dir.join("errors.json"), dir.join("work"));
        let lines: Vec<_> = (0..200).map(|number| format!("line-{number}\n")).collect();
        std::fs::write(&input, lines.concat()).unwrap();
        std::fs::create_dir(&work).unwrap();
        let configuration = format!(
            r#"
            global(workDirectory="{work}")
            module(load="imfile" mode="polling" pollingInterval="1")
            module(load="omelasticsearch")
            template(name="document" type="string" string="{{\"message\":\"%msg:::json%\"}}")
            template(name="id" type="string" string="id-%msg%")
            input(type="imfile" file="{input}" tag="t" ruleset="index" freshStartTail="off")
            ruleset(name="index") {{
                action(type="omelasticsearch" server="{host}" serverport="{port}" template="document" bulkmode="on"
                       searchIndex="swarm" searchType="" bulkid="id" dynbulkid="on" writeoperation="create"
                       errorfile="{errors}" retryfailures="{retry}" retryruleset="index" action.resumeInterval="1" action.resumeRetryCount="-1")
            }}
            "#,
            work = work.display(),
            input = input.display(),
            errors = errors.display(),
        );
        let file = dir.join("rsyslog.conf");
        std::fs::write(&file, configuration).unwrap();
        let check = Command::new(RSYSLOGD).args(["-N1", "-f"]).arg(&file).output().expect(MISSING);
        assert!(check.status.success(), "{MISSING}: {}", String::from_utf8_lossy(&check.stderr));
        let child = Command::new(RSYSLOGD).arg("-n").arg("-f").arg(&file).arg("-i").arg(dir.join("pid")).spawn();
        Self(child.unwrap())
    }
}

fn has(contents: &Contents, count: usize) -> bool {
    contents.indices.get("swarm").is_some_and(|documents| documents.len() == count)
}

#[tokio::test]
async fn rsyslog_writes_into_the_stand_in_in_bulk_as_into_a_real_server() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let _rsyslog = Rsyslog::start(dir.path(), &server.address, "on");
    server.until(|contents| has(contents, 200)).await;
    let contents = server.contents();
    assert_eq!(contents.indices["swarm"]["id-line-7"], json!({ "message": "line-7" }));
    assert!(contents.sizes.len() < 200, "{:?}", contents.sizes);
    assert_eq!((contents.sizes.iter().sum::<usize>(), contents.conflicts), (200, 0));
}

#[tokio::test]
async fn rsyslog_sends_again_what_the_stand_in_turned_away() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().scripted = [Scripted::Items(10, 429, "es_rejected_execution_exception")].into();
    let _rsyslog = Rsyslog::start(dir.path(), &server.address, "on");
    server.until(|contents| has(contents, 200)).await;
    // It sends the whole request again, and takes what is there already for done.
    let contents = server.contents();
    assert_eq!((&contents.sizes[..], contents.conflicts), (&[200, 200][..], 180));
}

#[tokio::test]
async fn rsyslog_tells_what_the_stand_in_refused_and_why() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().scripted = [Scripted::Items(200, 400, "document_parsing_exception")].into();
    let mut rsyslog = Rsyslog::start(dir.path(), &server.address, "off");
    server.until(|contents| contents.sizes.iter().sum::<usize>() == 200).await;
    assert!(has(&server.contents(), 199));
    rustix::process::kill_process(rustix::process::Pid::from_child(&rsyslog.0), rustix::process::Signal::TERM).unwrap();
    rsyslog.0.wait().unwrap();
    let told = std::fs::read_to_string(dir.path().join("errors.json")).unwrap();
    assert!(told.contains("document_parsing_exception") && told.contains("line-0"), "{told}");
}
