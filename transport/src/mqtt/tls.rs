//! TLS with an MQTT broker: what a handshake needs, and why one fails, in words.

use std::{fmt, io, net::IpAddr, path::Path, pin::Pin, time::Duration};

use openssl::{
    error::ErrorStack,
    ssl::{Error, Ssl, SslContext, SslFiletype, SslMethod, SslRef, SslVerifyMode},
    x509::X509VerifyResult,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_openssl::SslStream;

use crate::{ClientCertificate, Tls};

/// What OpenSSL calls the certificates that no authority we trust vouches for.
const UNTRUSTED: [i32; 6] = [2, 7, 18, 19, 20, 21];
const EXPIRED: i32 = 10;
const OTHER_NAME: [i32; 2] = [62, 64];
const NO_ANSWER: &str = "the broker ends the TLS handshake, or does not answer it";

/// Our end of TLS with one broker.
pub(super) struct TlsClient {
    host: String,
    tls: Tls,
    context: SslContext,
}

impl TlsClient {
    /// Reads the files. The error names the one that can't be used.
    pub(super) fn new(host: &str, tls: &Tls) -> Result<Self, String> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, tls: tls.clone(), context: context(tls)? })
    }

    /// Makes sure that it is the broker, within `patience`. The error says what is wrong.
    pub(super) async fn connect(&self, stream: TcpStream, patience: Duration) -> Result<SslStream<TcpStream>, String> {
        let ssl = self.expecting_the_host().map_err(|error| format!("TLS: {error}"))?;
        let mut stream = SslStream::new(ssl, stream).map_err(|error| format!("TLS: {error}"))?;
        let shaken = timeout(patience, Pin::new(&mut stream).connect()).await;
        match shaken {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(error)) => Err(self.untrusted(stream.ssl()).unwrap_or_else(|| self.failed(&error))),
            Err(_) => Err(NO_ANSWER.to_owned()),
        }
    }

    /// Why a connection that was made broke, if it was for TLS: with TLS 1.3 a broker says only behind the handshake that it
    /// does not like our certificate.
    pub(super) fn why_broken(&self, error: &io::Error) -> Option<String> {
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        error.ssl_error().is_some().then(|| self.failed(error))
    }

    fn expecting_the_host(&self) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        if let Ok(address) = self.host.parse::<IpAddr>() {
            ssl.param_mut().set_ip(address)?;
        } else {
            ssl.set_hostname(&self.host)?;
            ssl.param_mut().set_host(&self.host)?;
        }
        Ok(ssl)
    }

    fn untrusted(&self, ssl: &SslRef) -> Option<String> {
        let verdict = ssl.verify_result();
        let broken = || format!("{} ({})", self.broken_trust(verdict), verdict.error_string());
        (verdict != X509VerifyResult::OK).then(broken)
    }

    fn failed(&self, error: &Error) -> String {
        let stack = error.ssl_error().map(ToString::to_string).unwrap_or_default();
        // `tlsv13 alert certificate required`, and so on: an alert is what the other side says.
        match error.ssl_error().and_then(|stack| stack.errors().first()?.reason()).filter(|said| said.contains("alert"))
        {
            Some(said)
                if said.contains("certificate required")
                    || said.contains("handshake failure") && self.tls.client.is_none() =>
            {
                format!("the broker wants a client certificate, cert= and key= ({said})")
            }
            Some(said) => format!("the broker refuses our certificate, or TLS with us ({said})"),
            None if stack.is_empty() => NO_ANSWER.to_owned(),
            None => format!("TLS with the broker fails: {stack}"),
        }
    }

    fn broken_trust(&self, verdict: X509VerifyResult) -> String {
        match verdict.as_raw() {
            EXPIRED => "the broker's certificate has expired".to_owned(),
            code if OTHER_NAME.contains(&code) => format!("the broker's certificate is not for {:?}", self.host),
            code if UNTRUSTED.contains(&code) => {
                let trusted = self.tls.ca.as_ref().map_or_else(
                    || "the system trusts; ca= names others".to_owned(),
                    |ca| format!("{} holds", ca.display()),
                );
                format!("the broker's certificate is from no authority that {trusted}")
            }
            _ => "the broker's certificate is not valid".to_owned(),
        }
    }
}

/// What a handshake needs, read from the files. The error names the file.
fn context(tls: &Tls) -> Result<SslContext, String> {
    let mut context = SslContext::builder(SslMethod::tls_client()).map_err(|error| format!("TLS: {error}"))?;
    context.set_verify(SslVerifyMode::PEER);
    match &tls.ca {
        Some(ca) => context.set_ca_file(ca).map_err(named("ca", ca))?,
        None => context.set_default_verify_paths().map_err(|error| format!("the system's authorities: {error}"))?,
    }
    if let Some(ClientCertificate { certificate, key }) = &tls.client {
        context.set_certificate_chain_file(certificate).map_err(named("cert", certificate))?;
        context.set_private_key_file(key, SslFiletype::PEM).map_err(named("key", key))?;
        context.check_private_key().map_err(named("key", key))?;
    }
    Ok(context.build())
}

fn named<'a>(option: &'a str, path: &'a Path) -> impl Fn(ErrorStack) -> String + 'a {
    move |error| {
        let reasons: Vec<_> = error.errors().iter().filter_map(openssl::error::Error::reason).collect();
        format!("{option}={}: can't be used ({})", path.display(), Reasons(&reasons))
    }
}

struct Reasons<'a>(&'a [&'a str]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "no reason given" } else { "" })?;
        f.write_str(&self.0.join(", "))
    }
}
