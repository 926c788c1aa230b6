//! What capture and serve both see: shared memory, written by capture, mapped read-only by serve. The **window** is words that say how far
//! everything is; the **arena** has the recent blocks. Serve writes to the **pins** alone, with which it asks capture to leave a chunk as it is;
//! capture believes nothing that it finds there. Neither waits for the other, and each may die at any moment. Knows no stage.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod arena;
pub mod cells;
mod entry;
mod pins;
pub mod shared;
mod view;
mod writer;

pub use entry::{BLOCKS_OF_CHUNK, BlockEntry};
pub use pins::PinWords;
pub use view::{ShownProgress, ShownSegment, WindowView};
pub use writer::{HeldOfClass, SealedInWindow, SegmentSlot, Window, WriterProgress};
