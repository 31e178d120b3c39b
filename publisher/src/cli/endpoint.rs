//! [`Endpoints`]: URLs on the command line or in the environment, which may hold passwords: an error never shows them.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use lastbeat_transport::{Endpoint, TransportError};

/// Reads one URL or several.
#[derive(Debug, Clone, Copy)]
pub struct Endpoints<T>(fn(&str) -> Result<T, String>);

impl Endpoints<Endpoint> {
    /// One.
    pub fn one() -> Self {
        Self(read)
    }
}

impl Endpoints<Vec<Endpoint>> {
    /// One at least, with white space between them.
    pub fn some() -> Self {
        Self(|text| {
            let endpoints = text.split_whitespace().map(read).collect::<Result<Vec<_>, _>>()?;
            if endpoints.is_empty() { Err("is no URL: it is empty".to_owned()) } else { Ok(endpoints) }
        })
    }
}

/// What is wrong is told with the URL, but without its password.
fn read(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error: TransportError| error.to_string())
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Endpoints<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let read = value.to_str().ok_or_else(|| "is not UTF-8".to_owned()).and_then(self.0);
        read.map_err(|reason| {
            let argument = argument.map(ToString::to_string).unwrap_or_default();
            Error::raw(ErrorKind::ValueValidation, format!("{argument}: {reason}\n")).with_cmd(command)
        })
    }
}
