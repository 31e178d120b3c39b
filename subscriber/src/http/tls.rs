//! [`Certificate`]: a certificate and its key, read and checked before anything is served.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What HTTPS is served with.
#[derive(Clone)]
pub struct Certificate(pub Arc<ServerConfig>);

impl Certificate {
    /// Reads the certificate, followed by those that lead to a known one, and its key; both PEM.
    pub fn load(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let name = |path: &Path, what| format!("{what} {}", path.display());
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .with_context(|| name(certificate, "the HTTP certificate"))?;
        if chain.is_empty() {
            bail!("the HTTP certificate {}: holds no certificate in PEM form", certificate.display());
        }
        let private = PrivateKeyDer::from_pem_file(key).with_context(|| name(key, "the HTTP key"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS")?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .with_context(|| {
                format!("the HTTP certificate {} with the key {}", certificate.display(), key.display())
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}
