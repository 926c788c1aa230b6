//! Standard output for what a command answers. Owns the memory of its failure: a full disk behind it must not look like success,
//! whatever the command says last, and a reader that has had enough (`| head`) is no failure.

use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

static FAILED: Mutex<Option<String>> = Mutex::new(None);

/// Writes to standard output; errors are remembered, not returned.
#[derive(Clone, Copy, Debug)]
pub struct Out;

/// Standard output.
pub fn out() -> Out {
    Out
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        note(std::io::stdout().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        note(std::io::stdout().flush());
        Ok(())
    }
}

/// Remembers a failure; the first is kept.
pub fn note(done: std::io::Result<()>) {
    if let Err(e) = done
        && e.kind() != ErrorKind::BrokenPipe
    {
        FAILED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| e.to_string());
    }
}

/// What went wrong, after the last word.
pub fn failed() -> Option<String> {
    let _ = Out.flush();
    FAILED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
