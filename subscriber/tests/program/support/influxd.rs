//! [`Influxd`]: a real InfluxDB for a test, with a folder of its own, on a free port.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A server that ends with its value.
pub struct Influxd {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Influxd {
    /// Starts one that lets everyone in.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| serde_json::to_string(&folder.path().join(name)).unwrap();
        let config = format!(
            "reporting-enabled = false\nbind-address = \"127.0.0.1:0\"\n[meta]\ndir = {}\n[data]\ndir = {}\n\
             wal-dir = {}\n[http]\nbind-address = \"127.0.0.1:0\"\nlog-enabled = false\n",
            path("meta"),
            path("data"),
            path("wal")
        );
        let file = folder.path().join("influxd.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("influxd");
        command.arg("-config").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("this test needs influxd: install Debian's package influxdb");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("Listening on HTTP")).expect("it says where it listens");
        let address = line.split_once("addr=").unwrap().1.split([' ', '"']).next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://{address}"), _folder: folder }
    }

    /// The URL of a database on it, as `--influx` wants it.
    pub fn database(&self) -> String {
        format!("{}/lastbeat", self.url)
    }

    /// The rows of a query's first series.
    pub async fn query(&self, statement: &str) -> Vec<Value> {
        let pairs = [("q", statement), ("db", "lastbeat"), ("epoch", "ns")];
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let answer = reqwest::get(format!("{}/query?{query}", self.url)).await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default()
    }

    /// How many points have this field.
    pub async fn count(&self, field: &str, from: &str) -> i64 {
        let rows = self.query(&format!("SELECT count({field}) FROM {from}")).await;
        rows.first().map_or(0, |row| row[1].as_i64().unwrap())
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
