//! How the memory is shared: what classes have of their own, and what is left for all others. Both sides go by it: capture by chunks, serve by the
//! bytes that indexes may take.

use crate::window::arena::CHUNK_ALL_BYTES;

/// Of the memory, this part is for the indexes.
pub const INDEX_SHARE: usize = 16;
/// A pool has so many chunks at least: one is being filled.
const CHUNKS_MIN: usize = 2;

/// All of the memory, and how much of it each class has that has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// All of it, bytes.
    pub total: u64,
    /// Classes with memory of their own.
    pub own: Vec<(String, u64)>,
}

impl Shares {
    /// Chunks of all of it.
    pub fn chunks(&self) -> usize {
        chunks(self.total).max(CHUNKS_MIN * (1 + self.own.len()))
    }

    /// The pools, that of all others first, each with its part of so many chunks.
    pub fn quotas(&self, all: usize) -> Vec<(Option<String>, usize)> {
        let own = self.own.iter().map(|(name, bytes)| (Some(name.clone()), chunks(*bytes).max(CHUNKS_MIN)));
        let mut pools: Vec<(Option<String>, usize)> = std::iter::once((None, CHUNKS_MIN)).chain(own).collect();
        let sum = |pools: &[(Option<String>, usize)]| pools.iter().map(|(_, n)| n).sum::<usize>();
        // Rounded up they may be too many.
        while sum(&pools) > all
            && let Some((_, most)) = pools.iter_mut().max_by_key(|(_, n)| *n).filter(|(_, n)| *n > 1)
        {
            *most -= 1;
        }
        let rest = all.saturating_sub(sum(&pools));
        pools.iter_mut().take(1).for_each(|(_, n)| *n += rest);
        pools
    }
}

fn chunks(bytes: u64) -> usize {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    (bytes - bytes / INDEX_SHARE) / CHUNK_ALL_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_all_of_the_chunks() {
        let shares = |total: u64, own: &[u64]| Shares {
            total: total << 20,
            own: own.iter().enumerate().map(|(n, bytes)| (n.to_string(), bytes << 20)).collect(),
        };
        for (s, want) in [
            (shares(64, &[]), vec![29]),
            (shares(64, &[16, 24]), vec![12, 7, 10]),
            (shares(16, &[]), vec![7]),
            (shares(16, &[15]), vec![2, 5]),
            (shares(1, &[1, 1]), vec![2, 2, 2]),
        ] {
            let quotas: Vec<usize> = s.quotas(s.chunks()).into_iter().map(|(_, n)| n).collect();
            assert_eq!(quotas, want, "{s:?}");
            assert_eq!(quotas.iter().sum::<usize>(), s.chunks(), "{s:?}");
        }
        // More pools than chunks: nobody has more than there is.
        assert!(shares(16, &[16; 20]).quotas(7).iter().map(|(_, n)| n).sum::<usize>() <= 21);
    }
}
