//! A real `influxd` for the tests: its own directory, a free port, killed and started again at will.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use lastbeat_log::Position;

use super::{Influx, InfluxConfig};
use crate::follower::Follower;

/// A server that ends with its value.
pub struct Influxd {
    dir: tempfile::TempDir,
    address: String,
    auth: bool,
    https: Option<Https>,
    child: Child,
}

/// What a server with HTTPS needs, and whoever asks it: PEM files.
#[derive(Clone)]
pub struct Https {
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who vouches for it.
    pub ca: PathBuf,
}

impl Influxd {
    /// Starts a server that lets everyone in.
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts a server, with or without authentication.
    pub fn start_with(auth: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (child, address) = spawn(dir.path(), "127.0.0.1:0", auth, None);
        Self { dir, address, auth, https: None, child }
    }

    /// Starts a server with HTTPS.
    pub fn start_https(https: Https) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (child, address) = spawn(dir.path(), "127.0.0.1:0", false, Some(&https));
        Self { dir, address, auth: false, https: Some(https), child }
    }

    fn client(&self) -> reqwest::Client {
        let Some(https) = &self.https else { return reqwest::Client::new() };
        let ca = reqwest::Certificate::from_pem(&std::fs::read(&https.ca).unwrap()).unwrap();
        reqwest::Client::builder().tls_certs_only([ca]).build().unwrap()
    }

    /// `http://127.0.0.1:port`, or with `https`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.https.is_some() { "https" } else { "http" }, self.address)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after a kill, on the same port, with what it had on its disk.
    pub fn restart(&mut self) {
        (self.child, self.address) = spawn(self.dir.path(), &self.address, self.auth, self.https.as_ref());
    }

    /// Runs a statement and gives the rows of its first series as JSON.
    pub async fn query(&self, statement: &str) -> Vec<serde_json::Value> {
        self.query_as("", statement).await
    }

    /// The same with `&u=…&p=…`.
    pub async fn query_as(&self, credentials: &str, statement: &str) -> Vec<serde_json::Value> {
        self.series(credentials, statement).await["values"].as_array().cloned().unwrap_or_default()
    }

    /// Each row with its columns' names, without what it does not have.
    pub async fn rows(&self, statement: &str) -> Vec<std::collections::BTreeMap<String, serde_json::Value>> {
        let series = self.series("", statement).await;
        let columns: Vec<_> =
            series["columns"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
        let row = |values: &serde_json::Value| {
            let cells = columns.iter().zip(values.as_array().unwrap());
            cells
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect()
        };
        series["values"].as_array().into_iter().flatten().map(row).collect()
    }

    /// The first series of an answer.
    async fn series(&self, credentials: &str, statement: &str) -> serde_json::Value {
        let pairs = [("q", statement), ("db", "lastbeat"), ("epoch", "ns")];
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let response = self.client().post(format!("{}/query?{query}{credentials}", self.url())).send().await;
        let text = response.unwrap().text().await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!text.starts_with("{\"error") && answer["results"][0]["error"].is_null(), "{statement}: {text}");
        answer["results"][0]["series"][0].clone()
    }

    /// Writes a line as somebody else would, into a database that is made if need be.
    pub async fn write(&self, line: &str) {
        self.query("CREATE DATABASE lastbeat").await;
        let url = format!("{}/write?db=lastbeat", self.url());
        let response = self.client().post(url).body(line.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 204, "{line}");
    }

    /// How many points of a measurement have this field.
    pub async fn count(&self, measurement: &str, field: &str) -> i64 {
        let rows = self.query(&format!("SELECT count(\"{field}\") FROM \"{measurement}\"")).await;
        rows.first().map_or(0, |row| row[1].as_i64().unwrap())
    }

    /// A follower into its database `lastbeat`.
    pub fn follower(&self, state: &std::path::Path) -> Influx {
        let config = InfluxConfig::parse(&self.url(), |_| None).unwrap();
        let follower = Influx::open(config, state, crate::standby::alone()).unwrap();
        assert!(follower.cursor() >= Position::START);
        follower
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &std::path::Path, address: &str, auth: bool, https: Option<&Https>) -> (Child, String) {
    let path = |name| serde_json::to_string(&dir.join(name)).unwrap();
    let https = https.map_or_else(String::new, |https| {
        let (certificate, key) = (https.certificate.display(), https.key.display());
        format!("https-enabled = true\nhttps-certificate = \"{certificate}\"\nhttps-private-key = \"{key}\"\n")
    });
    let config = format!(
        "reporting-enabled = false\nbind-address = \"127.0.0.1:0\"\n[meta]\ndir = {}\n[data]\ndir = {}\nwal-dir = {}\n\
         query-log-enabled = false\n[http]\nbind-address = \"{address}\"\nauth-enabled = {auth}\nlog-enabled = false\n{https}",
        path("meta"),
        path("data"),
        path("wal")
    );
    let file = dir.join("influxd.conf");
    std::fs::write(&file, config).unwrap();
    let mut child = Command::new("influxd")
        .arg("-config")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("these tests need influxd: apt-get install influxdb");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            seen.push_str(&line);
            seen.push('\n');
            let (_, rest) = line.split_once("Listening on HTTP")?;
            let (_, rest) = rest.split_once("addr=")?;
            Some(rest.split([' ', '"']).next().unwrap_or_default().to_owned())
        })
        .unwrap_or_else(|| panic!("influxd did not start:\n{seen}"));
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}
