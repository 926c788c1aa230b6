//! A real capture as load: read once into memory, played over and over at a multiple of its pace, the addresses of each further
//! loop rewritten so that its connections are new ones. What a cutoff must keep of it is not known here: the oracle of the
//! tests knows it, from the same packets in a file (`--to`).

use super::mix::FRAME_BYTES;
use super::truth::{Tally, Truth};
use super::{Options, play};
use retrotap::packet::layers::{What, layers};
use retrotap::source::file::FileSource;
use retrotap::source::{Polled, Source};
use std::error::Error;
use std::path::Path;

/// Frames that are taken of a trace, at most; in the kernel each takes 1.5 KiB.
const FRAMES_MAX: usize = 1 << 19;
/// Ethernet's shortest frame: shorter ones are padded, as they were on the wire.
const SHORTEST: usize = 60;
/// `LOOP_STEP` of the program.
const LOOP_STEP: u64 = 40_507;

/// A frame of a trace (`struct load_frame`).
pub struct Frame {
    /// Until the next one is due, at the pace asked for.
    pub gap_ns: u64,
    /// The second of two directions.
    pub reverse: bool,
    /// Where there are addresses to rewrite: 4 bytes each, of IPv6 the last ones.
    pub addresses: Vec<usize>,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Reads a trace: Ethernet frames of at most 1514 bytes; says on standard error what it leaves out. `times` is the pace, in
/// multiples of the trace's own.
pub fn read(path: &Path, times: f64) -> Result<Vec<Frame>, Box<dyn Error>> {
    let mut source = FileSource::open(&[path.to_path_buf()], None)?;
    let mut frames: Vec<Frame> = Vec::new();
    let mut times_ns: Vec<u64> = Vec::new();
    let (mut long, mut other, mut more) = (0u64, 0u64, 0u64);
    loop {
        let polled = source.poll(|packets, interfaces| {
            for p in packets {
                if interfaces.get(usize::from(p.iface)).is_none_or(|i| i.link_type != 1) {
                    other += 1;
                } else if p.data.len() > FRAME_BYTES {
                    long += 1;
                } else if frames.len() == FRAMES_MAX {
                    more += 1;
                } else {
                    frames.push(frame(p.data));
                    times_ns.push(p.time);
                }
            }
        })?;
        if polled == Polled::End {
            break;
        }
    }
    let path = path.display();
    for (count, why) in [
        (other, "are not Ethernet".to_string()),
        (long, format!("are longer than {FRAME_BYTES} bytes")),
        (more, format!("come after the first {FRAMES_MAX}")),
    ] {
        if count > 0 {
            eprintln!("load: {path}: {count} packets left out: they {why}");
        }
    }
    if frames.is_empty() {
        return Err(format!("{path} has no packet to offer").into());
    }
    // Time that goes backwards does not hold the load up. After the last frame as much as after any other.
    let gaps: Vec<u64> = times_ns.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
    let mean = gaps.iter().sum::<u64>() / gaps.len().max(1) as u64;
    for (frame, gap) in frames.iter_mut().zip(gaps.into_iter().chain([mean])) {
        frame.gap_ns = (gap as f64 / times) as u64;
    }
    Ok(frames)
}

fn frame(data: &[u8]) -> Frame {
    let mut addresses = Vec::new();
    let mut reverse = None;
    layers(1, data, &mut |layer| {
        let at = match layer.what {
            What::Ip4 { src, dst, .. } => {
                reverse.get_or_insert(src > dst);
                [layer.offset + 12, layer.offset + 16]
            }
            What::Ip6 { src, dst, .. } => {
                reverse.get_or_insert(src > dst);
                [layer.offset + 20, layer.offset + 36]
            }
            _ => return,
        };
        addresses.extend(at);
    });
    // As many as the program has places for: three IP headers.
    addresses.retain(|at| at + 4 <= data.len());
    addresses.truncate(6);
    let mut data = data.to_vec();
    data.resize(data.len().max(SHORTEST), 0);
    Frame { gap_ns: 0, reverse: reverse.unwrap_or(false), addresses, data }
}

/// The frame as it is in this loop (`rewrite` of the program).
fn of_loop(frame: &Frame, turn: u64) -> Vec<u8> {
    let mut data = frame.data.clone();
    let k = (turn * LOOP_STEP % 0xffff) as u32;
    if k == 0 {
        return data;
    }
    let mut add = |at: usize, n: u32| {
        let sum = u32::from(u16::from_le_bytes([data[at], data[at + 1]])) + n;
        data[at..at + 2].copy_from_slice(&((sum + (sum >> 16)) as u16).to_le_bytes());
    };
    for &at in &frame.addresses {
        add(at, k);
        add(at + 2, 0xffff - k);
    }
    data
}

/// Writes the load to a pcap file and returns the account.
pub fn write(options: &Options, trace: &Path, path: &Path) -> Result<Truth, Box<dyn Error>> {
    let frames = read(trace, options.times.unwrap_or(1.0))?;
    let mut out = play::PcapFile::create(path)?;
    let end = (options.seconds * 1e9) as u64;
    let (mut due, mut offered) = (0u64, Tally::default());
    'loops: for turn in 0.. {
        for frame in &frames {
            if due >= end || options.packets.is_some_and(|limit| offered.packets >= limit) {
                break 'loops;
            }
            out.packet(due, &of_loop(frame, turn))?;
            offered.add(frame.data.len());
            due += match options.gbps {
                Some(gbps) => (frame.data.len() as f64 * 8.0 / gbps) as u64,
                None => frame.gap_ns.max(1),
            };
        }
    }
    out.end()?;
    Ok(Truth::of_file(options, offered, due as f64 / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ones' complement sum of all 16-bit words.
    fn sum(data: &[u8]) -> u32 {
        let words = data.chunks(2).map(|w| u32::from(w[0]) | u32::from(*w.get(1).unwrap_or(&0)) << 8);
        words.sum::<u32>() % 0xffff
    }

    #[test]
    fn a_loop_changes_addresses_and_no_checksum() {
        let mut data = vec![0u8; 60];
        data[12..15].copy_from_slice(&[8, 0, 0x45]);
        data[16..18].copy_from_slice(&[0, 46]);
        data[23] = 17;
        data[26..34].copy_from_slice(&[10, 1, 2, 3, 192, 0, 2, 9]);
        let frame = frame(&data);
        assert_eq!(frame.addresses, [26, 30]);
        assert_eq!(of_loop(&frame, 0), data);
        let mut seen = std::collections::HashSet::new();
        for turn in 0..1000 {
            let now = of_loop(&frame, turn);
            assert_eq!(sum(&now[14..]), sum(&data[14..]));
            assert_eq!(now[..26], data[..26]);
            assert!(seen.insert(now[26..34].to_vec()), "loop {turn} repeats addresses");
            // The other direction of the connection is the other direction still.
            let mut back = data.clone();
            back[26..34].copy_from_slice(&[192, 0, 2, 9, 10, 1, 2, 3]);
            let back = of_loop(&super::frame(&back), turn);
            assert_eq!((&back[26..30], &back[30..34]), (&now[30..34], &now[26..30]));
        }
    }
}
