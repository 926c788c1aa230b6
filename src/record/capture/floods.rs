//! Floods, in words: what the log and the ledger say when one begins and when it is over. Owns what has been said; asked each second by the
//! control thread. How many packets it costs is in the ledger second by second.

use crate::limits::{FLOOD_CALM_NS, FLOOD_SAMPLE, FLOOD_TABLE_PERCENT};
use crate::metrics::status::Connections;

/// What has been said.
#[derive(Debug, Default)]
pub struct Floods {
    /// When one was last seen, ns, while it is not said to be over.
    seen: Option<u64>,
}

impl Floods {
    /// What is to be said now. A flood that pauses is not over at once.
    pub fn look(&mut self, now: u64, c: &Connections) -> Option<String> {
        if c.flooding > 0 || c.crowded {
            return self.seen.replace(now).is_none().then(|| words(c));
        }
        let over = now.saturating_sub(self.seen?) >= FLOOD_CALM_NS;
        over.then(|| {
            self.seen = None;
            format!("the flood is over: {} packets of connections that were refused since the start", c.flood_refused)
        })
    }
}

fn words(c: &Connections) -> String {
    let most = c.flood_source.map_or(String::new(), |a| format!(", most of them of {a}"));
    let kept = format!("of new ones one in {FLOOD_SAMPLE} is tracked");
    match (c.flooding, c.crowded) {
        (0, _) => format!(
            "a flood from many sources: connections that nobody answers take {FLOOD_TABLE_PERCENT} % of a table; {kept}"
        ),
        (1, _) => format!("a flood: a source has more unanswered connections open than flood_limit{most}; {kept}"),
        (n, _) => format!("a flood: {n} sources have more unanswered connections open than flood_limit{most}; {kept}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn said_once_and_its_end_after_a_calm() {
        let calm = Connections::default();
        let flood = Connections { flooding: 1, flood_source: Some([192, 0, 2, 1].into()), flood_refused: 9, ..calm };
        let mut floods = Floods::default();
        let mut look = |s: u64, c: &Connections| floods.look(s * S, c);
        assert_eq!(look(1, &calm), None);
        assert!(look(2, &flood).unwrap().contains("192.0.2.1"));
        assert_eq!((look(3, &flood), look(4, &calm), look(5, &flood)), (None, None, None));
        assert_eq!(look(14, &calm), None);
        assert!(look(15, &calm).unwrap().contains("over"));
        assert_eq!(look(99, &calm), None);
        let crowd = Connections { crowded: true, ..calm };
        assert!(look(100, &crowd).unwrap().contains("many sources"));
    }
}
