//! Waiting for a future on a plain thread that has no runtime, at most for a given time.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
    time::Duration,
};

use lastbeat_host::Clock;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The future's output, or `None` once `limit` has passed. The future must not need a runtime: channels and tokens don't.
pub(crate) fn wait_for<F: Future>(future: F, limit: Option<Duration>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let start = Clock.now().monotonic;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let Some(limit) = limit else {
            thread::park();
            continue;
        };
        let left = limit.saturating_sub(Clock.now().monotonic.since(start));
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[test]
    fn ends_with_what_comes_from_another_thread() {
        let (sender, mut receiver) = mpsc::channel(1);
        let other = thread::spawn(move || sender.blocking_send(7));
        assert_eq!(wait_for(receiver.recv(), None), Some(Some(7)));
        other.join().unwrap().unwrap();
    }

    #[test]
    fn ends_when_its_time_is_over() {
        let (_sender, mut receiver) = mpsc::channel::<()>(1);
        assert_eq!(wait_for(receiver.recv(), Some(Duration::from_millis(1))), None);
    }
}
