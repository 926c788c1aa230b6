//! The recorder's side: compilers that wait for work. Owns how many there are; one that has exceeded a limit is gone, and the next request
//! starts another. A caller waits for its turn, and never for longer than a limit of wall time.

use super::WORD;
use super::wire::{self, Reply, Task};
use crate::filter::bpf::{Form, Program};
use crate::filter::{FilterError, Place};
use crate::limits::{FILTER_COMPILERS, FILTER_WAIT};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};

/// Compilers.
#[derive(Debug, Default)]
pub struct CompilerPool {
    all: Mutex<Compilers>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct Compilers {
    idle: Vec<Compiler>,
    busy: usize,
}

/// One process.
#[derive(Debug)]
struct Compiler {
    child: Child,
    socket: UnixStream,
}

impl CompilerPool {
    /// Compiles; the inner error is libpcap's message.
    pub fn compile(
        &self,
        expression: &str,
        link_type: u16,
        form: Form,
    ) -> Result<Result<Program, String>, FilterError> {
        let task = if form == Form::Plain { Task::CompilePlain } else { Task::Compile };
        match self.ask(task, expression, link_type)? {
            Reply::Program(bytes) => match Program::checked(&bytes) {
                Some(program) => Ok(Ok(program)),
                None => Err(FilterError::Setup("the compiler gave a program that is none".into())),
            },
            // libpcap's word for that it got no memory.
            Reply::Refused(message) if message.starts_with("malloc") => Err(FilterError::TooLarge),
            Reply::Refused(message) => Ok(Err(message)),
            Reply::Setup(message) => Err(FilterError::Setup(message)),
            Reply::Place(..) | Reply::Nowhere => Err(FilterError::Setup("the compiler answered something else".into())),
        }
    }

    /// Where it is wrong; `None` also where that takes too long to find.
    pub fn place(&self, expression: &str, link_type: u16) -> Option<Place> {
        match self.ask(Task::Place, expression, link_type) {
            Ok(Reply::Place(offset, len)) => {
                let word = expression.get(offset..offset.checked_add(len)?)?.to_owned();
                Some(Place { offset, word })
            }
            _ => None,
        }
    }

    fn ask(&self, what: Task, expression: &str, link_type: u16) -> Result<Reply, FilterError> {
        let mut compiler = self.take()?;
        let reply = wire::ask(&mut compiler.socket, what, link_type, expression)
            .and_then(|()| wire::replied(&mut compiler.socket));
        match reply {
            Ok(reply) => {
                self.give_back(Some(compiler));
                Ok(reply)
            }
            Err(e) => {
                let ended = compiler.end();
                self.give_back(None);
                Err(why(&e, ended))
            }
        }
    }

    /// An idle compiler, or a new one; waits while as many as may be are at work.
    fn take(&self) -> Result<Compiler, FilterError> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |all: &mut Compilers| all.busy >= FILTER_COMPILERS;
        let mut all = self.free.wait_while(all, full).unwrap_or_else(PoisonError::into_inner);
        all.busy += 1;
        // One that has died while it was idle (out of memory, say) is no answer.
        while let Some(mut compiler) = all.idle.pop() {
            if matches!(compiler.child.try_wait(), Ok(None)) {
                return Ok(compiler);
            }
        }
        drop(all);
        Compiler::start().map_err(|e| {
            self.give_back(None);
            FilterError::Setup(format!("its process cannot be started: {e}"))
        })
    }

    fn give_back(&self, compiler: Option<Compiler>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.busy = all.busy.saturating_sub(1);
        all.idle.extend(compiler);
        self.free.notify_one();
    }
}

impl Compiler {
    fn start() -> io::Result<Compiler> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(FILTER_WAIT))?;
        socket.set_write_timeout(Some(FILTER_WAIT))?;
        // The program as it was started, also where its file has been replaced since.
        let mut command = Command::new("/proc/self/exe");
        command.arg(WORD).env_clear().current_dir("/");
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Compiler { child: command.spawn()?, socket })
    }

    /// Ends it, if it has not ended itself: how.
    fn end(mut self) -> Option<ExitStatus> {
        // Its socket is closed a moment before it is gone.
        for _ in 0..100 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

/// What a compiler's end means.
fn why(e: &io::Error, ended: Option<ExitStatus>) -> FilterError {
    const XCPU: i32 = rustix::process::Signal::XCPU.as_raw();
    const KILL: i32 = rustix::process::Signal::KILL.as_raw();
    const ABORT: i32 = rustix::process::Signal::ABORT.as_raw();
    const SEGV: i32 = rustix::process::Signal::SEGV.as_raw();
    match ended.and_then(|s| s.signal()) {
        Some(XCPU) => FilterError::TooSlow,
        Some(KILL | ABORT | SEGV) => FilterError::TooLarge,
        _ if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => FilterError::TooSlow,
        _ => FilterError::Setup(format!("its process has ended: {e}")),
    }
}
