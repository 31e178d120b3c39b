//! SIGTERM and SIGINT become one message to the broker's loop; SIGHUP reads the allow-list again.

use std::thread;

use anyhow::Context;
use lastbeat_transport::zeromq::Allowed;
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Stopper;

/// Stops the broker at the first SIGTERM or SIGINT, and reads `allowed` again at each SIGHUP.
pub fn listen(stopper: Stopper, allowed: Option<Allowed>) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().context("can't wait for signals")?;
    let (mut terminate, mut interrupt, mut hangup) = {
        let _inside = runtime.enter();
        let listen = |kind| signal(kind).context("can't listen to signals");
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?)
    };
    // Not joined: it waits for a signal for as long as the process lives.
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let name = runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => return "SIGTERM",
                        _ = interrupt.recv() => return "SIGINT",
                        _ = hangup.recv() => reload(allowed.as_ref()),
                    }
                }
            });
            tracing::info!("{name}: stopping once what is on its way has left");
            stopper.stop();
        })
        .context("can't start a thread")?;
    Ok(())
}

fn reload(allowed: Option<&Allowed>) {
    match allowed.map(Allowed::reload) {
        None => tracing::info!("SIGHUP: there is no allow-list to read again"),
        Some(Ok(keys)) => tracing::info!("SIGHUP: the allow-list was read again, {keys} keys"),
        Some(Err(error)) => tracing::error!("SIGHUP: the allow-list stays as it was: {error}"),
    }
}
