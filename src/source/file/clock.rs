//! How time stamps of a pcapng interface become Unix nanoseconds: resolution and offset, and what 64 bits can't say. Called by the pcapng
//! reader; exact where nanoseconds are.

use super::record::Odd;

/// The latest packet time: below the largest number, so that a window that ends there without its end has every packet.
const LATEST: u64 = u64::MAX - 1;

/// An interface's resolution and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Of one tick.
    pub unit: Unit,
    /// Seconds to add.
    pub offset: i64,
}

/// Length of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of a tick.
    Times(u64),
    /// Ticks of a nanosecond.
    Per(u64),
    /// Ticks of a second, as a power of two.
    Binary(u8),
}

/// if_tsresol: ticks of a second, as a power of ten, or of two with the highest bit.
pub fn unit(resolution: u8) -> Result<Unit, String> {
    match resolution {
        0..=9 => Ok(Unit::Times(10u64.pow(9 - u32::from(resolution)))),
        10..=19 => Ok(Unit::Per(10u64.pow(u32::from(resolution) - 9))),
        0x80..=0xbf => Ok(Unit::Binary(resolution & 0x7f)),
        n if n < 0x80 => Err(format!("a time resolution of 10^-{n} s")),
        n => Err(format!("a time resolution of 2^-{} s", n & 0x7f)),
    }
}

impl Clock {
    /// Where an interface says nothing.
    pub const MICROSECONDS: Clock = Clock { unit: Unit::Times(1000), offset: 0 };

    /// Truncated to nanoseconds as libpcap does; held, and told, at the ends of what 64 bits can say (1970 and 2554).
    #[inline]
    pub fn unix_ns(self, ticks: u64) -> (u64, Odd) {
        let ns = match self.unit {
            Unit::Times(n) => u128::from(ticks) * u128::from(n),
            Unit::Per(n) => u128::from(ticks / n),
            Unit::Binary(shift) => (u128::from(ticks) * 1_000_000_000) >> shift,
        };
        let ns = ns as i128 + i128::from(self.offset) * 1_000_000_000;
        let mut odd = Odd::default();
        odd.set_if(ns < 0, Odd::BEFORE_1970);
        odd.set_if(ns > i128::from(LATEST), Odd::AFTER_2554);
        (ns.clamp(0, i128::from(LATEST)) as u64, odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_every_resolution() {
        let at = |resolution, offset, ticks| {
            let (ns, odd) = Clock { unit: unit(resolution).unwrap(), offset }.unix_ns(ticks);
            assert!(odd.is_none(), "{resolution} {offset} {ticks}");
            ns
        };
        assert_eq!(at(6, 0, 1_700_000_000_123_456), 1_700_000_000_123_456_000);
        assert_eq!(at(9, 0, 1_700_000_000_123_456_789), 1_700_000_000_123_456_789);
        assert_eq!(at(0, 0, 1_700_000_000), 1_700_000_000_000_000_000);
        assert_eq!(at(12, 0, 1_999), 1);
        assert_eq!(at(19, 0, 29_999_999_999), 2);
        assert_eq!(at(0x80 | 10, 0, 1536), 1_500_000_000);
        assert_eq!(at(0x80 | 63, 0, 1 << 62), 500_000_000);
        assert_eq!(at(6, 1000, 5), 1_000_000_005_000);
        assert_eq!(at(6, -1000, 1_000_000_005), 5_000);
        assert!(unit(20).is_err() && unit(0xc0).is_err());
    }

    #[test]
    fn times_that_64_bits_cannot_say_are_told() {
        let odd = |offset, unit, ticks| Clock { unit, offset }.unix_ns(ticks);
        let flag = |bit| {
            let mut odd = Odd::default();
            odd.set_if(true, bit);
            odd
        };
        assert_eq!(odd(-1000, Unit::Times(1000), 5), (0, flag(Odd::BEFORE_1970)));
        assert_eq!(odd(0, Unit::Times(1_000_000_000), u64::MAX), (LATEST, flag(Odd::AFTER_2554)));
        assert_eq!(odd(i64::MIN, Unit::Times(1), u64::MAX).0, 0);
        assert_eq!(odd(i64::MAX, Unit::Times(1), u64::MAX).0, LATEST);
    }
}
