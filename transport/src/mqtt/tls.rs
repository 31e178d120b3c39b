//! [`Diagnosis`]: finds out why TLS with a broker fails, for the client library does not say. Carries no messages.

use std::{fmt, net::IpAddr, path::Path, time::Duration};

use openssl::{
    error::ErrorStack,
    ssl::{HandshakeError, Ssl, SslContext, SslFiletype, SslMethod, SslRef, SslVerifyMode},
    x509::X509VerifyResult,
};

use super::relay::reach;
use crate::{ClientCertificate, MqttEndpoint, Security, Tls};

/// How long the broker may take to say that it does not like our certificate; a round trip would do.
const VERDICT_LIMIT: Duration = Duration::from_secs(2);
/// What OpenSSL calls the certificates that no authority we trust vouches for.
const UNTRUSTED: [i32; 6] = [2, 7, 18, 19, 20, 21];
const EXPIRED: i32 = 10;
const OTHER_NAME: [i32; 2] = [62, 64];

/// Tries the handshake once more, on a connection of its own and with the library that the client uses, for the reason
/// alone.
#[derive(Debug)]
pub(super) struct Diagnosis {
    host: String,
    port: u16,
    tls: Tls,
    patience: Duration,
}

impl Diagnosis {
    /// `None` where there is no TLS. `patience` is how long each step may take.
    pub(super) fn of(endpoint: &MqttEndpoint, patience: Duration) -> Option<Self> {
        let Security::Tls(tls) = &endpoint.security else { return None };
        Some(Self { host: endpoint.host.clone(), port: endpoint.port, tls: tls.clone(), patience })
    }

    /// What is wrong; `None` if it is not TLS.
    pub(super) fn make(&self) -> Option<String> {
        let stream = reach(&format!("{}:{}", self.host, self.port), self.patience).ok()?;
        stream
            .set_read_timeout(Some(self.patience))
            .and_then(|()| stream.set_write_timeout(Some(self.patience)))
            .ok()?;
        let context = match context(&self.tls) {
            Ok(context) => context,
            Err(reason) => return Some(reason),
        };
        let ssl = self.expecting_the_host(&context).ok()?;
        let mut stream = match ssl.connect(stream) {
            Ok(stream) => stream,
            Err(HandshakeError::SetupFailure(error)) => return Some(format!("TLS: {error}")),
            Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => {
                return Some(self.reason(failed.ssl(), failed.error()));
            }
        };
        // With TLS 1.3 a broker that does not like our certificate says so only now; else it waits for us to speak.
        stream.get_ref().set_read_timeout(Some(VERDICT_LIMIT.min(self.patience))).ok()?;
        match stream.ssl_read(&mut [0; 8]) {
            Err(error) if error.ssl_error().is_some() => Some(self.reason(stream.ssl(), &error)),
            _ => None,
        }
    }

    fn expecting_the_host(&self, context: &SslContext) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(context)?;
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => ssl.param_mut().set_ip(address)?,
            Err(_) => {
                ssl.set_hostname(host)?;
                ssl.param_mut().set_host(host)?;
            }
        }
        Ok(ssl)
    }

    fn reason(&self, ssl: &SslRef, error: &openssl::ssl::Error) -> String {
        let verdict = ssl.verify_result();
        if verdict != X509VerifyResult::OK {
            return format!("{} ({})", self.broken_trust(verdict), verdict.error_string());
        }
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
            None if stack.is_empty() => "the broker ends the TLS handshake, or does not answer it".to_owned(),
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
pub(super) fn context(tls: &Tls) -> Result<SslContext, String> {
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
