//! Answers as files: pcapng (nanoseconds, interfaces, the summary as a comment at the end) and pcap (nanoseconds). Owns the two
//! encodings (pcapng: draft-ietf-opsawg-pcapng; pcap: draft-ietf-opsawg-pcap); called by the CLI. Whatever ends it, what was written is valid.

use super::{Answer, OutputError, PacketSink};
use crate::limits::SNAPLEN;
use crate::source::Interface;
use std::io::{self, Write};

/// Written so far since the last flush to the disk, at most: an answer must not fill the page cache with dirty pages that
/// capture's own writes would have to wait for.
const DIRTY_BYTES_MAX: u64 = 16 << 20;

/// Where an answer goes.
pub trait Output: Write {
    /// Brings what was written to the disk, if it is a file.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for std::fs::File {
    fn settle(&mut self) -> io::Result<()> {
        // A pipe or a device has nothing to sync.
        if self.metadata()?.is_file() { self.sync_data() } else { Ok(()) }
    }
}
impl Output for io::Stdout {}
impl Output for Vec<u8> {}

/// An output that brings what was written to the disk as it goes.
pub struct Settling<'a, W: Output> {
    to: &'a mut W,
    dirty: u64,
}

impl<'a, W: Output> Settling<'a, W> {
    /// Nothing is written yet.
    pub fn new(to: &'a mut W) -> Settling<'a, W> {
        Settling { to, dirty: 0 }
    }
}

impl<W: Output> Write for Settling<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.dirty += n as u64;
        if self.dirty >= DIRTY_BYTES_MAX {
            self.to.settle()?;
            self.dirty = 0;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Either format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pcapng.
    Pcapng,
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
}

impl<W: Output> Writer<W> {
    /// `name` is for errors.
    pub fn new(out: W, name: &str, format: Format) -> Writer<W> {
        let mut w = Writer { out, name: name.to_owned(), format, buffer: Vec::new(), dirty: 0, interfaces: Vec::new() };
        if format == Format::Pcapng {
            w.block(0x0a0d_0d0a, |b| {
                b.extend(0x1a2b_3c4du32.to_le_bytes());
                b.extend([1, 0, 0, 0]);
                b.extend(u64::MAX.to_le_bytes());
                option(b, 4, concat!("retrotap ", env!("CARGO_PKG_VERSION")).as_bytes());
                end_of_options(b);
            });
        }
        w
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.extend(kind.to_le_bytes());
        self.buffer.extend([0; 4]);
        body(&mut self.buffer);
        let len = (self.buffer.len() - start + 4) as u32;
        self.buffer.extend(len.to_le_bytes());
        if let Some(to) = self.buffer.get_mut(start + 4..start + 8) {
            to.copy_from_slice(&len.to_le_bytes());
        }
    }

    fn pcap_head(&mut self, link_type: u16) {
        for v in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, SNAPLEN, u32::from(link_type)] {
            self.buffer.extend(v.to_le_bytes());
        }
    }

    fn interface(&mut self, i: &Interface) -> Result<u32, OutputError> {
        if let Some(known) = self.interfaces.iter().position(|k| k == i) {
            return Ok(known as u32);
        }
        match (self.format, self.interfaces.first().map(|f| f.link_type)) {
            (Format::Pcapng, _) => self.block(1, |b| {
                b.extend(i.link_type.to_le_bytes());
                b.extend([0, 0]);
                b.extend(SNAPLEN.to_le_bytes());
                option(b, 2, i.name.as_bytes());
                option(b, 9, &[9]);
                end_of_options(b);
            }),
            (Format::Pcap, None) => self.pcap_head(i.link_type),
            (Format::Pcap, Some(first)) if first != i.link_type => {
                return Err(OutputError::LinkTypes(first, i.link_type));
            }
            (Format::Pcap, Some(_)) => {}
        }
        self.interfaces.push(i.clone());
        Ok(self.interfaces.len() as u32 - 1)
    }

    /// Whether anything waits to be handed on.
    pub fn waiting(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Hands on what waits.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let io = |source| OutputError::Io { what: self.name.clone(), source };
        self.out.write_all(&self.buffer).map_err(io)?;
        self.dirty += self.buffer.len() as u64;
        self.buffer.clear();
        if self.dirty >= DIRTY_BYTES_MAX {
            self.out.settle().map_err(io)?;
            self.dirty = 0;
        }
        Ok(())
    }

    /// Ends the file: in pcapng with a statistics block that carries `comment`. Gives the output back.
    pub fn finish(mut self, comment: &str) -> Result<W, OutputError> {
        match self.format {
            // tcpdump wants a link type even where there is no packet.
            Format::Pcap if self.interfaces.is_empty() => self.pcap_head(1),
            Format::Pcapng if self.interfaces.is_empty() => {
                self.interface(&Interface { name: "none".into(), link_type: 1 })?;
            }
            _ => {}
        }
        if self.format == Format::Pcapng {
            let now = crate::units::now();
            self.block(5, |b| {
                b.extend(0u32.to_le_bytes());
                b.extend(((now >> 32) as u32).to_le_bytes());
                b.extend((now as u32).to_le_bytes());
                option(b, 1, comment.as_bytes());
                end_of_options(b);
            });
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
        let len = p.data.len() as u32;
        match self.format {
            Format::Pcapng => self.block(6, |b| {
                for v in [id, (p.time >> 32) as u32, p.time as u32, len, p.wire_len] {
                    b.extend(v.to_le_bytes());
                }
                b.extend(p.data);
                b.resize(b.len().next_multiple_of(4), 0);
            }),
            Format::Pcap => {
                // pcap's seconds end in 2106.
                let seconds = u32::try_from(p.time / 1_000_000_000).unwrap_or(u32::MAX);
                for v in [seconds, (p.time % 1_000_000_000) as u32, len, p.wire_len] {
                    self.buffer.extend(v.to_le_bytes());
                }
                self.buffer.extend(p.data);
            }
        }
        if self.buffer.len() >= 1 << 18 { self.flush() } else { Ok(()) }
    }
}

/// Appends an option; at most 65,535 bytes of it.
fn option(b: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..0xffff).unwrap_or(value);
    b.extend(code.to_le_bytes());
    b.extend((value.len() as u16).to_le_bytes());
    b.extend(value);
    let pad = value.len().next_multiple_of(4) - value.len();
    b.extend(std::iter::repeat_n(0, pad));
}

fn end_of_options(b: &mut Vec<u8>) {
    b.extend([0; 4]);
}

/// Counts only.
#[derive(Debug, Default)]
pub struct Nothing;

impl PacketSink for Nothing {
    fn packet(&mut self, _: &Answer<'_>) -> Result<(), OutputError> {
        Ok(())
    }
}
