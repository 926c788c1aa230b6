//! The same load as a capture file: what `ebpf/load.bpf.c` does, in user space, packet by packet the same for the same seed
//! (`tests/netns.rs` compares them). For machines without root, and for tests that must know each packet.

use super::Options;
use super::mix::{Conn, HEAD_BYTES, SHAPES, Shape, Start};
use super::truth::{Tally, Truth};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// 2026-01-01T00:00:00Z: packet times in the file are a function of the options alone.
const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Writes the load to a pcap file (nanoseconds) and returns the account.
pub fn write(options: &Options, path: &Path) -> Result<Truth, Box<dyn std::error::Error>> {
    let mut out = PcapFile::create(path)?;
    let pace = (8.0 / options.gbps.unwrap_or(10.0) * f64::from(1 << 20)) as u64;
    let end = (options.seconds * 1e9) as u64;
    let (mut due, mut fraction) = (0u64, 0u64);
    let mut player = Player::new(options.start()?);
    let (mut offered, mut kept, mut connections, mut begun) = (Tally::default(), Tally::default(), 0, 0);
    while due < end && options.packets.is_none_or(|limit| offered.packets < limit) {
        let sent = player.next();
        let keep = sent.before < options.cutoff || sent.control;
        if keep || !options.kept {
            out.packet(due, &player.start.frame[..sent.len])?;
        }
        fraction += sent.len as u64 * pace;
        due += fraction >> 20;
        fraction &= (1 << 20) - 1;

        offered.add(sent.len);
        if keep {
            kept.add(sent.len);
        }
        connections += u64::from(sent.new);
        begun += u64::from(sent.first);
    }
    out.end()?;
    let elapsed_s = due as f64 / 1e9;
    Ok(Truth {
        connections: Some(connections),
        begun: Some(begun),
        kept: Some(kept),
        ..Truth::of_file(options, offered, elapsed_s)
    })
}

/// A pcap file with nanoseconds.
pub struct PcapFile(BufWriter<File>);

impl PcapFile {
    /// Creates it; `-` is standard output.
    pub fn create(path: &Path) -> Result<PcapFile, Box<dyn std::error::Error>> {
        let path = if path.as_os_str() == "-" { Path::new("/dev/stdout") } else { path };
        let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        for word in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(PcapFile(out))
    }

    /// One packet, `due` ns after the start.
    pub fn packet(&mut self, due: u64, data: &[u8]) -> std::io::Result<()> {
        let time = EPOCH_NS + due;
        let len = data.len() as u32;
        for word in [(time / 1_000_000_000) as u32, (time % 1_000_000_000) as u32, len, len] {
            self.0.write_all(&word.to_le_bytes())?;
        }
        self.0.write_all(data)
    }

    /// All of it is written.
    pub fn end(mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// One packet, in the frame.
pub struct Sent {
    pub len: usize,
    pub control: bool,
    /// First packet of its connection in this run.
    new: bool,
    /// First packet of its connection.
    pub first: bool,
    /// Which shape its connection has.
    #[cfg(test)]
    shape: u32,
    /// Bytes of its connection before it.
    pub before: u64,
    /// Which of the active connections it is of.
    pub place: usize,
}

/// Makes one packet after another.
pub struct Player {
    /// Its frame has the packet made last.
    pub start: Start,
    /// Packets and bytes of each active connection in this run.
    told: Vec<Tally>,
    current: usize,
    train_left: u8,
}

/// What one packet is (`struct plan`).
struct Plan {
    payload: u16,
    dir: usize,
    flags: u8,
    control: bool,
}

impl Player {
    /// From the beginning.
    pub fn new(start: Start) -> Player {
        let told = vec![Tally::default(); start.conns.len()];
        Player { start, told, current: 0, train_left: 0 }
    }

    /// The next one.
    pub fn next(&mut self) -> Sent {
        if self.train_left == 0 {
            self.current = (self.start.random.next() % self.start.conns.len() as u64) as usize;
            self.train_left = self.start.shapes[self.start.conns[self.current].shape as usize].train;
        }
        self.train_left -= 1;
        let conn = self.start.conns[self.current];
        let shape = self.start.shapes[conn.shape as usize];
        let plan = plan(&shape, conn.step);
        let len = put_packet(&mut self.start.frame, &shape, &conn, &plan, &self.start.sums);

        let told = &mut self.told[self.current];
        if conn.step == 0 {
            *told = Tally::default();
        }
        let first = conn.step == 0;
        let sent = Sent {
            len,
            control: plan.control,
            new: told.packets == 0,
            first,
            before: told.bytes,
            place: self.current,
            #[cfg(test)]
            shape: conn.shape,
        };
        told.add(len);

        let next = &mut self.start.conns[self.current];
        next.seq[plan.dir] = next.seq[plan.dir].wrapping_add(u32::from(plan.payload) + u32::from(plan.control));
        next.step += 1;
        if next.step >= shape.packets {
            let serial = self.start.next_serial;
            self.start.next_serial += 1;
            let shape = (self.start.random.next() % SHAPES as u64) as u32;
            let seq = (serial as u32).wrapping_mul(2_654_435_761);
            *next = Conn { serial, shape, step: 0, seq: [seq, seq ^ 0x5bd1_e995] };
            self.train_left = 0;
        }
        sent
    }
}

/// Packet `step` of a connection (`plan_packet`).
fn plan(s: &Shape, step: u32) -> Plan {
    let packet = |payload, dir, flags, control| Plan { payload, dir, flags, control };
    let bulk = usize::from(!s.upload);
    let (mut first, mut last, mut flags) = (0, s.packets - 1, ACK);
    if !s.udp {
        match step {
            0 => return packet(0, 0, SYN, true),
            1 => return packet(0, 1, SYN | ACK, true),
            2 => return packet(0, 0, ACK, false),
            _ => {}
        }
        match s.packets - step {
            3 => return packet(0, 0, FIN | ACK, true),
            2 => return packet(0, 1, FIN | ACK, true),
            1 => return packet(0, 0, ACK, false),
            _ => {}
        }
        (first, last, flags) = (3, s.packets - 4, ACK | PSH);
    }
    match step - first {
        0 => packet(s.request, 0, flags, false),
        n if n == last - first => packet(s.last, bulk, flags, false),
        n if n % 3 == 0 => packet(if s.udp { 33 } else { 0 }, 1 - bulk, ACK, false),
        _ => packet(s.data, bulk, flags, false),
    }
}

fn mix64(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Sum of 16-bit words in memory order.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(2).map(|w| u64::from(u16::from_le_bytes([w[0], w[1]]))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Writes the packet into the frame (`put_packet`); returns its length.
fn put_packet(frame: &mut [u8], s: &Shape, c: &Conn, p: &Plan, sums: &[u16]) -> usize {
    let h = mix64(c.serial);
    let client_port = (1024 + (c.serial >> 10) % 64000) as u16;
    let client = ((c.serial & 1023) + (((c.serial >> 10) / 64000) << 10)) as u32;
    let server = [h, h >> 17, h >> 34].map(|x| (x & 0x1_ffff) as u32).into_iter().min().unwrap_or(0);
    let from_server = p.dir == 1;
    let proto: u8 = if s.udp { 17 } else { 6 };
    let l4_bytes = p.payload + if s.udp { 8 } else { 32 };

    frame[..HEAD_BYTES].fill(0);
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[2, 0, 0, 0, 0, if from_server { 2 } else { 1 }, 2, 0, 0, 0, 0, if from_server { 1 } else { 2 }]);
    let (l4, addresses) = if s.v6 {
        let (client_at, server_at) = if from_server { (38, 22) } else { (22, 38) };
        put(12, &[0x86, 0xdd, 0x60]);
        put(18, &l4_bytes.to_be_bytes());
        put(20, &[proto, 64]);
        put(client_at, &[0x20, 0x01, 0x0d, 0xb8]);
        put(client_at + 12, &(client + 1).to_be_bytes());
        put(server_at, &[0x20, 0x01, 0x0d, 0xb8, 0, 1]);
        put(server_at + 12, &(server + 1).to_be_bytes());
        (54, 22..54)
    } else {
        let (client_at, server_at) = if from_server { (30, 26) } else { (26, 30) };
        put(12, &[8, 0, 0x45]);
        put(16, &(20 + l4_bytes).to_be_bytes());
        put(18, &(c.step as u16).to_be_bytes());
        put(20, &[0x40, 0, 64, proto]);
        put(client_at, &(0x0a00_0000 + (client & 0xff_ffff)).to_be_bytes());
        put(server_at, &(0xc612_0000 + server).to_be_bytes());
        (34, 26..34)
    };
    let ports = if from_server { [s.port, client_port] } else { [client_port, s.port] };
    put(l4, &ports[0].to_be_bytes());
    put(l4 + 2, &ports[1].to_be_bytes());
    let has_ack = p.flags & ACK != 0;
    if s.udp {
        put(l4 + 4, &l4_bytes.to_be_bytes());
    } else {
        put(l4 + 4, &c.seq[p.dir].to_be_bytes());
        put(l4 + 8, &(if has_ack { c.seq[1 - p.dir] } else { 0 }).to_be_bytes());
        put(l4 + 12, &[8 << 4, p.flags, 0xff, 0xff]);
        put(l4 + 20, &[1, 1, 8, 10]);
        put(l4 + 24, &(c.step + 1).to_be_bytes());
        put(l4 + 28, &(if has_ack { c.step } else { 0 }).to_be_bytes());
    }
    if !s.v6 {
        let checksum = !fold(sum(&frame[14..34]));
        frame[24..26].copy_from_slice(&checksum.to_le_bytes());
    }
    let len = l4 + usize::from(l4_bytes);
    let pseudo = sum(&frame[addresses]) + u64::from(u16::from(proto).to_be()) + u64::from(l4_bytes.to_be());
    let checksum = !fold(pseudo + sum(&frame[l4..l4 + 32]) + u64::from(sums[len]));
    let (at, checksum) =
        if s.udp { (l4 + 6, if checksum == 0 { 0xffff } else { checksum }) } else { (l4 + 16, checksum) };
    frame[at..at + 2].copy_from_slice(&checksum.to_le_bytes());
    len.max(60)
}

#[cfg(test)]
mod tests {
    use super::super::mix::{Mix, Random};
    use super::*;

    /// Wire bytes of a whole connection of this shape.
    fn bytes(s: &Shape) -> u64 {
        let headers = 14 + if s.v6 { 40 } else { 20 } + if s.udp { 8 } else { 32 };
        (0..s.packets).map(|step| (headers + u64::from(plan(s, step).payload)).max(60)).sum()
    }

    /// What a run of a mix turns out to be.
    #[derive(Default)]
    struct Made {
        all: Tally,
        udp: Tally,
        begun: u64,
        probes: u64,
    }

    fn make(mix: Mix, packets: u32) -> Made {
        let mut player = Player::new(Start::new(mix, 7, 0, mix.active()));
        let mut made = Made::default();
        for _ in 0..packets {
            let sent = player.next();
            let frame = &player.start.frame;
            made.all.add(sent.len);
            if frame[if frame[12] == 0x86 { 20 } else { 23 }] == 17 {
                made.udp.add(sent.len);
            }
            if sent.first {
                made.begun += 1;
                let shape = player.start.shapes[sent.shape as usize];
                made.probes += u64::from(!shape.udp && shape.packets <= 2);
            }
        }
        made
    }

    impl Made {
        fn begun_per_s(&self) -> f64 {
            self.begun as f64 / (self.all.bytes as f64 * 8.0 / 10e9)
        }
    }

    fn assert_within(what: &str, made: f64, range: std::ops::Range<f64>) {
        assert!(range.contains(&made), "{what}: {made}, not in {range:?}");
        println!("{what}: {made}");
    }

    /// The figures of `shapes.rs`, lab.
    #[test]
    fn the_lab_mix_is_as_published() {
        let sizes: Vec<u64> = Mix::Lab.shapes(&mut Random(1)).iter().map(bytes).collect();
        let all = sizes.iter().sum::<u64>() as f64;
        let small = sizes.iter().filter(|&&b| b < 10_000).count();
        assert_within("share of connections under 10 KB", small as f64 / sizes.len() as f64, 0.93..0.95);
        assert_within("bytes of a connection", all / sizes.len() as f64, 95_000.0..105_000.0);
        let kept = sizes.iter().map(|&b| b.min(15 << 10)).sum::<u64>() as f64;
        assert_within("share of the bytes that a cutoff of 15 KiB leaves", kept / all, 0.025..0.06);

        let made = make(Mix::Lab, 3_000_000);
        assert_within("new connections/s at 10 Gbit/s", made.begun_per_s(), 11_500.0..13_500.0);
        assert_within("bytes of a packet", made.all.bytes as f64 / made.all.packets as f64, 940.0..1_040.0);
    }

    /// The figures of `shapes.rs`, backbone.
    #[test]
    fn the_backbone_mix_is_as_published() {
        let made = make(Mix::Backbone, 3_000_000);
        assert_within("new connections/s at 10 Gbit/s", made.begun_per_s(), 50_000.0..60_000.0);
        assert_within("share of them that are probes", made.probes as f64 / made.begun as f64, 0.65..0.68);
        assert_within("share of the bytes that is UDP", made.udp.bytes as f64 / made.all.bytes as f64, 0.24..0.27);
        assert_within("bytes of a packet", made.all.bytes as f64 / made.all.packets as f64, 880.0..980.0);
    }

    /// From its first packet on a mix is what it stays: nothing about it is cold.
    #[test]
    fn a_mix_starts_in_the_steady_state() {
        for mix in [Mix::Lab, Mix::Backbone] {
            let early = make(mix, 400_000).begun_per_s();
            let late = make(mix, 3_000_000).begun_per_s();
            assert_within("new connections/s of the beginning, by those of the whole", early / late, 0.85..1.15);
        }
    }

    #[test]
    fn every_shape_begins_and_ends() {
        for shape in Mix::Lab.shapes(&mut Random(2)).iter().filter(|s| !s.udp) {
            assert!(shape.packets >= 7, "{shape:?}");
            assert_eq!(plan(shape, 0).flags, SYN);
            assert_eq!([3, 2].map(|n| plan(shape, shape.packets - n).flags), [FIN | ACK; 2]);
        }
    }

    #[test]
    fn checksums_are_right() {
        let mut player = Player::new(Start::new(Mix::Lab, 3, 0, 64));
        for _ in 0..5000 {
            let sent = player.next();
            let frame = &player.start.frame[..sent.len];
            let (proto, addresses, l4) =
                if frame[12] == 0x86 { (frame[20], 22..54, 54) } else { (frame[23], 26..34, 34) };
            let end = l4
                + usize::from(if frame[12] == 0x86 {
                    u16::from_be_bytes([frame[18], frame[19]])
                } else {
                    u16::from_be_bytes([frame[16], frame[17]]) - 20
                });
            let mut padded = frame[l4..end].to_vec();
            padded.resize((end - l4).next_multiple_of(2), 0);
            let bytes = (end - l4) as u16;
            let all =
                sum(&frame[addresses]) + sum(&padded) + u64::from(u16::from(proto).to_be()) + u64::from(bytes.to_be());
            assert_eq!(fold(all), 0xffff, "{frame:02x?}");
        }
    }
}
