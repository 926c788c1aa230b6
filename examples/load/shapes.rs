//! The heavy-tailed mixes, calibrated from published figures: which figure, from where, and what the mix makes of it. The tests
//! at the end of `play.rs` recompute every number of these tables from packets that the generator made.
//!
//! | *lab* | published | made |
//! |---|---|---|
//! | connections under 10 KB | 91-94 % (Maier et al., "Enriching Network Security Analysis with Time Travel", SIGCOMM 2008, section 2) | 94 % |
//! | bytes that a cutoff of 15 KB leaves | under 6 % (same, section 4.1); 3.4 % in nine months of production (zeek/time-machine pull request 6) | 3.0 % of whole connections |
//! | new connections/s at 10 Gbit/s | some 12 thousand: a mean of 100 KB | 12.4 thousand |
//! | bytes of a packet, mean | what the above and segments of 1448 bytes make | 990 |
//!
//! | *backbone* | published | made |
//! |---|---|---|
//! | new connections/s at 10 Gbit/s | 35-100 thousand, by link and year, on the OC192 links of CAIDA's passive traces (caida.org/data/passive/passive_trace_statistics.xml); the range is taken over, not recomputed from the traces | 54 thousand |
//! | new connections that are probes without payload | 52-56 % of the connections at the sites of the 2008 paper have no payload (section 2); two thirds on those links, by scans and backscatter | 67 % |
//! | bytes that are UDP | about a quarter since QUIC, on those links | 25 % |
//! | bytes of a packet, mean | what the above and segments of 1448 bytes make | 935 |
//!
//! What neither has: asymmetric routes, fragments, tunnels, bursts beyond the chance of independent connections.

use super::mix::{Random, SHAPES, Shape};

/// Where the tail begins, bytes.
const TAIL: f64 = 10_000.0;

/// Bytes of `n` connections: a share `body` of them log-uniform from 120 B to the tail, the rest a bounded Pareto tail with
/// shape 1 (density ~ 1/x^2: each octave brings the same bytes). A few thousand quantiles of that do not reach far enough for
/// the mean, so the tail's are stretched until it is right.
fn sizes(n: usize, body: f64, mean: f64) -> Vec<f64> {
    let quantile = |q: f64| {
        if q < body {
            return 120.0 * (TAIL / 120.0).powf(q / body);
        }
        let u = (q - body) / (1.0 - body);
        TAIL / (1.0 - u * (1.0 - TAIL / 1e9))
    };
    let stretched = |stretch: f64| -> Vec<f64> {
        let at = |i| quantile((i as f64 + 0.5) / n as f64);
        (0..n).map(at).map(|b| if b > TAIL { TAIL * (b / TAIL).powf(stretch) } else { b }).collect()
    };
    let (mut low, mut high) = (0.5, 3.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if stretched(middle).iter().sum::<f64>() / (n as f64) < mean { low = middle } else { high = middle }
    }
    stretched(low)
}

/// The lab mix.
pub fn lab(random: &mut Random) -> Vec<Shape> {
    let sizes = sizes(SHAPES, 0.94, 100_000.0);
    sizes.into_iter().map(|bytes| transfer(bytes, random, |random| random.chance(0.15))).collect()
}

/// The backbone mix.
pub fn backbone(random: &mut Random) -> Vec<Shape> {
    const NEW_PER_S: f64 = 55_000.0;
    let probes = SHAPES * 2 / 3;
    let transfers = SHAPES - probes;
    let mut shapes: Vec<Shape> = (0..probes)
        .map(|_| {
            // One probe in seven finds something that answers.
            let packets = if random.chance(1.0 / 7.0) { 2 } else { 1 };
            let port = [23u16, 445, 22, 80, 8080, 3389, 5555, 2323][(random.next() % 8) as usize];
            Shape { packets, port, v6: random.chance(0.01), train: 1, ..Shape::default() }
        })
        .collect();
    let sizes = sizes(transfers, 0.85, 10e9 / 8.0 / NEW_PER_S * SHAPES as f64 / transfers as f64);
    // From the largest down, so that a quarter of the bytes is UDP however few connections bring most of them.
    let (mut all, mut udp) = (0.0, 0.0);
    for bytes in sizes.into_iter().rev() {
        all += bytes;
        let shape = transfer(bytes, random, |_| udp + bytes / 2.0 <= all * 0.25);
        if shape.udp {
            udp += bytes;
        }
        shapes.push(shape);
    }
    shapes
}

/// A connection with payload of about this many bytes: tiny ones a question and its answer over UDP, of the others `udp`
/// decides.
fn transfer(bytes: f64, random: &mut Random, udp: impl FnOnce(&mut Random) -> bool) -> Shape {
    const PORTS: [u16; 14] = [443, 443, 443, 443, 443, 443, 80, 80, 22, 25, 993, 8080, 445, 3306];
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
        let payload = (bytes as u16).saturating_sub(2 * if v6 { 62 } else { 42 });
        let request = (payload / 3).clamp(20, 60);
        let last = payload.saturating_sub(request).max(20);
        return Shape { packets: 2, request, last, port: 53, udp: true, v6, train, ..Shape::default() };
    }
    let udp = udp(random);
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
        port: PORTS[(random.next() % PORTS.len() as u64) as usize],
        udp,
        v6,
        upload,
        train,
    }
}
