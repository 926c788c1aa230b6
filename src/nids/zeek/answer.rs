//! Answers to a Zeek script that asked for packets: where they are, or why they are not. Owns the answer's event. Listens to what happens and
//! hands answers to the connection's thread; where Zeek is away for long, the newest answers are lost, since the script has forgotten them.

use super::frame::{self, Data};
use crate::nids::event::{Event, Events};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const TOPIC: &str = "retrotap/answer";
const NAME: &str = "Retrotap::answer";
/// Answers that wait for a connection.
const WAITING: usize = 1024;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    request: String,
    good: bool,
    hold: String,
    file: String,
    packets: u64,
    bytes: u64,
    why: String,
}

impl Answer {
    /// That nothing is held, for this reason.
    pub fn no(request: String, why: String) -> Answer {
        Answer { request, why, ..Answer::default() }
    }

    /// As it is sent: the arguments in the order that the package declares.
    pub fn frame(self) -> String {
        let args = vec![
            Data::String(self.request),
            Data::Boolean(self.good),
            Data::String(self.hold),
            Data::String(self.file),
            Data::Count(self.packets),
            Data::Count(self.bytes),
            Data::String(self.why),
        ];
        frame::write(TOPIC, NAME, args)
    }
}

/// Passes everything on, and makes answers of what was asked for.
pub struct Answers {
    events: Arc<dyn Events>,
    to: SyncSender<Answer>,
}

impl Answers {
    /// Passes on to `events`; the answers come out of the receiver.
    pub fn new(events: Arc<dyn Events>) -> (Answers, Receiver<Answer>) {
        let (to, answers) = sync_channel(WAITING);
        (Answers { events, to }, answers)
    }
}

impl Events for Answers {
    fn event(&self, event: &Event<'_>) {
        if let Event::Action(a) = event
            && a.action == "hold_connection"
            && let Some(request) = &a.request
        {
            let answer = Answer {
                request: request.clone(),
                good: a.error.is_none(),
                hold: a.hold.clone().unwrap_or_default(),
                file: a.file.clone().unwrap_or_default(),
                packets: a.packets.unwrap_or(0),
                bytes: a.file_bytes.unwrap_or(0),
                why: a.error.clone().unwrap_or_default(),
            };
            let _ = self.to.try_send(answer);
        }
        self.events.event(event);
    }
}
