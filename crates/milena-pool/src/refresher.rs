//! The task that refreshes metadata: on request, with several requests combined, and when it is
//! old.

use std::sync::{Arc, Weak};

use milena_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep_until};

use crate::core::ClusterCore;
use crate::pace::{Need, Next, Pace, next};
use crate::signals::Asked;
use crate::tasks::closed;
use crate::wanted::Scope;

/// Refreshes the metadata until the cluster handle is closed or dropped.
pub(crate) async fn run(weak: Weak<ClusterCore>) {
    let Some(signals) = weak.upgrade().map(|core| core.signals.clone()) else {
        return;
    };
    // If this task ends without the handle being closed, its waiters get an error.
    let _last_word = LastWord(weak.clone());
    let start = Instant::now();
    let (mut whole, mut part) = (Pace::new(start), Pace::new(start));
    let mut served = 0;
    let mut failing = None;
    loop {
        let Some(core) = weak.upgrade() else { return };
        let need = Need {
            whole: signals.whole() > served,
            due: core.due(),
            part: core.wanted.lock().pending(),
        };
        match next(Instant::now(), need, &whole, &part) {
            Next::WaitUntil(at) => {
                drop(core);
                tokio::select! {
                    () = signals.wake.notified() => {}
                    () = signals.closing.cancelled() => return,
                    () = sleep_until(at) => {}
                }
            }
            Next::Whole => {
                served = signals.whole();
                // A refresh of the whole metadata includes the single topics. Read the numbers
                // first, since requests made during the refresh need another one.
                let of_part = signals.part();
                let asked = core.wanted.lock().take_asked();
                let scope = core.scope_of_all();
                whole.begin(Instant::now());
                // The broker that is usually asked may lag behind. If requested refreshes bring
                // nothing new, others are asked first.
                let another = need.whole && whole.is_fruitless();
                let outcome = tokio::select! {
                    outcome = core.renew(&scope, another) => outcome,
                    () = signals.closing.cancelled() => return,
                };
                if outcome.is_err() {
                    core.wanted.lock().put_back(asked);
                }
                note(&mut whole, &core, &outcome);
                log(&mut failing, &outcome);
                let error = outcome.err();
                signals.end(Asked::Whole(served), error.clone());
                signals.end(Asked::Part(of_part), error);
            }
            Next::Part => {
                let of_part = signals.part();
                let asked = core.wanted.lock().take_asked();
                let scope = Scope::Part(asked.clone());
                part.begin(Instant::now());
                let outcome = tokio::select! {
                    outcome = core.renew(&scope, part.is_fruitless()) => outcome,
                    () = signals.closing.cancelled() => return,
                };
                if outcome.is_err() {
                    core.wanted.lock().put_back(asked);
                }
                note(&mut part, &core, &outcome);
                log(&mut failing, &outcome);
                signals.end(Asked::Part(of_part), outcome.err());
            }
        }
    }
}

/// Tells `pace` how a refresh ended.
fn note(pace: &mut Pace, core: &Arc<ClusterCore>, outcome: &Result<bool>) {
    let is_new = outcome.as_ref().ok().copied();
    pace.note(Instant::now(), is_new, &core.timing.retry);
}

/// Logs a line when refreshes begin to fail, and one when they succeed again.
fn log(failing: &mut Option<Instant>, outcome: &Result<bool>) {
    match (outcome, &failing) {
        (Ok(_), Some(since)) => {
            let after = since.elapsed();
            tracing::info!(?after, "the metadata of the cluster is refreshed again");
            *failing = None;
        }
        (Err(error), None) => {
            tracing::warn!(%error, "the metadata of the cluster cannot be refreshed; trying again");
            *failing = Some(Instant::now());
        }
        _ => {}
    }
}

/// Reports to all waiters, when it is dropped, that this task will refresh no more.
struct LastWord(Weak<ClusterCore>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let Some(core) = self.0.upgrade() else {
            return;
        };
        let what = "the task that refreshes metadata ended with its runtime; try again";
        let signals = &core.signals;
        let error = if signals.closing.is_cancelled() {
            closed()
        } else {
            Error::new(ErrorKind::Transport, what)
        };
        signals.end(Asked::Whole(signals.whole()), Some(error.clone()));
        signals.end(Asked::Part(signals.part()), Some(error));
    }
}
