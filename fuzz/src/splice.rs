//! What a follower's client puts together: the streams of a recorder that went and came again, made one file. Streams are any bytes; the file has the packets
//! of all that was taken, in their order, each with the interface that it came with.

use retrotap::query::output::{Format, Splice};

const FORMATS: [Format; 3] = [Format::Pcapng, Format::PcapngStream, Format::Pcap];
/// Length of a pcap file's head.
const HEAD: usize = 24;

/// Input: the format; three streams.
pub fn run(data: &[u8]) {
    let (what, bytes) = crate::options(data);
    let format = FORMATS[usize::from(what) % FORMATS.len()];
    let streams = crate::parts::<3>(bytes);
    let Some(file) = spliced(format, &streams) else { return };
    if format == Format::Pcap {
        let records: Vec<u8> = streams.iter().flat_map(|s| s.get(HEAD..).unwrap_or_default()).copied().collect();
        assert_eq!(file[HEAD..], records);
    } else {
        let sent: Vec<Packet<'_>> = streams.iter().flat_map(|s| packets(s)).collect();
        assert_eq!(packets(&file), sent);
    }
}

/// The block of its interface, and its own without the number.
type Packet<'a> = (&'a [u8], Vec<u8>);

/// Of a stream of whole blocks.
fn packets(mut stream: &[u8]) -> Vec<Packet<'_>> {
    let word = |b: &[u8], at: usize| b.get(at..at + 4).map_or(0, |w| u32::from_le_bytes(w.try_into().expect("four")));
    let (mut interfaces, mut all) = (Vec::new(), Vec::new());
    while !stream.is_empty() {
        let (block, rest) = stream.split_at(word(stream, 4) as usize);
        match word(block, 0) {
            1 => interfaces.push(block),
            6 => all.push((interfaces[word(block, 8) as usize], [&block[..8], &block[12..]].concat())),
            _ => {}
        }
        stream = rest;
    }
    all
}

/// `None`: they are no streams of this format.
fn spliced(format: Format, streams: &[&[u8]]) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let mut splice = Splice::new(&mut file, format);
    for stream in streams {
        splice.next_stream();
        splice.take(stream).ok()?;
    }
    splice.finish(None).ok()?;
    drop(splice);
    Some(file)
}

/// Two streams with the same interface, one without a packet, one with names.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let block = |kind: u32, body: &[u8]| {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &len].concat()
    };
    let section = block(0x0a0d_0d0a, &[&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[255; 8]].concat());
    let interface = |link: u8| block(1, &[link, 0, 0, 0, 0, 0, 4, 0]);
    let packet = |interface: u8, n: u8| {
        block(6, &[&[interface, 0, 0, 0, 0, 0, 0, 0, n, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0][..], &[n; 4]].concat())
    };
    let (names, said) = (block(4, &[0; 4]), block(5, &[0; 12]));
    let one = [&section[..], &interface(1), &packet(0, 1), &interface(101), &packet(1, 2), &said].concat();
    let two = [&section[..], &interface(101), &interface(1), &names, &packet(1, 3), &packet(0, 4), &said].concat();
    let none = [&section[..], &interface(1), &said].concat();
    for format in [0, 1] {
        add([&[format], &crate::joined(&[&one, &none, &two])[..]].concat());
    }
    let head = [&0xa1b2_3c4du32.to_le_bytes()[..], &[2, 0, 4, 0], &[0; 8], &[0, 0, 4, 0, 1, 0, 0, 0]].concat();
    let record = [[1u8, 0, 0, 0], [0; 4], [4, 0, 0, 0], [4, 0, 0, 0], [7; 4]].concat();
    let stream = [&head[..], &record].concat();
    add([&[2], &crate::joined(&[&stream, &head, &stream])[..]].concat());
}
