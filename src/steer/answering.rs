//! The threads that answer serve. One takes its requests in turn, and waits for nobody: orders, lists. The
//! other looks connections up, and may wait for a worker that is silent. They go on with the next serve when one has ended. Started and
//! stopped by `record`.

use super::handle::Steering;
use super::look_ups::{self, LookUp};
use super::unentered::Unentered;
use crate::limits::{LOOK_UPS_WAITING, MESSAGE_BYTES};
use crate::messages::{Report, Request, RequestKind, Socket, ToServe};
use crate::privilege;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// The threads.
#[derive(Debug)]
pub struct Answering {
    to_serve: ToServe,
    threads: Vec<JoinHandle<()>>,
}

impl Answering {
    /// Answers whichever serve there is.
    pub fn start(steering: &Steering, to_serve: &ToServe) -> io::Result<Answering> {
        let (ask, asked) = sync_channel(LOOK_UPS_WAITING);
        let mut answering = Answering { to_serve: to_serve.clone(), threads: Vec::new() };
        let (own, to) = (steering.clone(), to_serve.clone());
        let look = move || {
            privilege::without_capabilities();
            look_ups::run(&own, &to, &asked);
        };
        answering.threads.push(Builder::new().name("look-ups".into()).spawn(look)?);
        let (own, to) = (steering.clone(), to_serve.clone());
        let answer = move || {
            privilege::without_capabilities();
            requests(&own, &to, &ask);
        };
        answering.threads.push(Builder::new().name("requests".into()).spawn(answer)?);
        Ok(answering)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.to_serve.end();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn requests(steering: &Steering, to_serve: &ToServe, look_ups: &SyncSender<LookUp>) {
    let mut buffer = Box::new([0; MESSAGE_BYTES]);
    while let Some(socket) = to_serve.serve() {
        let (mut unentered, mut wrong) = (Unentered::default(), 0u64);
        while let Some(bytes) = socket.receive(&mut buffer) {
            match Request::decode(bytes) {
                Ok(request) => answer(steering, to_serve, &socket, request, look_ups, &mut unentered),
                Err(e) => {
                    // Each serve is told of once: it may send many.
                    if wrong == 0 {
                        tracing::error!(
                            "what answers requests has sent {e}: this is a bug, or somebody else's program"
                        );
                    }
                    wrong += 1;
                }
            }
        }
        if to_serve.gone(&socket) {
            unentered.say();
        }
    }
}

fn answer(
    steering: &Steering,
    to_serve: &ToServe,
    socket: &Arc<Socket>,
    Request { id, asked }: Request,
    look_ups: &SyncSender<LookUp>,
    unentered: &mut Unentered,
) {
    let busy = || to_serve.answer(socket, &Report::Busy(id), &[]);
    match asked {
        RequestKind::Orders { by, orders } => {
            let taken = steering.carry_out(&by, &orders);
            unentered.note(by, &orders, taken.taken as usize);
            to_serve.answer(socket, &Report::Orders(id, taken), &[]);
        }
        RequestKind::LookUp(keys) => {
            if look_ups.try_send(LookUp { socket: socket.clone(), id, keys }).is_err() {
                busy();
            }
        }
        RequestKind::List(kind) => to_serve.list(socket, id, kind, &steering.in_force(kind)),
    }
}
