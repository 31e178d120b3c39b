//! Elasticsearch or OpenSearch as a follower of the log, for Kibana: pings, wills, flips, judgements and refused messages.
//!
//! ```text
//!   Reader ─▶ Document ─▶ batch (some 5,000) ─▶ POST /_bulk     one at a time
//!                               ▲                  │
//!                 those left ◀──┴── each its own ──┼─▶ written, or there already
//!                                      answer      └─▶ refused ─▶ index.refused.jsonl
//! ```
//!
//! A document is made by `create` under an id of its own, so that what is sent twice is written once and nothing that is
//! there is ever changed: after a crash or a lost answer the cursor may always go back.

mod config;
#[cfg(test)]
mod crashes;
mod deliver;
mod document;
mod follow;
mod identity;
#[cfg(test)]
mod measure;
mod name;
#[cfg(test)]
mod rsyslog;
mod server;
#[cfg(test)]
mod standin;
mod template;
#[cfg(test)]
mod tests;

pub use config::IndexConfig;
pub use follow::Index;
