//! The processes of a recorder: what the parent hands over, and how long it waits.

/// A document from one process of a recorder to another: all classes with the longest filters are a tenth of it.
pub const DOCUMENT_BYTES_MAX: u64 = 64 << 20;
/// Descriptors in one message: documents, and the memory that capture and serve share. The kernel takes 253.
pub const HANDED_MAX: usize = 32;
/// Messages of one half that the parent takes before it looks at everything else.
pub const HALF_MESSAGES: usize = 64;
/// A serve that says nothing at so many looks of the parent, a second apart, hangs: it beats each second.
pub const SERVE_SILENT_LOOKS: u32 = 5;
/// The same until it has been heard for the first time: it opens a store, whose disk may be slow.
pub const SERVE_START_LOOKS: u32 = 60;
/// At the end serve has this long to index the last segments and to take the last slices of holds.
pub const SERVE_LAST: std::time::Duration = std::time::Duration::from_secs(10);
