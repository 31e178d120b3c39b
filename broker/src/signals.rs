//! SIGTERM and SIGINT become one message to the broker's loop.

use std::thread;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Stopper;

/// Stops the broker at the first SIGTERM or SIGINT.
pub fn stop_on_signal(stopper: Stopper) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().context("can't wait for signals")?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        let listen = |kind| signal(kind).context("can't listen to signals");
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?)
    };
    // Not joined: it waits for a signal for as long as the process lives.
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let name = runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            });
            tracing::info!("{name}: stopping once what is on its way has left");
            stopper.stop();
        })
        .context("can't start a thread")?;
    Ok(())
}
