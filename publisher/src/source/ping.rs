//! [`PingSource`]: what an agent of a swarm finds out, as a source. Measures nothing itself.

use std::time::Duration;

use lastbeat_transport::Told;
use lastbeat_wire::{Fields, Now, Reading, Target, WATCH_TOPIC, encode_swarming};

use super::{Form, Source, Step};
use crate::ping::list::{self, List};
use crate::ping::measuring::{Fetched, Measuring};
use crate::ping::outcome::Measured;

/// How often it is looked whether there is a result: a target takes some twenty seconds.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultForm {
    /// In our envelope.
    Envelope,
    /// As `athoune/swarming` does.
    Swarming,
}

/// The results of the thread that measures, and the way by which it gets new targets.
#[derive(Debug)]
pub struct PingSource {
    measuring: Measuring,
    list: List,
    agent: String,
    network: Option<String>,
    form: ResultForm,
    /// The list that the broker told last, as it was told.
    told: Option<Vec<u8>>,
    /// It has not been heeded yet.
    is_news: bool,
    current: Option<(Target, Fields<'static>)>,
}

impl PingSource {
    /// Of an agent; new targets are kept in `list`.
    pub fn new(measuring: Measuring, list: List, agent: String, network: Option<String>, form: ResultForm) -> Self {
        Self { measuring, list, agent, network, form, told: None, is_news: false, current: None }
    }

    /// Measures what the latest list says; whatever came before it at once is passed over.
    fn heed(&mut self) {
        let Some(told) = self.told.as_ref().filter(|_| std::mem::take(&mut self.is_news)) else { return };
        let targets = list::parse(told, WATCH_TOPIC);
        tracing::info!("the broker tells what to measure: {} targets", targets.len());
        self.list.save(&targets);
        self.measuring.replace(targets);
    }

    fn take(&mut self, measured: Measured) {
        tracing::info!("{measured}");
        let fields = measured.fields(&self.agent, self.network.as_deref());
        self.current = Some((measured.target, fields));
    }
}

impl Source for PingSource {
    fn advance(&mut self, _now: Now) -> anyhow::Result<Step> {
        self.heed();
        Ok(match self.measuring.next()? {
            Fetched::Result(measured) => {
                self.take(measured);
                Step::Reading { row_time: None }
            }
            Fetched::NotYet => Step::Later(LOOK_EVERY),
            Fetched::End => Step::End,
        })
    }

    fn reading(&self) -> Reading<'_> {
        let fields = self.current.as_ref().map(|(_, fields)| fields.clone()).unwrap_or_default();
        Reading { fields, ..Reading::default() }
    }

    fn form(&self) -> Form {
        match (&self.current, self.form) {
            (None, _) => Form::Own,
            (Some((target, _)), ResultForm::Envelope) => Form::Ping(target.clone()),
            (Some((target, fields)), ResultForm::Swarming) => {
                Form::Foreign(target.clone(), encode_swarming(&self.agent, fields))
            }
        }
    }

    fn place(&self) -> String {
        self.current.as_ref().map_or_else(|| "an agent".to_owned(), |(target, _)| target.as_str().to_owned())
    }

    /// The broker says the list again whenever the link is back; only another one is news.
    fn told(&mut self, told: &Told) {
        if told.topic == WATCH_TOPIC && self.told.as_ref() != Some(&told.payload) {
            (self.told, self.is_news) = (Some(told.payload.clone()), true);
        }
    }
}
