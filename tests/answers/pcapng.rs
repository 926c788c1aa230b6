//! A plain reader of pcapng, for answers with packets of several link types, which libpcap does not read. Source: the draft
//! draft-ietf-opsawg-pcapng. Little endian and nanoseconds, as answers are; whatever is otherwise is an error.

use crate::ways::Got;

/// The packets, in the order of the file.
pub fn read(bytes: &[u8]) -> Result<Vec<Got>, String> {
    let word = |at: usize| -> Result<u32, String> {
        let four = bytes.get(at..at + 4).ok_or_else(|| format!("ends at {at} within a block"))?;
        Ok(u32::from_le_bytes(four.try_into().expect("four bytes")))
    };
    let (mut at, mut links, mut packets) = (0, Vec::new(), Vec::new());
    while at < bytes.len() {
        let (kind, length) = (word(at)?, word(at + 4)? as usize);
        if length < 12 || length % 4 != 0 || word(at + length - 4)? as usize != length {
            return Err(format!("a block of {length} bytes at {at}"));
        }
        match kind {
            0x0a0d_0d0a if word(at + 8)? == 0x1a2b_3c4d => links.clear(),
            0x0a0d_0d0a => return Err("a section of another byte order".into()),
            1 => {
                links.push(word(at + 8)? as u16);
                let mut option = at + 16;
                let mut nanoseconds = false;
                while option + 4 <= at + length - 4 {
                    let (code, len) = (word(option)? & 0xffff, (word(option)? >> 16) as usize);
                    nanoseconds |= code == 9 && bytes.get(option + 4) == Some(&9);
                    option += 4 + len.next_multiple_of(4);
                    if code == 0 {
                        break;
                    }
                }
                if !nanoseconds {
                    return Err("an interface without nanoseconds".into());
                }
            }
            6 => {
                let link =
                    *links.get(word(at + 8)? as usize).ok_or("a packet of an interface that is not described")?;
                let time = u64::from(word(at + 12)?) << 32 | u64::from(word(at + 16)?);
                let (captured, wire) = (word(at + 20)? as usize, word(at + 24)?);
                let data = bytes.get(at + 28..at + 28 + captured).ok_or("a packet beyond its block")?.to_vec();
                packets.push(Got { time, wire, link, data });
            }
            _ => {}
        }
        at += length;
    }
    Ok(packets)
}

/// A capture of these packets (time, wire length, link, bytes), with an interface for each link.
pub fn write<'a>(links: &[u16], packets: impl Iterator<Item = (u64, u32, usize, &'a [u8])>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        let length = (padded + 12) as u32;
        file.extend(kind.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(body);
        file.resize(file.len() + padded - body.len(), 0);
        file.extend(length.to_le_bytes());
    };
    let section = [0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    block(0x0a0d_0d0a, &section);
    for link in links {
        let fixed = [u32::from(*link), 262_144].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
        block(1, &[&fixed[..], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat());
    }
    for (time, wire, link, data) in packets {
        let fixed = [link as u32, (time >> 32) as u32, time as u32, data.len() as u32, wire];
        let fixed = fixed.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
        block(6, &[&fixed[..], data].concat());
    }
    file
}
