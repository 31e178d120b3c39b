//! [`Authority`]: certificates for a test, made with the `openssl` program.
#![allow(dead_code, reason = "not each test file that uses this one needs all of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An authority of its own, in a folder that goes with it.
pub struct Authority(tempfile::TempDir);

/// A certificate and its key, in PEM files.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        // Its folder's name is its own.
        let subject = format!("/CN=authority {}", authority.0.path().file_name().unwrap().display());
        let request = ["req", "-x509", "-days", "2", "-subj", &subject, "-out", "ca.pem", "-keyout", "ca.key"];
        authority.run("openssl", &[&request[..], &KEY].concat());
        authority
    }

    /// What to trust.
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// One for this common name and these alternative ones, as `DNS:localhost`.
    pub fn sign(&self, name: &str, alternative: &str) -> Certificate {
        self.sign_with("openssl", &[], name, alternative)
    }

    /// The same, long past its time.
    pub fn sign_expired(&self, name: &str, alternative: &str) -> Certificate {
        self.sign_with("faketime", &["2020-01-01 00:00:00", "openssl"], name, alternative)
    }

    fn sign_with(&self, program: &str, before: &[&str], name: &str, alternative: &str) -> Certificate {
        let file = |ending: &str| format!("{name}.{ending}");
        let (key, request, certificate, extension) = (file("key"), file("csr"), file("pem"), file("ext"));
        let subject = format!("/CN={name}");
        let ask = ["req", "-subj", &subject, "-out", &request, "-keyout", &key];
        self.run("openssl", &[&ask[..], &KEY].concat());
        fs::write(self.0.path().join(&extension), format!("subjectAltName={alternative}\n")).unwrap();
        let sign = ["x509", "-req", "-days", "2", "-in", &request, "-out", &certificate, "-extfile", &extension];
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        self.run(program, &[before, &sign, &by].concat());
        Certificate { certificate: self.0.path().join(certificate), key: self.0.path().join(key) }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).current_dir(self.0.path()).output();
        let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
