//! The mixes: tables of connection shapes and the steady state at the start, all drawn from the seed. Called once
//! before the run; knows nothing of eBPF.

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
            Mix::Lab => 65536,
            Mix::Flood | Mix::Elephant => 1,
            Mix::Dns => 4096,
        }
    }

    /// The table of shapes.
    pub fn shapes(self, random: &mut Random) -> Vec<Shape> {
        match self {
            Mix::Lab => lab(random),
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

/// Bytes of the connections of the lab mix at quantile `q`: 94 % between 120 B and 10 KB (log-uniform), the rest a bounded Pareto
/// tail from 10 KB to `top` with shape 1, that is, density ~ 1/x^2: each octave brings the same bytes.
fn lab_bytes(q: f64, top: f64) -> f64 {
    const BODY: f64 = 0.94;
    if q < BODY {
        return 120.0 * (10_000.0f64 / 120.0).powf(q / BODY);
    }
    let u = (q - BODY) / (1.0 - BODY);
    let low = 10_000.0;
    low / (1.0 - u * (1.0 - low / top))
}

fn lab(random: &mut Random) -> Vec<Shape> {
    // With 4096 quantiles a Pareto tail reaches 10 KB * 4096 * 0.06 / 2 = 1.2 MB at the most; the rest of the mean
    // comes from the uppermost entries, whose sizes are stretched until the mean is right.
    const MEAN: f64 = 100_000.0;
    let sizes = |stretch: f64| -> Vec<f64> {
        (0..SHAPES)
            .map(|i| {
                let bytes = lab_bytes((i as f64 + 0.5) / SHAPES as f64, 1e9);
                if bytes > 10_000.0 { 10_000.0 * (bytes / 10_000.0).powf(stretch) } else { bytes }
            })
            .collect()
    };
    let (mut low, mut high) = (1.0, 3.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if sizes(middle).iter().sum::<f64>() / (SHAPES as f64) < MEAN { low = middle } else { high = middle }
    }
    let ports = [443u16, 443, 443, 443, 443, 443, 80, 80, 22, 25, 993, 8080, 445, 3306];
    sizes(low)
        .into_iter()
        .map(|bytes| {
            let v6 = random.chance(0.12);
            let upload = random.chance(0.15);
            let train = if bytes > 1e6 {
                16
            } else if bytes > 1e5 {
                8
            } else {
                2
            };
            if bytes < 800.0 {
                // A question and its answer.
                let payload = (bytes as u16).saturating_sub(2 * if v6 { 62 } else { 42 });
                let request = (payload / 3).clamp(20, 60);
                let last = payload.saturating_sub(request).max(20);
                return Shape { packets: 2, request, last, port: 53, udp: true, v6, train, ..Shape::default() };
            }
            let udp = random.chance(0.15);
            let head = if v6 { 20.0 } else { 0.0 };
            let (fixed, per_packet, most) = if udp {
                (0.0, 42.0 + head, 1350.0)
            } else {
                (6.0 * (66.0 + head), 66.0 + head, if v6 { 1428.0 } else { 1448.0 })
            };
            // Two full packets and an answer to them, over and over.
            let payload = (bytes - fixed - 2.0 * per_packet).max(40.0);
            let request = (payload * 0.3).clamp(20.0, 500.0);
            let rest = payload - request;
            let round = 2.0 * (most + per_packet) + per_packet + if udp { 33.0 } else { 0.0 };
            let whole = (rest / round).floor();
            let left = rest - whole * round;
            let extra = if left > most + per_packet { 2.0 } else { 1.0 };
            let last = if extra == 2.0 { left - most - per_packet } else { left };
            let data = 1.0 + 3.0 * whole + extra;
            Shape {
                packets: data as u32 + if udp { 0 } else { 6 },
                request: request as u16,
                data: most as u16,
                last: last.clamp(1.0, most) as u16,
                port: ports[(random.next() % ports.len() as u64) as usize],
                udp,
                v6,
                upload,
                train,
            }
        })
        .collect()
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
/// such a connection takes, at any of its packets.
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
            let packets = shapes[shape].packets;
            let step = if packets == u32::MAX { 1000 } else { (random.unit() * f64::from(packets)) as u32 };
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
