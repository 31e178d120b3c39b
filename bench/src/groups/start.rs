//! From the start of the program to the first message that is taken, with a store that is full.

use std::time::Duration;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_watchdog::State;

use super::{Measuring, way};
use crate::results::Unit;
use crate::stage::{Stage, deadline};
use crate::subscriber::{Flips, Subscriber};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// Publishers that share the points.
const PUBLISHERS: u64 = 10;

/// The store is made once; so all starts are of the first run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    if measuring.run > 1 {
        return Ok(());
    }
    let points: u64 = measuring.full_or_quick(10_000_000, 200_000);
    measuring.attempt(&format!("a store with {points} points"), |measuring, stage| {
        fill(stage, points)?;
        for number in 0..measuring.full_or_quick(7, 3) {
            let broker = stage.broker()?;
            // As soon as the subscriber has come, it has something to hear.
            let id = format!("new-{number}");
            let _sender = stage.role(&id, &["send", "--to", &broker.publishers, "--id", &id, "--rate", "1000"])?;
            stage.pause(Duration::from_millis(500))?;
            let (flips, began) = (Flips::default(), Clock.now().utc);
            let subscriber = Subscriber::spawn(stage, &broker.subscribers, &[], flips.lines())?;
            let mut first = None;
            stage.until(deadline(PATIENCE), "the first message is taken", || {
                first = flips.find(|told| told.flip.to == State::Alive && told.flip.publisher.as_str() == id);
                Ok(first.is_some())
            })?;
            let taken = first.context("invariant: waited for")?.flip.noticed_at;
            let name = format!("start to the first message taken, {points} points in the store");
            measuring.note("first", &name, Unit::Millis, taken.since(began).as_secs_f64() * 1e3);
            subscriber.end(stage)?;
        }
        Ok(())
    })
}

/// A store as the subscriber makes it, and then filled by SQL: by messages it would take minutes.
fn fill(stage: &Stage, points: u64) -> anyhow::Result<()> {
    let (_broker, subscriber) = way::pipeline(stage, &[])?;
    subscriber.end(stage)?;
    let database = rusqlite::Connection::open(stage.path("lastbeat.db"))?;
    let fields = r#"{"celsius":21.625,"humidity":48.25,"lux":318.5,"pascal":101325.125,"volt":3.296875}"#;
    database.execute_batch(&format!(
        "PRAGMA synchronous = OFF;
         BEGIN;
         INSERT INTO publishers (id, name) 
             WITH RECURSIVE n(value) AS (VALUES (0) UNION ALL SELECT value + 1 FROM n WHERE value < {last_publisher})
             SELECT 1000 + value, 'old-' || value FROM n;
         INSERT INTO fields (publisher, name, type)
             SELECT publishers.id, key, 'float' FROM publishers, json_each('{fields}') WHERE publishers.id >= 1000;
         INSERT INTO readings (position, publisher, time_ns, received_ns, sequence, late, fields)
             WITH RECURSIVE n(value) AS (VALUES (0) UNION ALL SELECT value + 1 FROM n WHERE value < {last})
             SELECT 1000000 + value * 300, 1000 + value % {PUBLISHERS}, 1753000000000000000 + value * 1000000,
                 1753000000000000000 + value * 1000000, value / {PUBLISHERS}, 0, '{fields}'
             FROM n;
         INSERT OR REPLACE INTO meta VALUES ('cursor', {cursor});
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);",
        last_publisher = PUBLISHERS - 1,
        last = points - 1,
        cursor = 1_000_000 + points * 300,
    ))?;
    Ok(())
}
