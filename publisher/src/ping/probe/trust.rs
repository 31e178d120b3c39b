//! [`Trust`]: the authorities whose certificates pages may have.

use std::path::Path;

use anyhow::Context;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslConnector, SslMethod};

/// The system's authorities, and one of one's own besides.
#[derive(Clone)]
pub struct Trust(SslConnector);

impl Trust {
    /// Those of the system, and those in a PEM file.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn new(own: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).context("TLS")?;
        if let Some(path) = own {
            builder
                .set_ca_file(path)
                .with_context(|| format!("--ca {}: no certificates can be read", path.display()))?;
        }
        Ok(Self(builder.build()))
    }

    /// TLS with a host, whose name or address its certificate must bear.
    pub fn client(&self, host: &str) -> Result<Ssl, ErrorStack> {
        self.0.configure()?.into_ssl(host)
    }
}
