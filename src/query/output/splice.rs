//! An answer that comes in several streams, each a file of its own, as one file: that of a follower whose connection broke and came back. One section, each
//! interface once, names and secrets once; so its packets are the bytes that one stream would have had. Owns what is kept of the streams that were;
//! what each says of itself at its end is kept back, since only the last knows the end.

use super::pcapng::{INTERFACE, PACKET, SECTION, STATISTICS, interface, section, statistics};
use super::{Format, pcap};
use crate::source::Interface;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{self, Write};

/// Takes streams, gives a file.
pub struct Splice<W: Write> {
    to: W,
    format: Format,
    /// A stream's first bytes are still to come.
    head: bool,
    /// Its head, until a packet follows it.
    waits: Vec<u8>,
    /// The file has its first bytes; of a pcap these.
    begun: Option<Vec<u8>>,
    /// Interfaces of the file, by number: their blocks.
    interfaces: Vec<Vec<u8>>,
    /// Those of the stream: their number in the file, or the block that waits for a packet of it.
    stream: Vec<Result<u32, Vec<u8>>>,
    /// Sums of other blocks that are written.
    beside: HashSet<[u8; 32]>,
    /// What the stream says of itself.
    said: Vec<u8>,
    /// Time of the latest packet, Unix ns.
    latest: u64,
    buffer: Vec<u8>,
}

/// Length of a pcap file's head.
const HEAD: usize = 24;

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer is not what it should be: {why}"))
}

impl<W: Write> Splice<W> {
    /// A file of this format.
    pub fn new(to: W, format: Format) -> Splice<W> {
        Splice {
            to,
            format,
            head: true,
            waits: Vec::new(),
            begun: None,
            interfaces: Vec::new(),
            stream: Vec::new(),
            beside: HashSet::new(),
            said: Vec::new(),
            latest: 0,
            buffer: Vec::new(),
        }
    }

    /// The next stream begins.
    pub fn next_stream(&mut self) {
        (self.head, self.stream, self.said) = (true, Vec::new(), Vec::new());
    }

    /// Takes bytes of the stream that end with a block, or with a packet.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        match self.format {
            Format::Pcap => self.take_pcap(bytes)?,
            Format::Pcapng | Format::PcapngStream => self.take_pcapng(bytes)?,
        }
        self.to.write_all(&self.buffer)
    }

    /// What was taken is to be seen now, where that can be.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// The end, with what the last stream says of itself; `None`: what it said holds.
    pub fn finish(&mut self, comment: Option<&str>) -> io::Result<()> {
        self.buffer.clear();
        if self.format == Format::Pcap {
            // tcpdump wants a link type even where there is no packet.
            match (&self.begun, self.waits.is_empty()) {
                (Some(_), _) => {}
                (None, true) => pcap::head(&mut self.buffer, 1),
                (None, false) => self.buffer.extend_from_slice(&self.waits),
            }
        } else {
            if self.begun.is_none() {
                section(&mut self.buffer, self.format == Format::Pcapng);
            }
            if self.interfaces.is_empty() && self.describe(0)?.is_none() {
                interface(&mut self.buffer, &Interface::new("none", 1));
            }
            match comment {
                Some(comment) => statistics(&mut self.buffer, self.latest, comment),
                None => self.buffer.append(&mut self.said),
            }
        }
        self.to.write_all(&self.buffer)?;
        self.to.flush()
    }

    fn take_pcap(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut packets = bytes;
        if self.head && !bytes.is_empty() {
            let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(|| wrong("its head is cut"))?;
            (self.head, self.waits, packets) = (false, head.to_vec(), rest);
        }
        // That of a stream without a packet says nothing.
        if !packets.is_empty() && !self.waits.is_empty() {
            let head = std::mem::take(&mut self.waits);
            match &self.begun {
                None => {
                    self.buffer.extend_from_slice(&head);
                    self.begun = Some(head);
                }
                Some(begun) if *begun == head => {}
                Some(_) => return Err(wrong("it goes on with another link type, and a pcap file holds one")),
            }
        }
        self.buffer.extend_from_slice(packets);
        Ok(())
    }

    fn take_pcapng(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = word(bytes, 4).ok_or_else(|| wrong("a block is cut"))? as usize;
            let whole = len >= 12 && len.is_multiple_of(4);
            let (block, rest) = bytes.split_at_checked(len).filter(|_| whole).ok_or_else(|| wrong("a block is cut"))?;
            self.block(block)?;
            bytes = rest;
        }
        Ok(())
    }

    fn block(&mut self, block: &[u8]) -> io::Result<()> {
        match word(block, 0).unwrap_or(0) {
            SECTION if self.begun.is_none() => {
                self.begun = Some(Vec::new());
                self.buffer.extend_from_slice(block);
            }
            SECTION => {}
            INTERFACE => {
                let used = |number: u32| self.stream.contains(&Ok(number));
                let known = self.interfaces.iter().zip(0..).find(|(known, n)| known[..] == *block && !used(*n));
                self.stream.push(known.map(|(_, n)| n).ok_or_else(|| block.to_vec()));
            }
            PACKET => {
                let own = word(block, 8).ok_or_else(|| wrong("a packet is cut"))?;
                let number = self.describe(own as usize)?.ok_or_else(|| wrong("a packet has no interface"))?;
                let (high, low) = word(block, 12).zip(word(block, 16)).ok_or_else(|| wrong("a packet is cut"))?;
                self.latest = self.latest.max(u64::from(high) << 32 | u64::from(low));
                let at = self.buffer.len();
                self.buffer.extend_from_slice(block);
                if let Some(field) = self.buffer.get_mut(at + 8..at + 12) {
                    field.copy_from_slice(&number.to_le_bytes());
                }
            }
            STATISTICS => self.said = block.to_vec(),
            _ => {
                // Names and secrets come behind an interface.
                (0..self.stream.len()).try_for_each(|n| self.describe(n).map(drop))?;
                if self.beside.insert(Sha256::digest(block).into()) {
                    self.buffer.extend_from_slice(block);
                }
            }
        }
        Ok(())
    }

    /// Number in the file of the stream's interface, which is there from now on. `None`: the stream has none of this number.
    fn describe(&mut self, own: usize) -> io::Result<Option<u32>> {
        let Some(place) = self.stream.get_mut(own) else { return Ok(None) };
        if let Err(block) = place {
            let number = u32::try_from(self.interfaces.len()).map_err(|_| wrong("too many interfaces"))?;
            self.buffer.extend_from_slice(block);
            self.interfaces.push(std::mem::take(block));
            *place = Ok(number);
        }
        Ok(place.as_ref().ok().copied())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;
    use crate::query::{Answer, PacketSink};
    use crate::store::format::SegmentHeader;

    /// Packets as one stream of them has them: (time, interface).
    fn stream(format: Format, packets: &[(u64, u16)], comment: &str) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), "memory", format);
        let segment = SegmentHeader {
            version: 2,
            vlan_in_key: true,
            store: [0; 16],
            number: 0,
            generation: 0,
            created: 0,
            worker: 0,
            class: "all".into(),
            interfaces: Vec::new(),
        };
        for &(time, n) in packets {
            let interface = Interface::new(format!("eth{n}"), 1);
            let data = &time.to_le_bytes()[..(time % 9) as usize];
            let p = Answer { time, wire_len: 60, data, options: &[], interface: &interface, segment: &segment };
            writer.packet(&p).unwrap();
        }
        writer.finish(comment).unwrap()
    }

    fn packets() -> Vec<(u64, u16)> {
        (0..40).map(|n| (1_000_000_000 + n * 7, [0, 0, 1, 0, 2, 1][n as usize % 6])).collect()
    }

    /// Wherever the streams meet, the file is that of one stream.
    #[test]
    fn streams_make_the_file_of_one() {
        let all = packets();
        for format in [Format::Pcapng, Format::PcapngStream, Format::Pcap] {
            let whole = stream(format, &all, "all of it");
            for cut in 0..=all.len() {
                for next in [cut, all.len().min(cut + 5)] {
                    let mut splice = Splice::new(Vec::new(), format);
                    for part in [&all[..cut], &all[cut..next], &all[next..]] {
                        splice.next_stream();
                        splice.take(&stream(format, part, "a part")).unwrap();
                    }
                    splice.finish(Some("all of it")).unwrap();
                    assert!(splice.to == whole, "{format:?}, cut at {cut} and {next}");
                }
            }
        }
    }

    /// One stream is given on as it is, in whatever pieces of whole blocks it comes; one of nothing, too.
    #[test]
    fn one_stream_is_itself() {
        for format in [Format::Pcapng, Format::PcapngStream, Format::Pcap] {
            for all in [packets(), Vec::new()] {
                let whole = stream(format, &all, "said");
                let mut splice = Splice::new(Vec::new(), format);
                if format == Format::Pcap {
                    splice.take(&whole[..24]).unwrap();
                    splice.take(&whole[24..]).unwrap();
                } else {
                    let mut rest = &whole[..];
                    while !rest.is_empty() {
                        let (block, more) = rest.split_at(word(rest, 4).unwrap() as usize);
                        splice.take(block).unwrap();
                        rest = more;
                    }
                }
                splice.finish(None).unwrap();
                assert!(splice.to == whole, "{format:?}");
            }
        }
    }

    /// What was written before a connection broke for good is a whole file.
    #[test]
    fn what_was_cut_short_is_a_file() {
        let mut splice = Splice::new(Vec::new(), Format::PcapngStream);
        let whole = stream(Format::PcapngStream, &packets(), "cut");
        let until = whole.len() - word(&whole, whole.len() - 4).unwrap() as usize;
        splice.take(&whole[..until]).unwrap();
        splice.finish(Some("cut")).unwrap();
        assert!(splice.to == whole);
    }

    #[test]
    fn what_is_no_stream_is_an_error() {
        let whole = stream(Format::PcapngStream, &packets(), "said");
        let section = word(&whole, 4).unwrap() as usize;
        for bytes in [&whole[..whole.len() - 1], &whole[..7], &[0; 12], &[0xff; 40]] {
            assert!(Splice::new(Vec::new(), Format::Pcapng).take(bytes).is_err());
        }
        let mut none = whole[..section].to_vec();
        none.extend([6, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0]);
        assert!(Splice::new(Vec::new(), Format::Pcapng).take(&none).is_err(), "a packet of no interface");
        assert!(Splice::new(Vec::new(), Format::Pcap).take(&[0; 23]).is_err());
        let mut other = Splice::new(Vec::new(), Format::Pcap);
        other.take(&[0; 25]).unwrap();
        other.next_stream();
        other.take(&[1; 24]).unwrap();
        assert!(other.take(&[1]).is_err(), "another link type");
    }
}
