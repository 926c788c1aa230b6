//! The one shape of everything that is said as JSON: by commands with `--json`, by the API, in headers and trailers, in the audit log.
//! Owns how times, lengths of time, counts, endpoints and errors are written and read back, and the one way out ([`text`]) that holds
//! the rules whatever a type forgot. Knows nothing of what is said. `docs/json.md` tells users the rules; formats of the store (ledger,
//! `hold.json`, `orders.json`) have versions of their own and are not said.
//!
//! Fields name their adapter, and with it their schema:
//!
//! ```ignore
//! #[serde(with = "Time")] first: u64,                 // "2026-11-30T10:00:00.123456789Z"
//! #[serde(with = "Maybe::<Time>")] until: Option<u64>, // the same, or null
//! #[serde(with = "Seconds")] elapsed_seconds: u64,    // 0.000033
//! #[serde(with = "Count")] packets: u64,              // 17, or "18014398509481984"
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod adapter;
mod count;
mod described;
mod endpoint;
mod error;
mod page;
mod period;
mod schema;
mod seconds;
#[cfg(test)]
mod tests;
mod text;
mod time;

pub use adapter::{Adapter, Each, Many, Maybe};
pub use count::{Count, EXACT_MAX};
pub use described::Described;
pub use endpoint::{Endpoint, Ends};
pub use error::{ErrorAnswer, Kind, Problem};
pub use page::page;
pub use period::{Period, Periods};
pub use schema::of as schema_of;
pub use seconds::Seconds;
pub use text::{Line, text};
pub use time::{Time, rfc3339};

/// The version of the shape: the field `format` of every object that stands alone, an answer or a line of a list. It rises when a
/// field is renamed, taken away or means something else; a new field does not raise it.
pub const FORMAT: u32 = 1;
