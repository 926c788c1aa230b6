//! Whether answers about single connections had what was sent: makes the load anew in user space and looks for each answer in it. An answer is right
//! if its packets are a stretch of those that the cutoff keeps of its connection, without a gap, and no fewer than were known when it was
//! asked for. One that is not, and says that it is not complete, is not wrong. Called at the end of `bench query`, when nothing is measured any more.

use super::Options;
use super::mix::Start;
use super::play::Player;
use serde::Serialize;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// What became of the answers.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// All.
    pub answers: u64,
    /// Those that are a stretch of what was sent.
    pub right: u64,
    /// Those that are not, or lack what was there, and call themselves complete.
    pub wrong: u64,
    /// Those that are not, and say so.
    pub incomplete: u64,
    /// Those of connections that were under way when the load began: of them a recorder has some part, as it comes.
    pub under_way: u64,
}

/// So many wrong answers are named.
const NAMED: u64 = 5;

type Ends = (u8, SocketAddr, SocketAddr);

/// An answer: packets, their sum, packets that it must have at least, and whether it calls itself complete.
type Answer = (usize, u64, usize, bool);

/// Compares the answers of this file with the load.
pub fn check(options: &Options, answers: &Path) -> Result<Verdict, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(answers).map_err(|e| format!("{}: {e}", answers.display()))?;
    let mut asked: HashMap<Ends, Vec<Answer>> = HashMap::new();
    for line in text.lines() {
        let (ends, answer) = read(line).ok_or_else(|| format!("{}: no answer: {line}", answers.display()))?;
        asked.entry(ends).or_default().push(answer);
    }
    let mut kept =
        sent(options.start()?, options.packets.unwrap_or(0), options.cutoff, |ends| asked.contains_key(ends));
    let mut verdict = Verdict::default();
    for (ends, answers) in asked {
        verdict.answers += answers.len() as u64;
        let Some(sums) = kept.remove(&ends) else {
            verdict.under_way += answers.len() as u64;
            continue;
        };
        for answer in answers {
            if is_in(answer, &sums) {
                verdict.right += 1;
                continue;
            }
            if !answer.3 {
                verdict.incomplete += 1;
                continue;
            }
            verdict.wrong += 1;
            if verdict.wrong <= NAMED {
                let (packets, _, least, _) = answer;
                let kept = sums.len() - 1;
                eprintln!("{ends:?}: {packets} packets, at least {least} expected, {kept} kept; no stretch of those");
            }
        }
    }
    Ok(verdict)
}

/// Of the connections that begin in the first `packets` and are wanted: the sums of what the cutoff keeps, before the first and after each.
fn sent(start: Start, packets: u64, cutoff: u64, wanted: impl Fn(&Ends) -> bool) -> HashMap<Ends, Vec<u64>> {
    let mut player = Player::new(start);
    let mut places: Vec<Option<Ends>> = vec![None; player.start.conns.len()];
    let mut kept: HashMap<Ends, Vec<u64>> = HashMap::new();
    for _ in 0..packets {
        let sent = player.next();
        let frame = &player.start.frame[..sent.len];
        if sent.first {
            places[sent.place] = ends(frame).filter(&wanted);
        }
        if let Some(ends) = places[sent.place]
            && (sent.before < cutoff || sent.control)
        {
            let sums = kept.entry(ends).or_insert_with(|| vec![0]);
            sums.push(sums.last().copied().unwrap_or(0).wrapping_add(part(frame)));
        }
    }
    kept
}

fn is_in((packets, sum, least, _): Answer, sums: &[u64]) -> bool {
    packets >= least.max(1)
        && packets < sums.len()
        && sums.windows(packets + 1).any(|w| w[packets].wrapping_sub(w[0]) == sum)
}

/// One frame's part of the sum; `examples/ask/answers.rs` has the same.
fn part(bytes: &[u8]) -> u64 {
    let crc = u64::from(crc32c::crc32c(bytes)) | (bytes.len() as u64) << 32;
    crc.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn in_order(proto: u8, a: SocketAddr, b: SocketAddr) -> Ends {
    (proto, a.min(b), a.max(b))
}

/// The connection of a frame of the load.
fn ends(frame: &[u8]) -> Option<Ends> {
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let (proto, addresses, l4): (u8, [IpAddr; 2], usize) = if frame[12] == 0x86 {
        let address =
            |at: usize| Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(at..at + 16)?).ok()?)));
        (frame[20], [address(22)?, address(38)?], 54)
    } else {
        let address = |at: usize| Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?)));
        (frame[23], [address(26)?, address(30)?], 34)
    };
    let [a, b] = addresses;
    Some(in_order(proto, SocketAddr::new(a, port(l4)), SocketAddr::new(b, port(l4 + 2))))
}

/// A line of the file.
fn read(line: &str) -> Option<(Ends, Answer)> {
    let mut columns = line.split('\t');
    let mut conn = columns.next()?.split(' ');
    let proto = match conn.next()? {
        "tcp" => 6,
        "udp" => 17,
        _ => return None,
    };
    let ends = in_order(proto, conn.next()?.parse().ok()?, conn.next()?.parse().ok()?);
    let packets = columns.next()?.parse().ok()?;
    let sum = u64::from_str_radix(columns.next()?, 16).ok()?;
    let least = columns.next()?.parse().ok()?;
    Some((ends, (packets, sum, least, columns.next()? == "complete")))
}

#[cfg(test)]
mod tests {
    use super::super::mix::Mix;
    use super::*;

    /// A part of a connection is right; one with a packet that was not sent, with a gap, or with fewer packets than there were is not.
    #[test]
    fn a_stretch_of_what_was_sent_is_right() {
        let start = || Start::new(Mix::Lab, 5, 0, 64);
        let kept = sent(start(), 20_000, 15 << 10, |_| true);
        let (_, sums) = kept.iter().find(|(_, sums)| sums.len() > 8).unwrap();
        let of = |from: usize, to: usize| sums[to].wrapping_sub(sums[from]);
        assert!(is_in((sums.len() - 1, of(0, sums.len() - 1), 3, true), sums), "the whole");
        assert!(is_in((4, of(2, 6), 0, true), sums), "a part");
        assert!(!is_in((4, of(2, 6), 5, true), sums), "more had been there");
        assert!(!is_in((0, 0, 0, true), sums), "nothing");
        assert!(!is_in((3, of(1, 3).wrapping_add(of(4, 5)), 0, true), sums), "a gap");
        assert!(!is_in((4, of(2, 6) + 1, 0, true), sums), "other bytes");
    }

    #[test]
    fn a_line_is_an_answer() {
        let line = |complete: &str| format!("udp [2001:db8::1]:53 10.0.0.1:7\t2\t00000000000000ff\t1\t{complete}");
        let (ends, answer) = read(&line("complete")).unwrap();
        assert_eq!((ends.0, ends.1.port(), answer), (17, 7, (2, 255, 1, true)));
        assert_eq!(read(&line("incomplete")).map(|(_, answer)| answer.3), Some(false));
        assert_eq!(read("udp 1.2.3.4:5\t2"), None);
    }
}
