//! How long to wait before something that died is started again: not at all, then longer each time; and from the beginning again once it has
//! lived for a while. Owns that row.

use std::time::Duration;

const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];
/// Who has lived this long did not die of how it was started.
const CALM: Duration = Duration::from_secs(3);

/// Of one half.
#[derive(Debug, Default)]
pub struct Pauses {
    deaths: usize,
}

impl Pauses {
    /// It has died after so long: the pause before the next start.
    pub fn after(&mut self, lived: Duration) -> Duration {
        if lived >= CALM {
            self.deaths = 0;
        }
        let pause = PAUSES.get(self.deaths).or(PAUSES.last()).copied().unwrap_or_default();
        self.deaths = self.deaths.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_each_time_and_from_the_beginning_after_a_while() {
        let mut pauses = Pauses::default();
        let ms = |ms| Duration::from_millis(ms);
        let waits: Vec<u64> = (0..6).map(|_| pauses.after(ms(10)).as_millis() as u64).collect();
        assert_eq!(waits, [0, 100, 1000, 5000, 5000, 5000]);
        assert_eq!(pauses.after(ms(2999)), ms(5000));
        assert_eq!((pauses.after(ms(3000)), pauses.after(ms(1))), (ms(0), ms(100)));
    }
}
