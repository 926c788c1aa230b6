//! Every bound of the system in one place, by what is bounded, with the relations between them checked at compile time. Read by all stages, by its
//! name alone, whichever file it is in; depends on nothing and must never hold state.

mod answers;
mod audit;
mod clients;
mod connections;
mod files;
mod filter;
mod followers;
mod holds;
mod index;
mod lanes;
mod messages;
mod nids;
mod orders;
mod processes;
mod questions;
mod reading;
mod recent;
mod store;
mod tap;
mod window;
mod worker;

pub use answers::*;
pub use audit::*;
pub use clients::*;
pub use connections::*;
pub use files::*;
pub use filter::*;
pub use followers::*;
pub use holds::*;
pub use index::*;
pub use lanes::*;
pub use messages::*;
pub use nids::*;
pub use orders::*;
pub use processes::*;
pub use questions::*;
pub use reading::*;
pub use recent::*;
pub use store::*;
pub use tap::*;
pub use window::*;
pub use worker::*;
