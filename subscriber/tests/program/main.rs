//! The subscriber as a process: what it hears, how it judges, what it keeps, what it serves, how it ends.

mod access;
mod described;
mod hostile;
mod measure;
mod past;
mod serving;
mod support;
mod watching;
