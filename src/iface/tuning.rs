//! What else ethtool knows of a card: receive ring, pause frames, how RSS spreads packets. Read only, for the doctor, by ioctl.
//!
//! Commands and structures: include/uapi/linux/ethtool.h.

use super::ethtool::command;
use std::io;

const ETHTOOL_GRINGPARAM: u32 = 0x10;
const ETHTOOL_GPAUSEPARAM: u32 = 0x12;
const ETHTOOL_GRSSH: u32 = 0x46;
/// Words of `struct ethtool_rxfh` in front of table and key.
const RXFH_WORDS: usize = 6;
/// Largest table and key that are read, words.
const RXFH_MAX: usize = 4096;

/// The receive ring, in descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// In use.
    pub now: u32,
    /// The most that the card can.
    pub max: u32,
}

/// The receive ring's size, where the driver tells.
pub fn ring(name: &str) -> io::Result<Ring> {
    // cmd, rx_max, rx_mini_max, rx_jumbo_max, tx_max, rx, rx_mini, rx_jumbo, tx
    let mut p = [0u32; 9];
    p[0] = ETHTOOL_GRINGPARAM;
    command(name, &mut p)?;
    Ok(Ring { now: p[5], max: p[1] })
}

/// Whether pause frames are obeyed and sent.
pub fn pause(name: &str) -> io::Result<(bool, bool)> {
    // cmd, autoneg, rx, tx
    let mut p = [ETHTOOL_GPAUSEPARAM, 0, 0, 0];
    command(name, &mut p)?;
    Ok((p[2] != 0, p[3] != 0))
}

/// How received packets are spread over the queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    /// The hash's key.
    pub key: Vec<u8>,
    /// Source and destination are combined before the hash (kernel 6.8 and later).
    pub symmetric_xor: bool,
}

impl Rss {
    /// Both directions of a connection get the same hash.
    pub fn symmetric(&self) -> bool {
        // The Toeplitz hash of both is the same when the key repeats every 16 bits.
        let repeats = self.key.len() >= 4 && self.key.windows(3).all(|w| w.first() == w.last());
        self.symmetric_xor || repeats
    }
}

/// The hash of RSS, where the driver tells.
pub fn rss(name: &str) -> io::Result<Rss> {
    let mut head = [0u32; RXFH_WORDS];
    head[0] = ETHTOOL_GRSSH;
    command(name, &mut head)?;
    let (table, key) = (head[2] as usize, head[3] as usize);
    if table + key.div_ceil(4) > RXFH_MAX {
        return Err(io::Error::other("a table of unlikely size"));
    }
    let mut all = [0u32; RXFH_WORDS + RXFH_MAX];
    all[0] = ETHTOOL_GRSSH;
    (all[2], all[3]) = (head[2], head[3]);
    command(name, &mut all)?;
    let bytes = all.iter().skip(RXFH_WORDS + table).flat_map(|w| w.to_ne_bytes());
    let input_xfrm = all[4].to_ne_bytes()[1];
    Ok(Rss { key: bytes.take(key).collect(), symmetric_xor: input_xfrm & 1 != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_repeated_words_is_symmetric() {
        let rss = |key: &[u8]| Rss { key: key.to_vec(), symmetric_xor: false };
        assert!(rss(&[0x6d, 0x5a].repeat(20)).symmetric());
        assert!(!rss(&[0x6d, 0x5a, 0x6d, 0x5b]).symmetric());
        assert!(!rss(&[]).symmetric());
        assert!(Rss { key: vec![1, 2, 3, 4], symmetric_xor: true }.symmetric());
    }
}
