//! What recorder and compiler say to each other: one request, one reply. Owns their bytes; every length is checked, on both sides.
//!
//! Request: what (1 byte), link type (2), length (4), the expression. Reply: what (1 byte), length (4), content. Numbers are of this
//! machine's byte order: both ends are the same program.

use crate::limits::{FILTER_BYTES_MAX, FILTER_REPLY_MAX};
use std::io::{self, Read, Write};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The program.
    Compile,
    /// Where the expression is wrong.
    Place,
    /// The program as it is before it is optimised.
    CompilePlain,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Instructions.
    Program(Vec<u8>),
    /// libpcap's words.
    Refused(String),
    /// libpcap could not be set up.
    Setup(String),
    /// The word in error begins there, and is so long.
    Place(usize, usize),
    /// No word is.
    Nowhere,
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Sends a request.
pub fn ask(to: &mut impl Write, what: Task, link_type: u16, expression: &str) -> io::Result<()> {
    let mut bytes = vec![what as u8];
    bytes.extend(link_type.to_ne_bytes());
    bytes.extend((expression.len() as u32).to_ne_bytes());
    bytes.extend(expression.as_bytes());
    to.write_all(&bytes)
}

/// Reads a request; `None`: there will be no more.
pub fn asked(from: &mut impl Read) -> io::Result<Option<(Task, u16, String)>> {
    let mut what = [0];
    if from.read(&mut what)? == 0 {
        return Ok(None);
    }
    let what = match what {
        [0] => Task::Compile,
        [1] => Task::Place,
        [2] => Task::CompilePlain,
        _ => return Err(bad("an unknown request")),
    };
    let mut link_type = [0; 2];
    from.read_exact(&mut link_type)?;
    let text = content(from, FILTER_BYTES_MAX)?;
    let text = String::from_utf8(text).map_err(|_| bad("an expression that is no text"))?;
    Ok(Some((what, u16::from_ne_bytes(link_type), text)))
}

/// Sends a reply.
pub fn reply(to: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let (kind, content) = match reply {
        Reply::Program(bytes) => (0u8, bytes.clone()),
        Reply::Refused(text) => (1, text.clone().into_bytes()),
        Reply::Setup(text) => (2, text.clone().into_bytes()),
        Reply::Place(offset, len) => (3, [(*offset as u32).to_ne_bytes(), (*len as u32).to_ne_bytes()].concat()),
        Reply::Nowhere => (4, Vec::new()),
    };
    let mut bytes = vec![kind];
    bytes.extend((content.len() as u32).to_ne_bytes());
    bytes.extend(content);
    to.write_all(&bytes)
}

/// Reads a reply.
pub fn replied(from: &mut impl Read) -> io::Result<Reply> {
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    let content = content(from, FILTER_REPLY_MAX)?;
    let text = |bytes| String::from_utf8(bytes).map_err(|_| bad("a message that is no text"));
    let number = |at: usize| {
        let bytes = content.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*bytes) as usize)
    };
    match kind {
        [0] => Ok(Reply::Program(content)),
        [1] => text(content).map(Reply::Refused),
        [2] => text(content).map(Reply::Setup),
        [3] => match (number(0), number(4)) {
            (Some(offset), Some(len)) => Ok(Reply::Place(offset, len)),
            _ => Err(bad("a short place")),
        },
        [4] => Ok(Reply::Nowhere),
        _ => Err(bad("an unknown reply")),
    }
}

/// A length, and so many bytes.
fn content(from: &mut impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = u32::from_ne_bytes(len) as usize;
    if len > most {
        return Err(bad("longer than anything that is sent"));
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
