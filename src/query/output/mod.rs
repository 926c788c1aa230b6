//! Answers as files: pcapng (nanoseconds, interfaces, what the answer says of itself) and pcap (nanoseconds). Owns the order of what is
//! written; the two encodings are in files of their own. Called by the CLI, the API and holds. Whatever ends it, what was written is valid.
//!
//! The same packets in the same order make the same bytes, whoever writes them and when: interfaces are numbered in the order in which the
//! answer first has them, and there is no time in it but those of packets.

mod pcap;
mod pcapng;
mod place;
mod settle;
mod splice;

pub use place::{fill_in, fill_in_with};
pub use settle::{Output, Settling};
pub use splice::Splice;

use super::{Answer, OutputError, PacketSink};
use crate::source::Interface;
use settle::DIRTY_BYTES_MAX;

/// Either format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pcapng, with a place in its section's header for what the answer says of itself, which is filled in once it is a file.
    Pcapng,
    /// pcapng that nobody fills in: without that place.
    PcapngStream,
    /// pcap; one link type.
    Pcap,
}

/// Writes an answer.
pub struct Writer<W: Output> {
    out: W,
    name: String,
    format: Format,
    buffer: Vec<u8>,
    dirty: u64,
    interfaces: Vec<Interface>,
    /// Time of the latest packet.
    latest: u64,
    /// Names and secrets of inputs that are written.
    beside: pcapng::Beside,
}

/// Most answers are one connection, and no longer.
const SMALL_BYTES: usize = 1 << 15;
/// Handed on when so much waits.
const BUFFERED_BYTES: usize = 1 << 18;

impl<W: Output> Writer<W> {
    /// `name` is for errors.
    pub fn new(out: W, name: &str, format: Format) -> Writer<W> {
        let mut buffer = Vec::with_capacity(SMALL_BYTES);
        match format {
            Format::Pcapng => pcapng::section(&mut buffer, true),
            Format::PcapngStream => pcapng::section(&mut buffer, false),
            Format::Pcap => {}
        }
        Writer {
            out,
            name: name.to_owned(),
            format,
            buffer,
            dirty: 0,
            interfaces: Vec::new(),
            latest: 0,
            beside: pcapng::Beside::default(),
        }
    }

    /// Its number in the file.
    fn interface(&mut self, i: &Interface) -> Result<u32, OutputError> {
        let known = match self.interfaces.iter().position(|k| k.is_same(i)) {
            Some(known) => known,
            None => self.describe(i)?,
        };
        // Behind an interface: tshark takes no names in front of the first.
        if let (Some(beside), Format::Pcapng | Format::PcapngStream) = (&i.beside, self.format) {
            self.beside.write(&mut self.buffer, beside);
        }
        Ok(known as u32)
    }

    /// A new one.
    fn describe(&mut self, i: &Interface) -> Result<usize, OutputError> {
        match (self.format, self.interfaces.first()) {
            (Format::Pcapng | Format::PcapngStream, _) => pcapng::interface(&mut self.buffer, i),
            (Format::Pcap, None) => pcap::head(&mut self.buffer, i.link_type),
            (Format::Pcap, Some(first)) if first.link_type != i.link_type => {
                let named = |i: &Interface| (i.link_type, i.name.clone());
                return Err(OutputError::LinkTypes(named(first), named(i)));
            }
            (Format::Pcap, Some(_)) => {}
        }
        self.interfaces.push(i.clone());
        Ok(self.interfaces.len() - 1)
    }

    /// Whether anything waits to be handed on.
    pub fn waiting(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Hands on what waits.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let io = |source| OutputError::Io { what: self.name.clone(), source };
        self.dirty += self.buffer.len() as u64;
        self.out.take(&mut self.buffer).map_err(io)?;
        if self.dirty >= DIRTY_BYTES_MAX {
            self.out.settle().map_err(io)?;
            self.dirty = 0;
        }
        Ok(())
    }

    /// Ends the file: in pcapng with a statistics block that carries `comment`, as of the latest packet. Gives the output back.
    pub fn finish(mut self, comment: &str) -> Result<W, OutputError> {
        match self.format {
            // tcpdump wants a link type even where there is no packet.
            Format::Pcap if self.interfaces.is_empty() => pcap::head(&mut self.buffer, 1),
            Format::Pcapng | Format::PcapngStream if self.interfaces.is_empty() => {
                self.interface(&Interface::new("none", 1))?;
            }
            _ => {}
        }
        if self.format != Format::Pcap {
            pcapng::statistics(&mut self.buffer, self.latest, comment);
        }
        self.flush()?;
        let io = |source| OutputError::Io { what: self.name.clone(), source };
        self.out.flush().map_err(io)?;
        Ok(self.out)
    }
}

impl<W: Output> PacketSink for Writer<W> {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        let id = self.interface(p.interface)?;
        self.latest = self.latest.max(p.time);
        match self.format {
            Format::Pcapng | Format::PcapngStream => pcapng::packet(&mut self.buffer, id, p),
            Format::Pcap => pcap::packet(&mut self.buffer, p)?,
        }
        if self.buffer.len() >= BUFFERED_BYTES { self.flush() } else { Ok(()) }
    }
}

/// Counts only.
#[derive(Debug, Default)]
pub struct Nothing;

impl PacketSink for Nothing {
    fn packet(&mut self, _: &Answer<'_>) -> Result<(), OutputError> {
        Ok(())
    }
}
