//! A recording on its control thread: capture's rounds, and beside them what crosses between capture, serve and whoever leads. Serve is in this
//! process, or in another that is handed what it is to have. Owns the order of their ends, and of a reload. Runs on the thread that started the recording; everything slow is here, no packet waits for it.

use super::capture::Control;
use super::leader::Leader;
use super::reloading::{self, ReloadsAsked};
use super::serve::Serve;
use super::{Observer, Outcome, Refused};
use crate::config::{Changes, Settings};

/// Capture and serve.
pub struct Whole<'a> {
    capture: Control,
    /// Where it is in this process.
    serve: Option<Serve>,
    leader: Leader<'a>,
    /// Clients of this process's serve who wait for a reload.
    asked: ReloadsAsked,
}

impl<'a> Whole<'a> {
    /// Takes over what was started.
    pub fn new(capture: Control, serve: Option<Serve>, leader: Leader<'a>) -> Whole<'a> {
        Whole { capture, serve, leader, asked: ReloadsAsked::default() }
    }

    /// Until the end.
    pub fn run(mut self, observer: &mut dyn Observer) -> Outcome {
        while self.capture.round(observer) {
            if self.leader.stop() {
                self.capture.stop("asked to stop");
            }
            // Its queue stays blind; a new capture sees all of them, after a moment in which none is seen.
            if self.leader.starts_again() && self.capture.is_crippled() {
                self.capture.stop("a worker died");
            }
            if self.leader.serve_again()
                && let Err(e) = self.capture.hand_over().and_then(|handed| self.leader.works(&handed))
            {
                tracing::error!("there is nothing that answers: it can't be handed over to: {e}");
            }
            if !self.capture.stopping() {
                self.reloads();
            }
        }
        // In this order: who answers has all of it for the last answers, and is gone before what he answers from.
        let Whole { capture, mut serve, asked, .. } = self;
        let resting = capture.rest();
        drop(asked);
        serve.iter_mut().for_each(Serve::end);
        resting.close()
    }

    /// Other settings, where there are some.
    fn reloads(&mut self) {
        if let Some(serve) = &self.serve {
            self.asked.ask(serve, |number| self.leader.ask(number));
        }
        while let Some((number, new)) = self.leader.rules() {
            let done = self.reload(new);
            self.leader.answer(number, &done);
            if let Some(serve) = &self.serve {
                self.asked.answer(serve, number, done);
            }
        }
    }

    fn reload(&mut self, new: Result<Settings, String>) -> Result<Changes, Refused> {
        let done = new.map_err(|why| (422, why)).and_then(|new| {
            // All that can be wrong, before anything is changed.
            let adopted = self.capture.settings().adopt(new.clone()).0;
            let access = self.serve.as_ref().map(|serve| serve.check(&adopted)).transpose()?;
            let mut changes = self.capture.reload(new)?;
            if let (Some(serve), Some(access)) = (&self.serve, access) {
                changes.certificate = serve.adopt(self.capture.settings(), access);
            }
            Ok(changes)
        });
        match &done {
            Ok(changes) => reloading::tell(changes),
            Err((_, why)) => tracing::error!("reload: refused, the configuration is as it was: {why}"),
        }
        done
    }
}
