//! [`Failure`]: why the program ends other than well, one variant for each way it is told to the shell.

/// Why the program ends other than well.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for makes no sense: exit code 2.
    Usage(anyhow::Error),
    /// A bad row, and `--strict` was set: exit code 2.
    BadRow(anyhow::Error),
    /// Anything else: exit code 1.
    Runtime(anyhow::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Usage(error) | Self::BadRow(error) | Self::Runtime(error)) = self;
        write!(f, "{error:#}")
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}
