//! What of a question rules segments out, by the link type of their packets: an index knows terms and keys of those link types only that
//! its program could parse. Made once for each question; asked wherever something is ruled out.

use super::lang::plan::Plan;
use crate::index::About;

/// The plans of one question.
#[derive(Clone, Debug)]
pub struct Plans {
    /// What a packet must have, by expression and connection.
    whole: Plan,
    /// By the connection alone.
    connection: Plan,
    /// What nothing has.
    nothing: Plan,
}

/// Time and class alone rule segments out.
pub static EVERYTHING: Plans = Plans::everything();

impl Plans {
    /// Of an expression, and of the connection that packets must be of ([`Plan::All`]: of any).
    pub fn new(expression: Plan, connection: Plan) -> Plans {
        Plans { whole: expression.and(connection.clone()), connection, nothing: Plan::Or(Vec::new()) }
    }

    /// Nothing is asked.
    pub const fn everything() -> Plans {
        Plans { whole: Plan::All, connection: Plan::All, nothing: Plan::Or(Vec::new()) }
    }

    /// The plan where everything is known of a segment.
    pub fn whole(&self) -> &Plan {
        &self.whole
    }

    /// The plan for a segment, or a run, by what its index says of itself. Where libpcap looks in packets that the index has not parsed
    /// nobody knows: there an expression rules nothing out.
    pub fn of(&self, about: &About) -> &Plan {
        match (about.has_terms(), about.has_keys()) {
            (true, _) => &self.whole,
            (false, true) => &self.connection,
            // No packet of an unknown link type is of a connection that has a name.
            (false, false) if self.connection != Plan::All => &self.nothing,
            (false, false) => &Plan::All,
        }
    }
}
