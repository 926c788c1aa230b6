//! The mixes: which there are, and the steady state that a run starts from, all drawn from the seed. Called once before
//! the run; knows nothing of eBPF. What the two heavy-tailed mixes are calibrated to is beside them, in `shapes.rs`.

use super::shapes::{backbone, lab};
use clap::ValueEnum;

/// Entries of the table of shapes; all are alike probable.
pub const SHAPES: usize = 4096;
/// Connections active at a time, at most.
pub const CONNS_MAX: u32 = 65536;
/// The frame that each packet is a prefix of.
pub const FRAME_BYTES: usize = 1514;
/// Its part that is written anew for each packet: headers, then zeros.
pub const HEAD_BYTES: usize = 96;

/// What kinds of connections a load consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mix {
    /// Heavy tail, as at the sites of the 2008 paper: 94 % of the connections under 10 KB, 100 KB in the mean.
    Lab,
    /// A backbone link as CAIDA's traces show it: 55 thousand new connections a second at 10 Gbit/s, two thirds of them
    /// probes without payload, a quarter of the bytes UDP.
    Backbone,
    /// Every packet a new connection: lone SYNs.
    Flood,
    /// One connection that never ends.
    Elephant,
    /// Two small packets a connection.
    Dns,
}

/// A kind of connection (`struct load_shape`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Of both directions.
    pub packets: u32,
    /// Payload of the first data packet.
    pub request: u16,
    /// Payload of the further ones.
    pub data: u16,
    /// Payload of the last one.
    pub last: u16,
    /// The server's port.
    pub port: u16,
    /// Else TCP.
    pub udp: bool,
    /// Else IPv4.
    pub v6: bool,
    /// The client sends the bulk.
    pub upload: bool,
    /// Packets in a row.
    pub train: u8,
}

/// splitmix64, the generator that the kernel side uses too.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

impl Mix {
    /// Connections active at a time, unless asked otherwise.
    pub fn active(self) -> u32 {
        match self {
            Mix::Lab | Mix::Backbone => 65536,
            Mix::Flood | Mix::Elephant => 1,
            Mix::Dns => 4096,
        }
    }

    /// The table of shapes.
    pub fn shapes(self, random: &mut Random) -> Vec<Shape> {
        match self {
            Mix::Lab => lab(random),
            Mix::Backbone => backbone(random),
            Mix::Flood => vec![Shape { packets: 1, port: 80, train: 1, ..Shape::default() }; SHAPES],
            Mix::Elephant => vec![
                Shape {
                    packets: u32::MAX,
                    request: 300,
                    data: 1448,
                    last: 1448,
                    port: 443,
                    train: 64,
                    ..Shape::default()
                };
                SHAPES
            ],
            Mix::Dns => (0..SHAPES)
                .map(|_| Shape {
                    packets: 2,
                    request: 30 + (random.next() % 30) as u16,
                    last: 60 + (random.next() % 300) as u16,
                    port: 53,
                    udp: true,
                    v6: random.chance(0.1),
                    train: 2,
                    ..Shape::default()
                })
                .collect(),
        }
    }
}

/// An active connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Its number, which its addresses and ports follow from.
    pub serial: u64,
    /// Which shape.
    pub shape: u32,
    /// Packets sent so far.
    pub step: u32,
    /// The next sequence number of each direction.
    pub seq: [u32; 2],
}

/// All that a run starts from.
pub struct Start {
    /// The mix.
    pub shapes: Vec<Shape>,
    /// The active connections.
    pub conns: Vec<Conn>,
    /// Number of the next connection.
    pub next_serial: u64,
    /// The state of the generator that goes on from here.
    pub random: Random,
    /// Payload for all packets, at its place in the frame.
    pub frame: Vec<u8>,
    /// Internet checksum, in memory order, of the payload up to each place in the frame.
    pub sums: Vec<u16>,
}

impl Start {
    /// Draws everything from the seed.
    pub fn new(mix: Mix, seed: u64, first_connection: u64, active: u32) -> Start {
        let mut random = Random(seed);
        let shapes = mix.shapes(&mut random);
        let conns = steady_state(&shapes, first_connection, active, &mut random);
        let (frame, sums) = payload(&mut random);
        Start { shapes, conns, next_serial: first_connection + u64::from(active), random, frame, sums }
    }
}

/// The connections that are active when the load starts: the steady state in which every place has been taken by one
/// connection after another for ever. A place is found in a connection of a shape with the probability of the turns that
/// such a connection takes, at the beginning of any of them.
fn steady_state(shapes: &[Shape], first: u64, count: u32, random: &mut Random) -> Vec<Conn> {
    let mut turns = Vec::with_capacity(shapes.len());
    let mut total = 0.0;
    for s in shapes {
        total += (f64::from(s.packets) / f64::from(s.train)).ceil();
        turns.push(total);
    }
    (0..u64::from(count))
        .map(|i| {
            let at = random.unit() * total;
            let shape = turns.partition_point(|&t| t <= at).min(shapes.len() - 1);
            let Shape { packets, train, .. } = shapes[shape];
            // At the beginning of a turn: a connection with a single turn is at its first packet, not in between.
            let turns = packets.div_ceil(u32::from(train));
            let turn = (random.unit() * f64::from(turns)) as u32;
            let step = if packets == u32::MAX { 1000 } else { turn * u32::from(train) };
            let seq = random.next();
            Conn { serial: first + i, shape: shape as u32, step, seq: [seq as u32, (seq >> 32) as u32] }
        })
        .collect()
}

fn payload(random: &mut Random) -> (Vec<u8>, Vec<u16>) {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789\n";
    let mut frame = vec![0u8; FRAME_BYTES];
    let mut sums = vec![0u16; FRAME_BYTES + 1];
    let mut sum = 0u32;
    for at in HEAD_BYTES..FRAME_BYTES {
        frame[at] = LETTERS[(random.next() % LETTERS.len() as u64) as usize];
        // Ones' complement; an odd last byte counts as if a zero followed.
        sum += u32::from(frame[at]) << (8 * (at % 2));
        sum = (sum & 0xffff) + (sum >> 16);
        sums[at + 1] = sum as u16;
    }
    (frame, sums)
}
