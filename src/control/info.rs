//! What `info` says of a store. Owns the fields; made of what the store and its holds tell, by the route and by the command line.

use crate::hold::HoldsLimit;
use crate::shape::{Count, Maybe, Seconds, Time};
use crate::store::info::{Holding, Info};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreInfo {
    /// Identity of the store, 32 hexadecimal digits.
    pub id: String,
    /// When it was made; null: its file does not tell.
    #[serde(with = "Maybe::<Time>")]
    pub created: Option<u64>,
    /// Whether a recorder writes to it now.
    pub recording: bool,
    /// All classes together.
    pub total: StoreHolding,
    /// Each class.
    pub classes: Vec<StoreClass>,
    /// Age of the earliest packet; null: there is none.
    #[serde(with = "Maybe::<Seconds>")]
    pub oldest_age_seconds: Option<u64>,
    /// The ledger.
    #[serde(with = "Count")]
    pub ledger_bytes: u64,
    /// The receipts.
    #[serde(with = "Count")]
    pub receipts_bytes: u64,
    /// Connections that run, as the recorder counts them, lasting ones included: they get their receipts when they end; null: only a recorder
    /// knows.
    #[serde(with = "Maybe::<Count>")]
    pub running_connections: Option<u64>,
    /// What its holds take, and may; null: they can't be read.
    pub holds: Option<HoldsLimit>,
    /// Segments that could not be read, and why.
    pub unreadable: Vec<String>,
}

/// A class of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreClass {
    /// Its name.
    pub class: String,
    /// What there is of it.
    #[serde(flatten)]
    pub holding: StoreHolding,
}

/// What a class, or the whole store, holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreHolding {
    /// Segments with packets in them.
    #[serde(with = "Count")]
    pub segments: u64,
    /// Of these, not yet sealed.
    #[serde(with = "Count")]
    pub unsealed: u64,
    /// Packets.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    pub bytes: u64,
    /// Their captured bytes.
    #[serde(with = "Count")]
    pub captured_bytes: u64,
    /// Bytes of segments on disk, without preallocated space.
    #[serde(with = "Count")]
    pub disk_bytes: u64,
    /// Bytes of indexes.
    #[serde(with = "Count")]
    pub index_bytes: u64,
    /// Connections that have a receipt: each once, those included whose packets have expired.
    #[serde(with = "Count")]
    pub connections: u64,
    /// Of these, those that had not ended by their hourly receipt.
    #[serde(with = "Count")]
    pub lasting_connections: u64,
    /// Segments without an index.
    #[serde(with = "Count")]
    pub unindexed: u64,
    /// Time of the earliest packet.
    #[serde(with = "Maybe::<Time>")]
    pub first: Option<u64>,
    /// Time of the latest packet.
    #[serde(with = "Maybe::<Time>")]
    pub last: Option<u64>,
}

impl StoreInfo {
    /// Of what the store tells.
    pub fn new(info: Info, holds: Option<HoldsLimit>) -> StoreInfo {
        let class = |(class, h): (String, Holding)| StoreClass { class, holding: h.into() };
        StoreInfo {
            id: info.id,
            created: crate::units::parse_time(&info.created, 0).ok(),
            recording: info.recording,
            total: info.total.into(),
            classes: info.classes.into_iter().map(class).collect(),
            oldest_age_seconds: info.oldest_age,
            ledger_bytes: info.ledger_bytes,
            receipts_bytes: info.receipts_bytes,
            running_connections: info.running,
            holds,
            unreadable: info.unreadable,
        }
    }
}

impl From<Holding> for StoreHolding {
    fn from(h: Holding) -> StoreHolding {
        StoreHolding {
            segments: h.segments,
            unsealed: h.unsealed,
            packets: h.packets,
            bytes: h.wire_bytes,
            captured_bytes: h.data_bytes,
            disk_bytes: h.disk_bytes,
            index_bytes: h.index_bytes,
            connections: h.connections,
            lasting_connections: h.lasting,
            unindexed: h.unindexed,
            first: h.first,
            last: h.last,
        }
    }
}
